"""A wider page cache, for work that comes back to the same rows a moment later.

A message is recorded as being sent, and a transaction later as sent: its pages shall still be there.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection

WIDE_KIB = 49_152


def widen_cache(connection: Connection) -> None:
    """Let this connection keep more pages from now on; PostgreSQL's server sees to that by itself."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA cache_size=-{WIDE_KIB}")
