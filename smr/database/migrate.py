"""The schema's versions: making a new database, refusing one of another version, upgrading.

In: a `Database`. Out: the database at `HEAD`, or StateError saying what to do.
All steps of an upgrade share one transaction, so that a kill leaves the old schema or the new one.
The trap: whoever finds no version must look again under the lock, since another process may just
have made the tables.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.database.engine import Database
from smr.database.files import Progress, backup, file_of, network_drive, silent
from smr.errors import StateError

log = logging.getLogger(__name__)

HEAD = "0016"
"""The schema version this program works with: the newest file in the folder of migrations."""

LOCK = 0x736D72  # "smr"
NETWORK_DRIVE = (
    "the database {url} lies on a network drive ({drive}), where SQLite's locks do not hold. "
    "Use a local disk, or PostgreSQL."
)

versions = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), nullable=False))


@dataclass(frozen=True)
class Upgraded:
    """What an upgrade did: the version before (None: an empty database), now, and where the backup lies."""

    before: str | None
    after: str
    backup: Path | None = None


def head_version() -> str:
    """The schema version this program works with."""
    return HEAD


def current_version(database: Database) -> str | None:
    """The schema version of the database; None where it has none."""
    try:
        with database.read() as connection:
            return connection.scalar(sa.select(versions.c.version_num))
    except (sa.exc.OperationalError, sa.exc.ProgrammingError) as error:
        if _is_missing_table(error):
            return None
        raise


def ensure_current(database: Database) -> None:
    """Make the tables in an empty database; refuse one whose version is not this program's.

    Costs one SELECT where the version is right. Raises StateError.
    """
    warn_of_network_drive(database)
    version = current_version(database)
    if version == HEAD:
        return
    if version is None:
        _create(database)
        return
    _refuse_newer(database, version)
    raise StateError(
        f"the database {database.shown_url} has schema version {version}; this program works with {HEAD}. "
        "Run: smr db upgrade"
    )


def upgrade(database: Database, progress: Progress = silent) -> Upgraded:
    """Bring the schema to `HEAD`, in one transaction; a SQLite file that holds rows is copied first.

    Raises StateError for a newer schema and for a database that holds something else.
    """
    before = current_version(database)
    if before is None:
        _create(database)
        return Upgraded(before, HEAD)
    if before == HEAD:
        return Upgraded(before, HEAD)
    _refuse_newer(database, before)
    kept = _backup_before(database, before, progress)
    with database.write() as connection:
        lock(connection)
        if connection.scalar(sa.select(versions.c.version_num)) != HEAD:
            apply(connection)
    return Upgraded(before, HEAD, kept)


def warn_of_network_drive(database: Database) -> None:
    """Log a warning where a SQLite file lies on a network drive."""
    path = file_of(database)
    drive = network_drive(path) if path else ""
    if drive:
        log.warning(NETWORK_DRIVE.format(url=database.shown_url, drive=drive))


def _refuse_newer(database: Database, version: str) -> None:
    if version.isdigit() and int(version) <= int(HEAD):
        return
    raise StateError(
        f"the database {database.shown_url} has schema version {version}, made by a newer smr; this program "
        f"knows versions up to {HEAD}. Install an smr that knows schema version {version}."
    )


def apply(connection: Connection, version: str = "head") -> None:
    """Run the migrations up to a version (`base` takes all tables away) in the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(folder()).replace("%", "%%"))
    if version == "base":
        command.downgrade(config, version)
    else:
        command.upgrade(config, version)


def folder() -> Path:
    """Where the migrations lie: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def lock(connection: Connection) -> None:
    """Let one process at a time change the schema, until its transaction ends.

    On SQLite the writing transaction is that lock already.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))


def mark_current(connection: Connection) -> None:
    """Note in a database whose tables were made from the declaration that they are at `HEAD`."""
    versions.create(connection, checkfirst=True)
    connection.execute(sa.delete(versions))
    connection.execute(sa.insert(versions).values(version_num=HEAD))


def _create(database: Database) -> None:
    with database.write() as connection:
        lock(connection)
        tables = sa.inspect(connection).get_table_names()
        if versions.name in tables:
            return
        if tables:
            raise StateError(
                f"the database {database.shown_url} holds tables of something else ({_some(tables)}). Name "
                "an empty database (on PostgreSQL also: an own schema, with ?options=-csearch_path%3DNAME)."
            )
        apply(connection)


def _backup_before(database: Database, version: str, progress: Progress) -> Path | None:
    """Copy the file to one beside it, unless it is empty; PostgreSQL is left to its own tools."""
    path = file_of(database)
    if path is None or not _has_rows(database):
        return None
    name = f"{path.name}.before-{HEAD}"
    target = path.with_name(name)
    while target.exists():
        name += "~"
        target = path.with_name(name)
    backup(database, target, progress)
    return target


def _has_rows(database: Database) -> bool:
    with database.read() as connection:
        names = set(sa.inspect(connection).get_table_names()) - {versions.name}
        tables = [sa.table(name) for name in sorted(names)]
        return any(connection.scalar(sa.select(sa.literal(1)).select_from(one).limit(1)) for one in tables)


def _some(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:3])
    return shown + (", …" if len(names) > 3 else "")


def _is_missing_table(error: sa.exc.DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) == "42P01" or "no such table" in str(error.orig)
