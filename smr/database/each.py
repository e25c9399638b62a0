"""Changing or adding many rows, each with its own values, in one statement.

SQLite runs the statement once per row, which costs it nothing; PostgreSQL takes the values as arrays in
one go.
In: rows as mappings of column name to value, all with the same names; at most a few thousand, of few
buckets.
Out: how many rows were changed or added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection

from smr.database.upsert import insert_missing

Rows = Sequence[Mapping[str, Any]]


def update_each(
    connection: Connection,
    table: sa.Table,
    rows: Rows,
    *,
    key: Sequence[str],
    where: Sequence[sa.ColumnElement[bool]] = (),
    same: Mapping[str, Any] | None = None,
) -> int:
    """UPDATE the rows found by `key`, and by `where`, to their own values and to what is the `same` for
    all.

    `key` begins with bucket; the statement names the buckets it touches, so that it stays in their
    partitions.
    """
    if not rows:
        return 0
    own = [name for name in rows[0] if name not in key]
    update = sa.update(table).where(*where).values(dict(same or {}))
    if connection.dialect.name == "sqlite":
        return _row_by_row(connection, table, update, rows, key, own)
    fresh = _arrays(table, list(rows[0]))
    update = (
        update.where(*(table.c[name] == fresh.c[name] for name in key))
        .where(table.c.bucket.in_(sorted({row["bucket"] for row in rows})))
        .values({name: fresh.c[name] for name in own})
    )
    return connection.execute(update, _columns(rows)).rowcount


def insert_each(connection: Connection, table: sa.Table, rows: Rows) -> int:
    """INSERT the rows that are not there yet, by primary key."""
    if not rows:
        return 0
    names = list(rows[0])
    if connection.dialect.name == "sqlite":
        return connection.execute(insert_missing("sqlite", table), list(rows)).rowcount
    fresh = _arrays(table, names)
    insert = insert_missing(
        "postgresql", table, columns=names, select=sa.select(*(fresh.c[name] for name in names))
    )
    return connection.execute(insert, _columns(rows), execution_options={"preserve_rowcount": True}).rowcount


def _row_by_row(
    connection: Connection,
    table: sa.Table,
    update: sa.Update,
    rows: Rows,
    key: Sequence[str],
    own: Sequence[str],
) -> int:
    update = update.where(*(table.c[name] == _value(table, name) for name in key))
    update = update.values({name: _value(table, name) for name in own})
    return connection.execute(
        update, [{f"each_{name}": value for name, value in row.items()} for row in rows]
    ).rowcount


def _value(table: sa.Table, name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(f"each_{name}", type_=table.c[name].type)


def _arrays(table: sa.Table, names: Sequence[str]) -> sa.TableValuedAlias:
    """`unnest` of one array per column."""
    values = [sa.bindparam(f"each_{name}", type_=ARRAY(_plain(table.c[name].type))) for name in names]
    columns = (sa.column(name, table.c[name].type) for name in names)
    return sa.func.unnest(*values).table_valued(*columns, name="fresh").render_derived()


def _plain(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """A type without its collation, which an array's type cannot carry."""
    return sa.Text() if isinstance(kind, sa.String) else kind


def _columns(rows: Rows) -> dict[str, list[Any]]:
    return {f"each_{name}": [row[name] for row in rows] for name in rows[0]}
