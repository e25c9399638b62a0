"""A column that the planner of SQLite shall not look up in an index.

SQLite keeps no statistics until asked to, and prefers an index on equal values to a small partial index,
however long a bucket's history is. PostgreSQL sees the column as it is, and prunes partitions by it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class unindexed(FunctionElement[Any]):  # noqa: N801 - reads as what it makes of a column
    """The column itself; on SQLite marked as not to be looked up."""

    inherit_cache = True

    def __init__(self, column: sa.ColumnElement[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(unindexed)
def _plain(element: Any, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(unindexed, "sqlite")
def _marked(element: Any, compiler: Any, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


__all__ = ["unindexed"]
