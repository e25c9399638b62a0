"""The planner of PostgreSQL is told when a run has filled a table that it takes for empty."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from smr.database import Database, count_grown
from smr.tables import bucket_of, unsorted_customers

MANY = 2_000


def known(connection: Connection) -> float:
    """How many rows the planner believes in."""
    asked = "SELECT reltuples FROM pg_class WHERE oid = 'unsorted_customers'::regclass"
    return float(connection.exec_driver_sql(asked).scalar_one())


def test_a_table_that_was_counted_while_empty_is_counted_again_once_it_has_grown(database: Database) -> None:
    names = [f"ana{number}" for number in range(MANY)]
    rows = [{"bucket": bucket_of(name), "customer_id": name} for name in names]
    with database.write() as connection:
        if database.dialect == "sqlite":
            count_grown(connection, unsorted_customers, MANY)
            return
        connection.exec_driver_sql("ANALYZE unsorted_customers")
        assert known(connection) <= 0
        connection.execute(sa.insert(unsorted_customers), rows)
        count_grown(connection, unsorted_customers, 10)
        assert known(connection) <= 0
        count_grown(connection, unsorted_customers, MANY)
        assert known(connection) == MANY
