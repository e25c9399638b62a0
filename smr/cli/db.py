"""`smr db`: upgrade the schema, check the database, back it up, spread it over machines."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from smr.cli.say import bar, facts, give_json, talk
from smr.cli.shop import ConfigOption, JsonOption
from smr.database import Database, distribute, files, open_database
from smr.database.health import Health, check
from smr.database.migrate import ensure_current, upgrade
from smr.errors import StateError
from smr.settings import load_settings
from smr.tables import metadata

app = typer.Typer(no_args_is_help=True, help="Upgrade, check, back up and spread the database.")

Target = Annotated[Path, typer.Argument(help="The file to write; it must not exist yet.", metavar="FILE")]


@app.command("upgrade")
def upgrade_schema(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Bring the tables to what this smr needs; a SQLite file with data is copied first."""
    database = _database(config)
    with bar("backup") as shown:
        done = upgrade(database, shown)
    if as_json:
        give_json(asdict(done))
        return
    if done.backup:
        talk.print(f"the database as it was: {done.backup}", markup=False)
    changed = f"{done.before or 'empty'} → {done.after}" if done.before != done.after else "current already"
    facts.print(f"schema version {done.after} ({changed})", markup=False)


@app.command("check")
def check_database(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check the file and its tables against what smr needs; exit code 1 where something is wrong."""
    health = check(_database(config), metadata)
    if as_json:
        give_json({"sound": health.sound, **asdict(health)})
    else:
        _tell(health)
    if not health.sound:
        raise typer.Exit(1)


@app.command("backup")
def back_up(target: Target, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Copy a SQLite database to FILE, also while others use it; says how to do so for PostgreSQL."""
    with bar("backup") as shown:
        size = files.backup(_database(config), target, shown)
    if as_json:
        give_json({"file": target, "bytes": size})
        return
    facts.print(f"{target}: {_readable(size)}", markup=False)


@app.command("distribute")
def distribute_tables(
    shards: Annotated[
        int,
        typer.Option("--shards", help="How many shards each table has; fixed for good once there is data."),
    ] = distribute.SHARDS,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the statements and change nothing.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Spread the tables of a PostgreSQL with the extension citus over its workers, and check the result.

    Can be run again: what is spread already stays. Let nothing else write meanwhile.
    """
    database = _database(config)
    if dry_run:
        _tell_steps(database, shards, as_json=as_json)
        return
    present = distribute.spread_now(database)
    ensure_current(database)
    wrong = [one for one in distribute.faults(metadata, present) if "is not spread" not in one]
    if wrong:
        raise StateError("the tables are spread otherwise already: " + "; ".join(wrong))
    wanted = distribute.steps(metadata, present, shards)
    distribute.distribute(database, wanted, lambda step: talk.print(step.sql, markup=False))
    left = distribute.faults(metadata, distribute.spread_now(database))
    if left:
        raise StateError("not all tables lie as they should: " + "; ".join(left))
    if as_json:
        give_json({"spread": [step.table for step in wanted], "unchanged": sorted(present)})
        return
    facts.print(f"{len(wanted)} tables spread, {len(present)} were before: all is well", markup=False)


def _tell_steps(database: Database, shards: int, *, as_json: bool) -> None:
    present = distribute.spread_if_citus(database)
    wanted = distribute.steps(metadata, present or {}, shards)
    if present is None:
        talk.print(
            "warning: this database has no extension citus; these would be the statements:", style="yellow"
        )
    if as_json:
        give_json({"statements": [step.sql for step in wanted]})
        return
    for step in wanted:
        facts.print(step.sql, markup=False)


def _database(config: Path | None) -> Database:
    return open_database(load_settings(config).database.url)


def _tell(health: Health) -> None:
    for line in health.warnings:
        talk.print(f"warning: {line}", markup=False, style="yellow")
    for line in health.faults:
        facts.print(f"damage: {line}", markup=False)
    for one in health.differences:
        facts.print(f"difference: {one}", markup=False)
    for name, count in health.rows.items():
        facts.print(f"{name:<20}{count:>14,} rows", markup=False)
    facts.print(f"size {_readable(health.bytes)}, {_readable(health.free_bytes)} of it unused", markup=False)
    facts.print(_verdict(health), markup=False)


def _verdict(health: Health) -> str:
    if health.sound:
        return f"schema version {health.version}: all is well"
    if health.version == health.needed:
        return f"schema version {health.version}: NOT sound, see above"
    return f"schema version {health.version or 'none'}; this smr needs {health.needed}. Run: smr db upgrade"


def _readable(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"
