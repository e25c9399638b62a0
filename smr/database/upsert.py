"""INSERT that never fails on a key that is already there.

Both dialects spell ON CONFLICT alike but keep it in their own construct; this picks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from smr.database.unindexed import unindexed


def insert_missing(
    dialect: str, table: sa.Table, *, columns: Sequence[str] = (), select: sa.SelectBase | None = None
) -> Any:
    """INSERT [… SELECT] … ON CONFLICT DO NOTHING."""
    return _insert(dialect, table, columns, select).on_conflict_do_nothing()


def insert_or_update(
    dialect: str,
    table: sa.Table,
    *,
    update: Iterable[str],
    columns: Sequence[str] = (),
    select: sa.SelectBase | None = None,
    where: Any = None,
) -> Any:
    """INSERT [… SELECT] … ON CONFLICT (primary key) DO UPDATE of the named columns [WHERE …].

    `where` is a callable that takes the row as it would be inserted and returns the condition.
    """
    statement = _insert(dialect, table, columns, select)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={name: statement.excluded[name] for name in update},
        where=None if where is None else where(statement.excluded),
    )


def insert_in_turn(
    table: sa.Table,
    *,
    columns: Sequence[str],
    select: sa.SelectBase,
    then: Callable[[Any], Mapping[str, Any]],
) -> Any:
    """INSERT … SELECT … ORDER BY … on SQLite, where a row changes what those before it left under its key.

    `then` tells the columns that it changes, by the row as it would be inserted. PostgreSQL touches no row
    twice in one statement.
    """
    statement = _insert("sqlite", table, columns, select)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_=dict(then(statement.excluded))
    )


def update_or_insert(
    table: sa.Table,
    *,
    keys: Mapping[str, Any],
    update: Mapping[str, Any],
    insert: Mapping[str, Any],
) -> list[Any]:
    """The same on SQLite for many rows of a temporary table: UPDATE what is there, INSERT the rest.

    `keys` tell the primary key, `update` and `insert` what else is written, all by columns of that table; a
    row that is as told stays untouched.

    An upsert can be undone by itself, for which SQLite keeps a copy of each page that it touches. These two
    take the transaction with them where they fail (OR FAIL), and nothing is copied, unless they call a
    function: any may fail.
    """
    same = [table.c[name] == unindexed(value) for name, value in keys.items()]
    unlike = sa.or_(*(table.c[name].is_distinct_from(value) for name, value in update.items()))
    changed = sa.update(table).values(update).where(*same, unlike).prefix_with("OR FAIL")
    row = {**keys, **insert}
    told = sa.select(*(value.label(name) for name, value in row.items()))
    added = insert_missing("sqlite", table, columns=list(row), select=told).prefix_with("OR FAIL")
    return [changed, added]


def _insert(dialect: str, table: sa.Table, columns: Sequence[str], select: sa.SelectBase | None) -> Any:
    build = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = build(table)
    if select is None:
        return statement
    # SQLite's grammar takes ON CONFLICT after a SELECT only where that SELECT has a WHERE.
    if isinstance(select, sa.Select) and select.whereclause is None and dialect == "sqlite":
        select = select.where(sa.true())
    return statement.from_select(list(columns), select)
