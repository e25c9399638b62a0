"""Rows that a statement is given, to be joined like a table: each found by the index of its key.

IN lists side by side would be looked up in every combination: a million for a thousand rows. So the rows are
one JSON text on SQLite and an array per column on PostgreSQL, as its text, which is written here: the driver
looks at each value several times. A statement is built once, however many rows there are, and gets them with
its other values (`bound`).
In: columns by name and type; rows as sequences in that order; at most a few thousand, of few buckets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection, Dialect

from smr.database.unindexed import unindexed

Columns = Mapping[str, sa.types.TypeEngine[Any]]
GIVEN = "given"
BUCKETS = "given_buckets"
ANYWHERE = "given_anywhere"
MANY_BUCKETS = 64
"""From so many on they are not named: all partitions have some, and each row would be held against them."""
PLACE: Columns = {"bucket": sa.SmallInteger(), "message_id": sa.Text()}
"""Where a message lies."""


def given(dialect: str, columns: Columns) -> sa.FromClause:
    """The rows, as something to join."""
    return _listed(columns) if dialect == "sqlite" else _arrays(columns)


def bound(connection: Connection, columns: Columns, rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The values by which a statement that joins `given` gets these rows."""
    dialect = connection.dialect
    if dialect.name == "sqlite":
        return {GIVEN: json.dumps(_plain_rows(dialect, columns, rows), ensure_ascii=False)}
    by_column = zip(*_plain_rows(dialect, columns, rows), strict=True)
    values = {f"{GIVEN}_{name}": _array(value) for name, value in zip(columns, by_column, strict=True)}
    buckets = sorted({row[0] for row in rows})
    anywhere = len(buckets) >= MANY_BUCKETS
    return {**values, ANYWHERE: anywhere, BUCKETS: [] if anywhere else buckets}


def within(dialect: str, table: Any) -> sa.ColumnElement[bool]:
    """The condition that names the buckets of the rows, for partitions; nothing on SQLite, which has none.

    The first column of the rows must be their bucket. Of `anywhere` nothing is left when a statement is
    planned for its own values.
    """
    if dialect == "sqlite":
        return sa.true()
    anywhere = sa.bindparam(ANYWHERE, type_=sa.Boolean())
    buckets = sa.bindparam(BUCKETS, type_=ARRAY(sa.SmallInteger))
    return sa.or_(anywhere, unindexed(table.c.bucket) == sa.any_(buckets))


def matches(table: Any, rows: sa.FromClause, names: Iterable[str]) -> sa.ColumnElement[bool]:
    """The condition that a row of the table has these columns' values of one of the rows."""
    return sa.and_(*(table.c[name] == rows.c[name] for name in names))


def bucket_in(message_id: str) -> int:
    """The bucket that a message id begins with, in three digits."""
    return int(message_id[:3], 16)


def buckets_of(message_ids: Sequence[str]) -> list[int]:
    """The bucket of each message id."""
    return list(map(bucket_in, message_ids))


def places(message_ids: Sequence[str]) -> list[tuple[int, str]]:
    """Rows of `PLACE` for these messages."""
    return list(zip(buckets_of(message_ids), message_ids, strict=True))


def _listed(columns: Columns) -> sa.FromClause:
    row = sa.func.json_each(sa.bindparam(GIVEN, type_=sa.Text())).table_valued("value", name="row").c.value
    picked = (
        sa.func.json_extract(row, sa.literal(f"$[{place}]", literal_execute=True), type_=kind).label(name)
        for place, (name, kind) in enumerate(columns.items())
    )
    return sa.select(*picked).subquery(GIVEN)


def _arrays(columns: Columns) -> sa.FromClause:
    arrays = [sa.bindparam(f"{GIVEN}_{name}", type_=_Written(_plain(kind))) for name, kind in columns.items()]
    typed = (sa.column(name, kind) for name, kind in columns.items())
    return sa.func.unnest(*arrays).table_valued(*typed, name=GIVEN).render_derived()


class _Written(sa.types.TypeDecorator[Any]):
    """An array handed in as its text: see `_array`."""

    impl = ARRAY
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> None:
        """Nothing is done with the text."""


def _array(values: Sequence[Any]) -> str:
    """PostgreSQL's text of an array of plain values: numbers, truths, texts, nothing."""
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


def _plain(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """A type without its collation, which an array's type cannot carry."""
    return sa.Text() if isinstance(kind, sa.String) else kind


def _plain_rows(dialect: Dialect, columns: Columns, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """The rows with values as the database keeps them."""
    turned: dict[int, Callable[[Any], Any]] = {}
    for place, kind in enumerate(columns.values()):
        turn = kind.dialect_impl(dialect).bind_processor(dialect)
        if turn is not None:
            turned[place] = turn
    if not turned:
        return rows
    return [
        [turned[place](value) if place in turned else value for place, value in enumerate(row)]
        for row in rows
    ]
