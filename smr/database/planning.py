"""What the planner of PostgreSQL is told about tables that a run itself fills."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

WORTH_IT = 1_000
"""Rows from which on a new count is worth its time."""


def read_by_key(connection: Connection) -> None:
    """Have rows looked up by their key until the transaction ends.

    To the planner a new table is small, so that it would read all of it for every row of another; by the end
    of the statement the table has a million rows.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")


def count_again(connection: Connection, table: sa.Table, changed: int = WORTH_IT) -> None:
    """Tell the planner what is in a table of which so many rows were changed.

    Only one transaction at a time can: what is shared by slices is counted before them.
    """
    if connection.dialect.name == "postgresql" and changed >= WORTH_IT:
        connection.exec_driver_sql(f"ANALYZE {table.name}")


def count_grown(connection: Connection, table: sa.Table, rows: int) -> None:
    """The same for a table to which this transaction may have added so many rows, unless it knows of as many.

    To a table that was counted while it was empty the planner goes row by row, for each row of another.
    """
    if connection.dialect.name != "postgresql" or rows < WORTH_IT:
        return
    asked = "SELECT reltuples FROM pg_class WHERE oid = to_regclass(%s)"
    if connection.exec_driver_sql(asked, (table.name,)).scalar_one() < rows:
        count_again(connection, table)
