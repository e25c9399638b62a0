"""What channels did, counted in spans of ten minutes: for the share of errors, over all processes.

In: a round of delivery. Out: rows of `tallies`, added to. Counting the attempts themselves would read all of
them each minute.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from smr import clock
from smr.database import Database
from smr.delivery import DeliveryReport
from smr.errors import Refusal
from smr.events import MessageState
from smr.tables import tallies

SPAN = 600
HOUR = timedelta(hours=1)
AGAIN = "again"
"""Stands for a message that surely was not sent and is tried again later."""
WENT = frozenset({MessageState.SENT, MessageState.WITH_STAFF, MessageState.DELIVERED})
WRONG = frozenset({MessageState.FAILED, MessageState.UNKNOWN, MessageState.UNDELIVERED})
TRIED = frozenset({*(state.value for state in WENT | WRONG), AGAIN})


def of_report(report: DeliveryReport) -> Counter[tuple[str, str]]:
    """Messages by channel and what became of them; what the guards put off or cancelled is not tried."""
    counted: Counter[tuple[str, str]] = Counter()
    for (channel, state, reason), number in report.messages.items():
        if state == MessageState.QUEUED:
            state = AGAIN if reason in REFUSALS else "put_off"
        counted[channel, state] += number
    return counted


REFUSALS = frozenset(refusal.value for refusal in Refusal)


def record(database: Database, report: DeliveryReport, *, now: datetime) -> None:
    """Add a round of delivery."""
    counted = of_report(report)
    if not counted:
        return
    since = clock.seconds(now) // SPAN * SPAN
    rows = [
        {"channel": channel, "since_at": since, "state": state, "messages": number}
        for (channel, state), number in sorted(counted.items())
    ]
    with database.write() as connection:
        connection.execute(_adding(connection.dialect.name), rows)


def _adding(dialect: str) -> Any:
    build: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = build(tallies)
    return statement.on_conflict_do_update(
        index_elements=list(tallies.primary_key.columns),
        set_={"messages": tallies.c.messages + statement.excluded.messages},
    )


def lately(connection: Connection, *, now: datetime, span: timedelta = HOUR) -> dict[str, Counter[str]]:
    """What became of messages in the last hour, by channel."""
    counted: dict[str, Counter[str]] = {}
    since = tallies.c.since_at > clock.seconds(now - span) - SPAN
    summed = sa.func.sum(tallies.c.messages)
    for channel, state, number in connection.execute(
        sa.select(tallies.c.channel, tallies.c.state, summed)
        .where(since)
        .group_by(tallies.c.channel, tallies.c.state)
    ):
        counted.setdefault(channel, Counter())[state] = int(number)
    return counted


def prune(connection: Connection, *, before: datetime) -> int:
    """Let go of old counts."""
    return connection.execute(sa.delete(tallies).where(tallies.c.since_at < clock.seconds(before))).rowcount
