"""What one engine has compiled, the next one of its kind uses.

Tests open a database each, and ask the same of it; and turning a statement into text takes longer than
executing it on a few rows. An engine of SQLAlchemy keeps what it compiled for itself: here all engines of a
process that speak alike share it.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Dialect
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache

MOST = 1_500
"""Statements that are kept."""
_compiled: MutableMapping[Any, Any] = LRUCache(MOST)


def share_what_is_compiled() -> None:
    """From now on, in this process."""
    for kind in (SQLiteDialect_pysqlite, PGDialect_psycopg):
        kind.__eq__ = _speaks_alike  # type: ignore[method-assign, assignment]
        kind.__hash__ = _by_kind  # type: ignore[method-assign, assignment]
    sa.event.listen(Engine, "engine_connect", _share)


def _speaks_alike(one: Dialect, other: object) -> bool:
    return type(one) is type(other)


def _by_kind(one: Dialect) -> int:
    return hash(type(one))


def _share(connection: Connection) -> None:
    connection.execution_options(compiled_cache=_compiled)
