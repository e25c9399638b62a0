"""Is the database sound, and how large is it: what `smr db check` tells.

In: the database, the declared metadata. Out: `Health`. Reads everything: slow on a large database.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.database.engine import Database
from smr.database.files import file_of, network_drive
from smr.database.migrate import HEAD, NETWORK_DRIVE, current_version
from smr.database.shape import Difference, differences
from smr.errors import StateError

SHOWN_FAULTS = 20


@dataclass(frozen=True)
class Health:
    """What was found: nothing in `differences` and `faults` means that all is well.

    `bytes` is the size on disk; `free_bytes` is how much of it is unused (SQLite: given back by VACUUM).
    """

    version: str | None
    needed: str
    differences: tuple[Difference, ...]
    faults: tuple[str, ...]
    warnings: tuple[str, ...]
    bytes: int
    free_bytes: int
    rows: dict[str, int]

    @property
    def sound(self) -> bool:
        """Whether smr can work with this database."""
        return self.version == self.needed and not self.differences and not self.faults


def check(database: Database, declared: sa.MetaData) -> Health:
    """Compare the live schema with the declared one, let the database check itself, and count."""
    version = current_version(database)
    faults = _faults(database)
    if version != HEAD or faults:
        return Health(version, HEAD, (), faults, _warnings(database), *_size(database), rows={})
    found = tuple(differences(database, declared))
    rows = {} if found else _rows(database, declared)
    return Health(version, HEAD, found, faults, _warnings(database), *_size(database), rows=rows)


def _faults(database: Database) -> tuple[str, ...]:
    try:
        with database.read() as connection:
            return _integrity(connection) if database.dialect == "sqlite" else _invalid_indexes(connection)
    except StateError as error:
        return (str(error),)


def _integrity(connection: Connection) -> tuple[str, ...]:
    found = connection.exec_driver_sql(f"PRAGMA integrity_check({SHOWN_FAULTS})").scalars().all()
    return tuple(line for line in found if line != "ok")


def _invalid_indexes(connection: Connection) -> tuple[str, ...]:
    """Indexes whose building was broken off: they are there but not used."""
    index = sa.table("pg_index", sa.column("indexrelid"), sa.column("indrelid"), sa.column("indisvalid"))
    relation = sa.table("pg_class", sa.column("oid"), sa.column("relname"), sa.column("relnamespace"))
    here = sa.func.to_regnamespace(sa.func.quote_ident(sa.func.current_schema()))
    broken = (
        sa.select(relation.c.relname)
        .join(index, index.c.indexrelid == relation.c.oid)
        .where(sa.not_(index.c.indisvalid), relation.c.relnamespace == here)
    )
    names = connection.scalars(broken)
    return tuple(f"the index {name} is not valid; run: REINDEX INDEX {name}" for name in names)


def _warnings(database: Database) -> tuple[str, ...]:
    path = file_of(database)
    drive = network_drive(path) if path else ""
    return (NETWORK_DRIVE.format(url=database.shown_url, drive=drive),) if drive else ()


def _size(database: Database) -> tuple[int, int]:
    """Bytes on disk, and how many of them are unused."""
    path = file_of(database)
    try:
        with database.read() as connection:
            if database.dialect == "postgresql":
                size = sa.select(sa.func.pg_database_size(sa.func.current_database()))
                return int(connection.scalar(size) or 0), 0
            page = int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
            free = int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())
    except StateError:
        return (path.stat().st_size if path and path.exists() else 0), 0
    files = [path, path.with_name(path.name + "-wal")] if path else []
    return sum(one.stat().st_size for one in files if one.exists()), page * free


def _rows(database: Database, declared: sa.MetaData) -> dict[str, int]:
    with database.read() as connection:
        counts = {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table))
            for table in declared.sorted_tables
        }
    return {name: int(count or 0) for name, count in counts.items()}
