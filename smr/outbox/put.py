"""Putting rendered messages into the outbox, each once.

In: rows in the order of `COLUMNS`, within the caller's transaction. Out: how many of them were new.
A row whose reminder is in the outbox already changes nothing, whatever became of the message since.
Times are whole seconds; `attachments` is JSON text or None. The rows go past SQLAlchemy's types straight
to the driver (tuples on SQLite, COPY on PostgreSQL), which is what makes this fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Connection

from smr.crash_points import reached
from smr.outbox import sql

COLUMNS = sql.PUT_COLUMNS
"""The order of a row's values: bucket, customer_id, playbook, step, anchor, message_id, channel, address,
purpose, subject, body, html, attachments, priority, due_at, send_after, expires_at, run_id, version,
queued_at."""

Row = tuple[Any, ...]


def put(connection: Connection, rows: Sequence[Row]) -> int:
    """Queue these messages; returns how many were new. Runs within the caller's transaction.

    Rows come by some thousands; in the order of the key they go in twice as fast.
    """
    if not rows:
        return 0
    reached("outbox_put_row")
    new = (
        _put_sqlite(connection, rows)
        if connection.dialect.name == "sqlite"
        else _put_postgresql(connection, rows)
    )
    reached("outbox_after_put")
    return new


def _put_sqlite(connection: Connection, rows: Sequence[Row]) -> int:
    return connection.exec_driver_sql(sql.PUT_SQLITE, list(rows)).rowcount


def _put_postgresql(connection: Connection, rows: Sequence[Row]) -> int:
    """Copy into a table of this session alone, then take over what is new."""
    connection.exec_driver_sql(sql.STAGING_POSTGRESQL)
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - a connection in use has its driver
    with driver.cursor() as cursor, cursor.copy(sql.COPY_POSTGRESQL) as copy:
        for row in rows:
            copy.write_row(row)
    new = connection.exec_driver_sql(sql.PUT_POSTGRESQL).rowcount
    connection.exec_driver_sql(sql.EMPTY_POSTGRESQL)
    return new
