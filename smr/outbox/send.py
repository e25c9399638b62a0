"""From claimed to sending: the last judgement, and the record that is made before the call.

In: claimed messages, or messages taken in this very transaction, and a judge. Out: those that may be sent
now, with their attempt rows written. The caller commits before it calls the channel. A message that another
has taken over meanwhile (its lease ran out) is left out silently: it is in other hands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.database.each import changed_each, insert_each, update_each
from smr.database.timing import database_now
from smr.events import MessageState, Reason
from smr.outbox import sql
from smr.outbox.claim import Claimed
from smr.outbox.states import check_arrow
from smr.tables import deliveries, messages

WAITS = frozenset(
    {
        Reason.REFUND_OPEN,
        Reason.QUIET_HOURS,
        Reason.TOO_SOON,
        Reason.FREQUENCY_CAP,
        Reason.FATIGUE,
        Reason.CONTENT_MIX,
        Reason.OUT_OF_STOCK,
    }
)
"""Reasons that pass by themselves: the message waits; every other reason cancels it."""
WAIT = timedelta(hours=1)
"""How long a message waits whose guard does not say until when."""


class Verdict(Protocol):
    """Why a message must not be sent now, and until when, where it may be sent later."""

    @property
    def reason(self) -> Reason:
        """Why."""

    @property
    def until(self) -> datetime | None:
        """When to try again."""


Judge = Callable[[Connection, Sequence[Claimed]], Mapping[str, Verdict]]
"""Takes claimed messages; gives a verdict by message id for those that must not be sent now."""


@dataclass(frozen=True)
class Stopped:
    """A claimed message that is not sent now: the state it went to, and why."""

    message: Claimed
    state: MessageState
    reason: Reason
    send_after: datetime | None = None


@dataclass(frozen=True)
class Begun:
    """What became of a batch: to be sent now, and stopped."""

    sending: tuple[Claimed, ...]
    stopped: tuple[Stopped, ...]


def begin_sending(
    connection: Connection,
    claimed: Sequence[Claimed],
    judge: Judge,
    *,
    lease_seconds: int,
    now: datetime,
    owner: str | None = None,
    again: bool = False,
) -> Begun:
    """Judge these messages once more, and record that those which pass are being sent.

    Each of them gets an attempt row and a new lease. To be committed before the channel is called. `owner` is
    named where the messages were only taken (`take`), and are claimed and begun at once. `again`: this was
    tried before, and nobody knows whether it was committed; what is found recorded counts as begun.
    """
    _durably(connection)
    recorded = still_mine(connection, claimed, MessageState.SENDING) if again else []
    done = {message.message_id for message in recorded}
    waiting = [message for message in claimed if message.message_id not in done]
    waiting = once_each(connection, waiting, MessageState.CLAIMED)
    verdicts = judge(connection, waiting) if waiting else {}
    stops = [
        _stop(message, verdicts.get(message.message_id), now)
        for message in waiting
        if message.expires_at <= now or message.message_id in verdicts
    ]
    halted = {stop.message.message_id for stop in stops}
    passed = [message for message in waiting if message.message_id not in halted]
    stopped = _record_stopped(connection, stops, now, owner)
    sending = _record_sending(connection, passed, lease_seconds, now, owner)
    return Begun((*recorded, *sending), tuple(stopped))


def renew(connection: Connection, claimed: Sequence[Claimed], *, lease_seconds: int) -> int:
    """Hold these messages for longer, as far as they are still held; returns how many are."""
    mine = [
        *still_mine(connection, claimed, MessageState.CLAIMED),
        *still_mine(connection, claimed, MessageState.SENDING),
    ]
    return update_each(
        connection, messages, _keys(mine), key=sql.KEY, same={"lease_until": _lease(lease_seconds)}
    )


def release(connection: Connection, claimed: Sequence[Claimed]) -> int:
    """Put back what was claimed and not begun; returns how many were still held."""
    check_arrow(MessageState.CLAIMED, MessageState.QUEUED)
    mine = still_mine(connection, claimed, MessageState.CLAIMED)
    return update_each(
        connection, messages, _keys(mine), key=sql.KEY, same={"state": MessageState.QUEUED, **sql.FREE}
    )


def still_mine(connection: Connection, claimed: Sequence[Claimed], state: MessageState) -> list[Claimed]:
    """Those of the messages that are in `state` under the very token they were claimed with; locks them."""
    held: set[tuple[str, str]] = set()
    for token in sorted({message.token for message in claimed}):
        buckets = sorted({message.bucket for message in claimed if message.token == token})
        found = connection.execute(sql.lock_mine(buckets, state), {"token": token})
        held.update((row.message_id, token) for row in found)
    return [message for message in claimed if message.hold in held]


def once_each(connection: Connection, claimed: Sequence[Claimed], state: MessageState) -> list[Claimed]:
    """The same, without holds that are no more where there are several on one message.

    A worker that slept past its lease may have claimed a message anew beside the hold that it lost.
    """
    if len({message.message_id for message in claimed}) == len(claimed):
        return list(claimed)
    return still_mine(connection, claimed, state)


def _durably(connection: Connection) -> None:
    """Have this commit reach the disk, also on a server that is set to answer sooner."""
    if connection.dialect.name == "postgresql":
        off = sa.func.current_setting("synchronous_commit") == "off"
        connection.execute(sa.select(sa.func.set_config("synchronous_commit", "on", True)).where(off))


def _stop(message: Claimed, verdict: Verdict | None, now: datetime) -> Stopped:
    return Stopped(message, *fate(verdict, message.expires_at, now))


def fate(
    verdict: Verdict | None, expires_at: datetime, now: datetime
) -> tuple[MessageState, Reason, datetime | None]:
    """What becomes of a message that is not sent now: its state, why, and from when on it is tried again."""
    if verdict is None or expires_at <= now:
        return MessageState.EXPIRED, Reason.EXPIRED, None
    if verdict.until is None and verdict.reason not in WAITS:
        return MessageState.CANCELLED, verdict.reason, None
    later = max(verdict.until or now + WAIT, now + timedelta(minutes=1))
    if later >= expires_at:
        return MessageState.EXPIRED, verdict.reason, None
    return MessageState.QUEUED, verdict.reason, later


def _record_stopped(
    connection: Connection, stops: Sequence[Stopped], now: datetime, owner: str | None
) -> list[Stopped]:
    stopped: set[str] = set()
    for state in (MessageState.CANCELLED, MessageState.EXPIRED, MessageState.QUEUED):
        some = [stop for stop in stops if stop.state is state]
        reasons = [{"reason": stop.reason.value} for stop in some]
        later = [{} if stop.send_after is None else {"send_after": stop.send_after} for stop in some]
        same = {"state": state, **sql.FREE} | ({} if state is MessageState.QUEUED else {"settled_at": now})
        own = [{**reason, **until} for reason, until in zip(reasons, later, strict=True)]
        stopped |= _move(connection, [stop.message for stop in some], own, state, same, owner)
    return [stop for stop in stops if stop.message.message_id in stopped]


def _record_sending(
    connection: Connection, passed: Sequence[Claimed], lease_seconds: int, now: datetime, owner: str | None
) -> list[Claimed]:
    same: dict[str, Any] = {
        "state": MessageState.SENDING,
        "reason": None,
        "lease_until": _lease(lease_seconds),
    }
    if owner is not None and passed:
        same |= {"owner": owner, "token": passed[0].token}
    own = [{"attempts": message.attempt} for message in passed]
    begun = _move(connection, passed, own, MessageState.SENDING, same, owner)
    sending = [message for message in passed if message.message_id in begun]
    attempts = [_attempt(message) for message in sending]
    insert_each(connection, deliveries, attempts, same={"started_at": now, "result": "sending"})
    return sending


def _move(
    connection: Connection,
    held: Sequence[Claimed],
    own: Sequence[dict[str, Any]],
    state: MessageState,
    same: dict[str, Any],
    owner: str | None,
) -> set[str]:
    """Move what is still held, under its token or by this transaction's lock; the ids of what was moved."""
    source, key = (MessageState.CLAIMED, sql.FENCE) if owner is None else (MessageState.QUEUED, sql.KEY)
    check_arrow(source, state)
    rows = [
        {"bucket": message.bucket, "message_id": message.message_id, **one}
        for message, one in zip(held, own, strict=True)
    ]
    if owner is None:
        for row, message in zip(rows, held, strict=True):
            row["token"] = message.token
    if owner is None:
        where = (sql.is_in(source),)
        return changed_each(connection, messages, rows, key=key, tell="message_id", where=where, same=same)
    update_each(connection, messages, rows, key=key, same=same)  # locked by `take`, as queued
    return {message.message_id for message in held}


def _attempt(message: Claimed) -> dict[str, Any]:
    return {
        "bucket": message.bucket,
        "customer_id": message.customer_id,
        "message_id": message.message_id,
        "attempt": message.attempt,
        "channel": message.channel,
    }


def _keys(claimed: Iterable[Claimed]) -> list[dict[str, Any]]:
    return [{"bucket": message.bucket, "message_id": message.message_id} for message in claimed]


def _lease(lease_seconds: int) -> sa.ColumnElement[int]:
    return database_now() + sa.literal(lease_seconds, sa.BigInteger)
