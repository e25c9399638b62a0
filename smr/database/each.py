"""Changing or adding many rows, each with its own values, in one statement.

In: rows as mappings of column name to value, all with the same names; at most a few thousand, of few
buckets.
Out: how many rows were changed or added, or which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.database.given import Columns, bound, given, matches, within
from smr.database.upsert import insert_missing

Rows = Sequence[Mapping[str, Any]]
HANDED_IN = frozenset({"bucket", "customer_id", "message_id", "attempt"})
"""Said of each row, though they may all be alike: PostgreSQL takes a value that is said once for a rare one,
and would look up all rows that have it, when nearly all are first attempts.
"""


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
    update, values = _update(connection, table, rows, key, where, same)
    return connection.execute(update, values).rowcount


def changed_each(
    connection: Connection,
    table: sa.Table,
    rows: Rows,
    *,
    key: Sequence[str],
    tell: str,
    where: Sequence[sa.ColumnElement[bool]] = (),
    same: Mapping[str, Any] | None = None,
) -> set[Any]:
    """The same; returns the column `tell` of the rows that were changed."""
    if not rows:
        return set()
    update, values = _update(connection, table, rows, key, where, same)
    return set(connection.execute(update.returning(table.c[tell]), values).scalars())


def insert_each(
    connection: Connection, table: sa.Table, rows: Rows, *, same: Mapping[str, Any] | None = None
) -> int:
    """INSERT the rows that are not there yet, by primary key, with what is the `same` for all."""
    if not rows:
        return 0
    alike = _alike(rows)
    names = [name for name in _first_bucket(rows) if name not in alike]
    dialect, columns = connection.dialect.name, _columns(table, names)
    fresh = given(dialect, columns)
    once = {name: sa.literal(value, table.c[name].type) for name, value in {**alike, **(same or {})}.items()}
    values_of = [*(fresh.c[name] for name in names), *once.values()]
    insert = insert_missing(dialect, table, columns=[*names, *once], select=sa.select(*values_of))
    values = bound(connection, columns, _values(rows, names))
    return connection.execute(insert, values, execution_options={"preserve_rowcount": True}).rowcount


def _update(
    connection: Connection,
    table: sa.Table,
    rows: Rows,
    key: Sequence[str],
    where: Sequence[sa.ColumnElement[bool]],
    same: Mapping[str, Any] | None,
) -> tuple[sa.Update, dict[str, Any]]:
    alike = _alike(rows)
    names = [name for name in _first_bucket(rows) if name not in alike]
    dialect, columns = connection.dialect.name, _columns(table, names)
    fresh = given(dialect, columns)
    found = [matches(table, fresh, [name for name in key if name in names])]
    found += [table.c[name] == sa.literal(alike[name], table.c[name].type) for name in key if name in alike]
    own = {name: fresh.c[name] for name in names if name not in key}
    own |= {name: value for name, value in alike.items() if name not in key}
    update = sa.update(table).where(*found, *where, within(dialect, table)).values({**(same or {}), **own})
    return update, bound(connection, columns, _values(rows, names))


def _alike(rows: Rows) -> dict[str, Any]:
    """What is the same in all rows, and need not be handed in with each; whose they are always is."""
    first = rows[0]
    return {
        name: value
        for name, value in first.items()
        if name not in HANDED_IN and set(map(itemgetter(name), rows)) == {value}
    }


def _first_bucket(rows: Rows) -> list[str]:
    return ["bucket", *(name for name in rows[0] if name != "bucket")]


def _columns(table: sa.Table, names: Sequence[str]) -> Columns:
    return {name: table.c[name].type for name in names}


def _values(rows: Rows, names: Sequence[str]) -> list[Sequence[Any]]:
    """The rows as tuples; a key has at least two columns."""
    return list(map(itemgetter(*names), rows))
