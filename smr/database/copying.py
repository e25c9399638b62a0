"""Rows from one database into another, past the types that SQLAlchemy would make of them.

In: a SELECT on one database (SQLite or PostgreSQL), a table of a SQLite database. Out: how many rows were
copied. A copy of several tables is of one instant where they are read in one `snapshot`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.database.columns import Utc
from smr.database.engine import Database

AT_ONCE = 10_000

Told = Callable[[int], object]
"""Told how many rows are done."""


@contextmanager
def snapshot(database: Database) -> Iterator[Connection]:
    """A connection for reading that sees one state of the database, whatever others write meanwhile."""
    with database.read() as connection:
        if connection.dialect.name == "postgresql":
            yield connection.execution_options(isolation_level="REPEATABLE READ")
        else:
            yield connection


def copy_rows(
    source: Connection,
    target: Connection,
    table: sa.Table,
    *where: sa.ColumnElement[bool],
    of: sa.Table | None = None,
    told: Told = lambda _done: None,
) -> int:
    """Copy the rows of a table for which all of `where` holds into the same columns of the target's `table`.

    `of` is the table to read where it is another one. Rows come in the order of the target's primary key.
    """
    read = table if of is None else of
    columns = [column for column in table.columns if column.name in read.c]
    ordered = [read.c[column.name] for column in table.primary_key.columns if column.name in read.c]
    select = sa.select(*(_plain(read.c[column.name]) for column in columns)).where(*where).order_by(*ordered)
    packed = [place for place, column in enumerate(columns) if isinstance(column.type, sa.JSON)]
    insert = str(
        sa.insert(table)
        .values({column.name: sa.bindparam(column.name) for column in columns})
        .compile(dialect=target.dialect)
    )
    done = 0
    rows = source.execution_options(yield_per=AT_ONCE).execute(select)
    for some in rows.partitions():
        target.exec_driver_sql(insert, [_row(row, packed) for row in some])
        done += len(some)
        told(done)
    return done


def _plain(column: Any) -> Any:
    return sa.type_coerce(column, sa.BigInteger) if isinstance(column.type, Utc) else column


def _row(row: Sequence[Any], packed: Sequence[int]) -> tuple[Any, ...]:
    if not packed:
        return tuple(row)
    values = list(row)
    for place in packed:
        if values[place] is not None:
            values[place] = json.dumps(values[place])
    return tuple(values)
