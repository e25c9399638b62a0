"""Temporary tables: they are seen by one connection, and end with it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection


def temporary(name: str, *parts: sa.Column[Any] | sa.Index, **options: Any) -> sa.Table:
    """A temporary table."""
    return sa.Table(name, sa.MetaData(), *parts, prefixes=["TEMPORARY"], **options)


def make_temporary(connection: Connection, *tables: sa.Table) -> None:
    """Make these, where they are not there from an earlier transaction."""
    for table in tables:
        connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
