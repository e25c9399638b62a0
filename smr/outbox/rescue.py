"""Messages whose worker died, and messages that came too late.

In: leases that ran out by the database's clock. Out: what was only claimed waits again; what was being
sent is unknown, until the channel can be asked (`settle_unknown`) or an operator decides.
Every function may be killed and run again: it touches only what is still as it was found, a few buckets
at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.crash_points import reached
from smr.database import Database
from smr.database.each import update_each
from smr.database.timing import database_now
from smr.events import MessageState, Reason
from smr.outbox import sql
from smr.outbox.states import check_arrow
from smr.tables import deliveries, messages

BUCKETS_AT_A_TIME = 256
ASKED = "asked the channel"
QUEUED_AGAIN = {"state": MessageState.QUEUED, "reason": None, "settled_at": None, **sql.FREE}


@dataclass(frozen=True)
class Rescued:
    """How many messages of dead workers wait again, and how many are now unknown."""

    queued: int
    unknown: int


@dataclass(frozen=True)
class Unknown:
    """A message of which nobody can say whether it went out."""

    channel: str
    bucket: int
    message_id: str
    customer_id: str
    attempts: int
    tried_at: datetime | None


def rescue(database: Database, *, now: datetime) -> Rescued:
    """Take back what dead workers held. `now` is recorded; what is dead is judged by the database's clock."""
    with database.read() as connection:
        instant = {"database_now": connection.scalar(sa.select(database_now()))}
    queued = _move(database, MessageState.CLAIMED, MessageState.QUEUED, instant, now)
    unknown = _move(database, MessageState.SENDING, MessageState.UNKNOWN, instant, now)
    return Rescued(queued, unknown)


def expire(database: Database, *, now: datetime) -> int:
    """Mark what waits and is useful no more; returns how many."""
    check_arrow(MessageState.QUEUED, MessageState.EXPIRED)
    expired = 0
    values = {"state": MessageState.EXPIRED, "reason": Reason.EXPIRED.value, "settled_at": now}
    for buckets in slices(database, sql.too_late(), {"now": now}):
        with database.write() as connection:
            rows = _locked(connection, buckets, sql.too_late(), {"now": now})
            expired += update_each(connection, messages, _keys(rows), key=sql.KEY, same=values)
    return expired


def unknown_messages(connection: Connection) -> list[Unknown]:
    """The messages of which nobody can say whether they went out, by channel."""
    return [Unknown(*row) for row in connection.execute(sql.unknown())]


def settle_unknown(
    database: Database, asked: Sequence[Unknown], arrived: Mapping[str, bool], *, now: datetime
) -> tuple[int, int]:
    """Settle unknown messages by what the channel says of them: sent, or queued again.

    `arrived` tells by message id; messages it does not name stay unknown. Returns how many were sent and
    queued.
    """
    sent = [one for one in asked if arrived.get(one.message_id) is True]
    again = [one for one in asked if arrived.get(one.message_id) is False]
    found = {"state": MessageState.SENT, "reason": None, "sent_at": now, "settled_at": now, **sql.FREE}
    with database.write() as connection:
        settled = _answer(connection, sent, found)
        _end_attempts(connection, settled, "sent", now, ASKED)
        lost = _answer(connection, again, QUEUED_AGAIN)
        _end_attempts(connection, lost, "refused", now, ASKED)
    return len(settled), len(lost)


def send_again(database: Database, unknown: Sequence[Unknown]) -> int:
    """Queue unknown messages again, for a channel that takes each id once; returns how many.

    Their attempts stay unknown: what follows may be a second delivery, and its history shows it.
    """
    with database.write() as connection:
        return len(_answer(connection, unknown, QUEUED_AGAIN))


def slices(
    database: Database, conditions: Sequence[sa.ColumnElement[bool]], values: Mapping[str, Any]
) -> Iterator[list[int]]:
    """The buckets with messages of which the conditions hold, some at a time, so that none is long."""
    with database.read() as connection:
        buckets = sorted(connection.scalars(sql.buckets_where(*conditions), dict(values)))
    for start in range(0, len(buckets), BUCKETS_AT_A_TIME):
        yield buckets[start : start + BUCKETS_AT_A_TIME]


def _move(
    database: Database, source: MessageState, target: MessageState, instant: Mapping[str, Any], now: datetime
) -> int:
    check_arrow(source, target)
    moved = 0
    for buckets in slices(database, sql.dead(source), instant):
        with database.write() as connection:
            rows = _locked(connection, buckets, sql.dead(source), instant)
            reached("in_rescue")
            same = {"state": target, "token": None} | (
                {"lease_until": None} if target is MessageState.QUEUED else {}
            )
            moved += update_each(connection, messages, _keys(rows), key=sql.KEY, same=same)
            if target is MessageState.UNKNOWN:
                _end_attempts(connection, rows, "unknown", now)
        reached("in_rescue")
    return moved


def _answer(connection: Connection, unknown: Sequence[Unknown], values: Mapping[str, Any]) -> list[Any]:
    check_arrow(MessageState.UNKNOWN, values["state"])
    still = _still_unknown(connection, unknown)
    update_each(connection, messages, _keys(still), key=sql.KEY, same=values)
    return still


def _still_unknown(connection: Connection, asked: Sequence[Unknown]) -> list[Any]:
    if not asked:
        return []
    ids = {one.message_id: one.attempts for one in asked}
    buckets = sorted({one.bucket for one in asked})
    rows = connection.execute(sql.lock_these(buckets, list(ids), MessageState.UNKNOWN))
    return [row for row in rows if ids[row.message_id] == row.attempts]


def _end_attempts(
    connection: Connection, rows: Sequence[Any], result: str, now: datetime, reason: str | None = None
) -> None:
    ended = [
        {
            "bucket": row.bucket,
            "customer_id": row.customer_id,
            "message_id": row.message_id,
            "attempt": row.attempts,
        }
        for row in rows
    ]
    same = {"result": result, "finished_at": now, "reason": reason}
    update_each(connection, deliveries, ended, key=sql.ATTEMPT_KEY, same=same)


def _locked(
    connection: Connection,
    buckets: Sequence[int],
    conditions: Sequence[sa.ColumnElement[bool]],
    values: Mapping[str, Any],
) -> list[Any]:
    return list(connection.execute(sql.lock_where(buckets, *conditions), dict(values)))


def _keys(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"bucket": row.bucket, "message_id": row.message_id} for row in rows]
