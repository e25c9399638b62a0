"""What the channel answered, written down: in groups, and only by who still holds the messages.

In: settlements of messages in sending. Out: how many were settled; the rest is in other hands by now
(the lease ran out, and a rescue has marked them unknown), and its truth is found there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.database.each import changed_each, update_each
from smr.events import MessageState as S
from smr.outbox import sql
from smr.outbox.claim import Claimed
from smr.outbox.send import once_each
from smr.outbox.states import check_arrow
from smr.tables import deliveries, messages

RESULTS = {
    S.SENT: "sent",
    S.WITH_STAFF: "sent",
    S.FAILED: "refused",
    S.QUEUED: "refused",
    S.UNKNOWN: "unknown",
}
"""How an attempt ended, by the state it left its message in."""
PUT_OFF = "put_off"
"""How it ended where the channel is to blame for it, not the message."""


@dataclass(frozen=True)
class Onward:
    """The next channel of a step, and the customer's address there."""

    channel: str
    address: str


class Settlement(NamedTuple):
    """How an attempt ended for one message: the state it goes to.

    `send_after` is for those queued again; `onward` where they are then sent by another channel. `reason` is
    a channel's refusal, or None; `detail` is kept with the attempt. `blame`: the refusal is the message's own
    fault, not the channel's, and counts.
    """

    message: Claimed
    state: S
    reason: str | None = None
    detail: str | None = None
    provider_id: str | None = None
    send_after: datetime | None = None
    onward: Onward | None = None
    blame: bool = True


def settle(connection: Connection, settlements: Sequence[Settlement], *, now: datetime) -> list[Settlement]:
    """Record how these attempts ended; returns those that were recorded, as the messages were still held."""
    held = {one.hold for one in once_each(connection, [one.message for one in settlements], S.SENDING)}
    of_states: dict[S, list[Settlement]] = {}
    for settlement in settlements:
        if settlement.message.hold in held:
            of_states.setdefault(settlement.state, []).append(settlement)
    recorded: list[Settlement] = []
    for state, of_state in of_states.items():
        mine = _settle_messages(connection, of_state, state, now)
        _settle_attempts(connection, [one for one in mine if one.blame], RESULTS[state], now)
        _settle_attempts(connection, [one for one in mine if not one.blame], PUT_OFF, now)
        recorded += mine
    return recorded


def _settle_messages(
    connection: Connection, settlements: list[Settlement], state: S, now: datetime
) -> list[Settlement]:
    """Those that were still held, and are settled now."""
    check_arrow(S.SENDING, state)
    rows = [_message_row(settlement) for settlement in settlements]
    same: dict[str, Any] = {"state": state, **sql.FREE}
    if state is not S.QUEUED:
        same["settled_at"] = now
    if state is S.SENT:
        same["sent_at"] = now
    where = (sql.is_in(S.SENDING),)
    settled = changed_each(
        connection, messages, rows, key=sql.FENCE, tell="message_id", where=where, same=same
    )
    if len(settled) == len(settlements):
        return settlements
    return [one for one in settlements if one.message.message_id in settled]


def _message_row(settlement: Settlement) -> dict[str, Any]:
    message = settlement.message
    row = {
        "bucket": message.bucket,
        "message_id": message.message_id,
        "token": message.token,
        "reason": settlement.reason,
        "provider_id": settlement.provider_id,
    }
    if settlement.state is not S.QUEUED:
        return row
    onward = settlement.onward or Onward(message.channel, message.address)
    return row | {
        "send_after": settlement.send_after,
        "channel": onward.channel,
        "address": onward.address,
    }


def _settle_attempts(
    connection: Connection, settlements: Sequence[Settlement], result: str, now: datetime
) -> None:
    rows = [
        {
            "bucket": settlement.message.bucket,
            "customer_id": settlement.message.customer_id,
            "message_id": settlement.message.message_id,
            "attempt": settlement.message.attempt,
            "reason": settlement.detail or settlement.reason,
            "provider_id": settlement.provider_id,
        }
        for settlement in settlements
    ]
    same = {"result": result, "finished_at": now}
    update_each(connection, deliveries, rows, key=sql.ATTEMPT_KEY, same=same)


def go_on(
    connection: Connection, bucket: int, message_id: str, onward: tuple[str, str], *, source: S, now: datetime
) -> None:
    """Queue a message that did not arrive for the step's next channel and the address there."""
    check_arrow(source, S.QUEUED)
    channel, address = onward
    values: dict[str, Any] = {
        "state": S.QUEUED.value,
        "channel": channel,
        "address": address,
        "send_after": now,
        "settled_at": None,
        "sent_at": None,
        "provider_id": None,
        **sql.FREE,
    }
    m = messages.c
    where = (m.bucket == bucket, m.message_id == message_id, m.state == source.value)
    connection.execute(sa.update(messages).where(*where).values(values))
