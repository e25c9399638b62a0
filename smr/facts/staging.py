"""Temporary tables in which a whole source waits until it is known to be good.

In: rows as tuples. Out: the same rows in the order of their key, numbered by `position`, so that merging
goes through the database from front to back, a slice at a time. Nothing here touches what others can see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.database import Session, temporary

SLICE = 20_000
"""Rows merged in one transaction: a fraction of a second."""


@dataclass(frozen=True)
class Slice:
    """Neighbouring positions of ordered rows, and the buckets they are in."""

    first: int
    last: int
    first_bucket: int
    last_bucket: int

    @property
    def rows(self) -> int:
        """How many they are."""
        return self.last - self.first + 1

    @property
    def bounds(self) -> dict[str, int]:
        """The parameters of a statement over this slice."""
        return {
            "first": self.first,
            "last": self.last,
            "first_bucket": self.first_bucket,
            "last_bucket": self.last_bucket,
        }


def ordered_like(staged: sa.Table) -> sa.Table:
    """The table for the same rows in order."""
    position = sa.Column("position", sa.Integer, primary_key=True)
    return temporary("ordered", position, *(sa.Column(column.name, column.type) for column in staged.columns))


def create(session: Session, *tables: sa.Table) -> None:
    """Make these temporary tables."""
    with session.aside() as connection:
        for table in tables:
            table.create(connection)


def putter(
    connection: Connection, table: sa.Table, names: Sequence[str] = ()
) -> Callable[[Iterable[tuple[Any, ...]]], None]:
    """What puts rows into a temporary table the fastest way: tuples on SQLite, COPY on PostgreSQL."""
    names = names or [column.name for column in table.columns]
    columns = f"{table.name} ({', '.join(names)})"
    if connection.dialect.name == "sqlite":
        statement = f"INSERT INTO {columns} VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        return lambda rows: _execute_many(connection, statement, rows)
    return lambda rows: _copy(connection, f"COPY {columns} FROM STDIN", rows)


def _execute_many(connection: Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    listed = rows if isinstance(rows, list) else list(rows)
    if listed:
        connection.exec_driver_sql(statement, listed)


def _copy(connection: Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    raw: Any = connection.connection.dbapi_connection
    with raw.cursor().copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def put_in_order(
    session: Session, staged: sa.Table, ordered: sa.Table, columns: Sequence[Any], order_by: Sequence[Any]
) -> None:
    """Move all staged rows over, in order."""
    names = [column.name for column in ordered.columns if column.name != "position"]
    with session.aside() as connection:
        if session.dialect == "postgresql":
            connection.exec_driver_sql("SET LOCAL work_mem = '64MB'")
        select = sa.select(*columns).order_by(*order_by)
        connection.execute(sa.insert(ordered).from_select(names, select))
        staged.drop(connection)
        if session.dialect == "postgresql":
            connection.exec_driver_sql(f"ANALYZE {ordered.name}")


def slices(session: Session, ordered: sa.Table, size: int | None = None) -> list[Slice]:
    """The ordered rows, cut into slices of neighbours."""
    size = size or SLICE
    position = ordered.c.position
    bucket = ordered.c.bucket if "bucket" in ordered.c else sa.literal(0)
    with session.aside() as connection:
        first, last = connection.execute(sa.select(sa.func.min(position), sa.func.max(position))).one()
        if first is None:
            return []
        starts = range(first, last + 1, size)
        ends = [min(start + size - 1, last) for start in starts]
        edges = sa.select(position, bucket).where(position.in_(sa.bindparam("at", expanding=True)))
        buckets: dict[int, int] = {}
        for piece in in_pieces([*starts, *ends], 500):
            buckets.update((at, number) for at, number in connection.execute(edges, {"at": piece}))
    return [Slice(start, end, buckets[start], buckets[end]) for start, end in zip(starts, ends, strict=True)]


def within(ordered: sa.Table) -> Any:
    """The condition that an ordered row is in the slice of the parameters."""
    return ordered.c.position.between(sa.bindparam("first"), sa.bindparam("last"))


def near(dialect: str, table: sa.Table) -> Any:
    """The condition that a stored row can be in the slice at all.

    PostgreSQL would else read a whole table for each slice; SQLite looks each row up, and must not be
    led to begin with the stored table.
    """
    if dialect == "sqlite":
        return sa.true()
    return table.c.bucket.between(sa.bindparam("first_bucket"), sa.bindparam("last_bucket"))


def in_pieces(rows: Iterable[Any], size: int) -> Iterable[list[Any]]:
    """Rows in lists of at most `size`."""
    source = iter(rows)
    while piece := list(islice(source, size)):
        yield piece
