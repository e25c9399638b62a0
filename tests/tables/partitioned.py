"""The declared tables with every customer-owned one partitioned by hash of its bucket, for PostgreSQL.

PostgreSQL refuses such a table when a primary key or unique index leaves out the bucket, and shows in its
plans which partitions a statement touches.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.database.migrate import mark_current
from smr.tables import metadata

PARTITIONS = 8


def partitioned(declared: sa.MetaData = metadata) -> sa.MetaData:
    """A copy of the tables, the customer-owned ones partitioned."""
    copies = sa.MetaData(naming_convention=declared.naming_convention)
    for table in declared.tables.values():
        copy = table.to_metadata(copies)
        if table.info["owner"] == "customer":
            copy.dialect_options["postgresql"]["partition_by"] = "HASH (bucket)"
    return copies


def make(connection: Connection) -> None:
    """Make the tables and their partitions."""
    tables = partitioned()
    tables.create_all(connection)
    mark_current(connection)
    for table in tables.tables.values():
        if table.info["owner"] == "customer":
            for number in range(PARTITIONS):
                connection.execute(sa.text(_partition(table.name, number)))


def _partition(table: str, number: int) -> str:
    values = f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number})"
    return f"CREATE TABLE {table}_{number} PARTITION OF {table} {values}"
