"""The ways into the outbox stay short however long its history is: each goes by the index made for it."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from smr.database import Database
from smr.events import MessageState
from smr.outbox import sql
from tests.outbox.rows import NOON

VALUES: dict[str, Any] = {
    "now": NOON,
    "channel": "wecom",
    "most": 10,
    "database_now": 1,
    "below": 9,
    "priority": 1,
    "token": "t",
    "given": '[[1, "001a"], [2, "002b"]]',
}


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (sql.channels_waiting(), "messages_queued"),
        (sql.next_priority(), "messages_queued (channel=? AND priority<?)"),
        (sql.in_order(), "messages_queued (channel=? AND priority=?)"),
        (sql.lock_due("sqlite"), "messages_id (bucket=? AND message_id=?)"),
        (sql.unknown(), "messages_unknown"),
        (sql.with_staff(), "messages_with_staff"),
        (sql.lock_mine([1, 2, 3], MessageState.CLAIMED), "messages_held (lease_until>?)"),
        (sql.lock_these([1, 2], ["a", "b"], MessageState.UNKNOWN), "messages_id (bucket=? AND message_id=?)"),
        (sql.buckets_where(*sql.dead(MessageState.SENDING)), "messages_held (lease_until<?)"),
        (sql.lock_where([1, 2], *sql.dead(MessageState.SENDING)), "messages_held (lease_until<?)"),
        (sql.buckets_where(*sql.too_late()), "messages_queued"),
    ],
)
def test_sqlite_goes_by_the_index(sqlite_database: Database, statement: sa.Select[Any], index: str) -> None:
    plans: list[str] = []

    def explain(connection: Any, cursor: Any, written: str, values: Any, *_: Any) -> None:
        if written.startswith("SELECT"):
            steps = cursor.connection.execute(f"EXPLAIN QUERY PLAN {written}", values).fetchall()
            plans.append("; ".join(step[3] for step in steps))

    sa.event.listen(sqlite_database.engine, "before_cursor_execute", explain)
    with sqlite_database.read() as connection:
        connection.execute(statement, VALUES)
    assert "INDEX " + index in plans[0]


@pytest.mark.parametrize(
    "statement",
    [
        sql.lock_due("postgresql"),
        sql.lock_mine([17], MessageState.CLAIMED),
        sql.lock_where([17], *sql.dead(MessageState.SENDING)),
    ],
)
def test_whatever_locks_rows_names_their_buckets(statement: sa.Select[Any]) -> None:
    written = str(statement.compile(dialect=sa.dialects.postgresql.dialect()))  # type: ignore[no-untyped-call]
    assert "messages.bucket IN" in written or "messages.bucket = ANY" in written
    assert "FOR UPDATE" in written
