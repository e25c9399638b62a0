"""Spreading the tables over the machines of a Citus: which become what, doing it, and whether it is so.

In: the declared tables, each with its owner. Out: the statements that are still to be executed; faults.
Tables of customers are distributed by `bucket`, all side by side, so that what belongs to one customer lies
on one machine; reference tables are on every machine; the engine's own stay on the coordinator. Each
statement is a transaction of its own: broken off, it is taken up where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr.database.engine import Database
from smr.errors import OperatorError, StateError

COLUMN = "bucket"
SHARDS = 32
"""Shards of each table where not said: with 4096 buckets the fullest has a tenth more than the mean."""
MOST_SHARDS = 128
"""With more, the fullest shard has more than half more than the mean."""

_extensions = sa.table("pg_extension", sa.column("extname"), sa.column("extversion"))
_available = sa.table("pg_available_extensions", sa.column("name"))
_spread = sa.table(
    "citus_tables",
    sa.column("table_name"),
    sa.column("citus_table_type"),
    sa.column("distribution_column"),
    sa.column("colocation_id"),
)


@dataclass(frozen=True)
class Spread:
    """How a table lies: `distributed` by a column beside others of its group, or a `reference`."""

    kind: str
    column: str | None
    group: int | None


@dataclass(frozen=True)
class Step:
    """One table to be spread, and the statement that does it."""

    table: str
    sql: str


def steps(declared: sa.MetaData, present: dict[str, Spread], shards: int) -> list[Step]:
    """What is still to be done, in order: a table comes after those it refers to, references before all."""
    if not 1 <= shards <= MOST_SHARDS:
        raise OperatorError(f"--shards {shards}: say how many shards each table has, from 1 to {MOST_SHARDS}")
    first = _first(declared)
    left = [table for table in declared.sorted_tables if table.name not in present]
    references = [_reference(table) for table in left if table.info["owner"] == "reference"]
    owned = [table for table in left if table.info["owner"] == "customer"]
    owned.sort(key=lambda table: table.name != first)
    return references + [_distributed(table, first, shards) for table in owned]


def faults(declared: sa.MetaData, present: dict[str, Spread]) -> list[str]:
    """What does not lie as it should, in sentences; none where all is well."""
    first = present.get(_first(declared))
    return [
        fault for table in declared.sorted_tables for fault in _faults(table, present.get(table.name), first)
    ]


def spread_now(database: Database) -> dict[str, Spread]:
    """How the tables lie now. Raises StateError where the database is no Citus."""
    _require_postgresql(database)
    with database.read() as connection:
        if connection.execute(_installed()).first() is None:
            known = sa.select(_available.c.name).where(_available.c.name == "citus")
            raise StateError(_absent(database, connection.execute(known).first() is not None))
        return _spread_of(connection)


def spread_if_citus(database: Database) -> dict[str, Spread] | None:
    """The same; None where the extension is not there."""
    _require_postgresql(database)
    with database.read() as connection:
        return None if connection.execute(_installed()).first() is None else _spread_of(connection)


def distribute(database: Database, wanted: Iterable[Step], tell: Callable[[Step], None]) -> None:
    """Do these steps, one after the other."""
    for step in wanted:
        tell(step)
        with database.write() as connection:
            connection.exec_driver_sql(step.sql)


def _first(declared: sa.MetaData) -> str:
    """The table beside which all others of customers are put."""
    return next(table.name for table in declared.sorted_tables if table.info["owner"] == "customer")


def _reference(table: sa.Table) -> Step:
    return Step(table.name, f"SELECT create_reference_table('{table.name}')")


def _distributed(table: sa.Table, first: str, shards: int) -> Step:
    beside = f"'none', shard_count => {shards}" if table.name == first else f"'{first}'"
    given = f"'{table.name}', '{COLUMN}', colocate_with => {beside}"
    return Step(table.name, f"SELECT create_distributed_table({given})")


def _faults(table: sa.Table, lies: Spread | None, first: Spread | None) -> list[str]:
    name, owner = table.name, table.info["owner"]
    if owner == "engine":
        return [f"{name} is {lies.kind}; it belongs to the coordinator alone"] if lies is not None else []
    wanted = "distributed" if owner == "customer" else "reference"
    if lies is None:
        return [f"{name} is not spread; it should be {wanted}"]
    if lies.kind != wanted:
        return [f"{name} is {lies.kind}; it should be {wanted}"]
    if wanted == "reference":
        return []
    if lies.column != COLUMN:
        return [f"{name} is distributed by {lies.column}; smr needs {COLUMN}"]
    if first is not None and lies.group != first.group:
        return [
            f"{name} does not lie beside the other tables of customers: it is in another colocation group"
        ]
    return []


def _spread_of(connection: Connection) -> dict[str, Spread]:
    name = sa.cast(_spread.c.table_name, sa.Text).label("name")
    asked = sa.select(
        name, _spread.c.citus_table_type, _spread.c.distribution_column, _spread.c.colocation_id
    ).where(_spread.c.citus_table_type.in_(["distributed", "reference"]))
    return {
        row.name.rsplit(".", 1)[-1]: Spread(row.citus_table_type, row.distribution_column, row.colocation_id)
        for row in connection.execute(asked)
    }


def _installed() -> Any:
    return sa.select(_extensions.c.extversion).where(_extensions.c.extname == "citus")


def _require_postgresql(database: Database) -> None:
    if database.dialect != "postgresql":
        raise StateError(
            "a SQLite file lies on one machine: smr db distribute needs a PostgreSQL with the extension citus"
        )


def _absent(database: Database, available: bool) -> str:
    here = f"{database.shown_url} has no extension citus"
    if available:
        return f"{here}, though its server knows it: CREATE EXTENSION citus; add the workers; then again"
    return (
        f"{here}, and its server does not know it. Install Citus there (smr ships none of it), or leave the "
        "database as it is: one PostgreSQL is enough for most shops"
    )
