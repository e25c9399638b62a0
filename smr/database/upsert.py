"""INSERT that never fails on a key that is already there.

Both dialects spell ON CONFLICT alike but keep it in their own construct; this picks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite


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


def _insert(dialect: str, table: sa.Table, columns: Sequence[str], select: sa.SelectBase | None) -> Any:
    build = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = build(table)
    if select is None:
        return statement
    # SQLite's grammar takes ON CONFLICT after a SELECT only where that SELECT has a WHERE.
    if isinstance(select, sa.Select) and select.whereclause is None and dialect == "sqlite":
        select = select.where(sa.true())
    return statement.from_select(list(columns), select)
