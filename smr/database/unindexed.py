"""A column that the planner of SQLite shall not look up in an index.

SQLite keeps no statistics until asked to, and prefers an index on equal values to a small partial index,
however long a bucket's history is. PostgreSQL sees the column as it is, and prunes partitions by it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import Grouping


class unindexed(Grouping[Any]):  # noqa: N801 - reads as what it makes of a column
    """The column itself; on SQLite marked as not to be looked up."""

    inherit_cache = True


@compiles(unindexed)
def _as_it_is(element: Any, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.element, **options))


@compiles(unindexed, "sqlite")
def _marked(element: Any, compiler: Any, **options: Any) -> str:
    return f"+{compiler.process(element.element, **options)}"


__all__ = ["unindexed"]
