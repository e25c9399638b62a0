"""Taking messages to send: a worker's hold on them, for the time of its lease.

In: a channel, how many, for how long. Out: `Claimed` messages that no other worker has. `in_order` says
which are next; a claim names the buckets it touches, as a PostgreSQL distributed by bucket demands.
Trap: leases are counted by the database's clock, while what is due is judged by the caller's `now`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.crash_points import reached
from smr.database import Database
from smr.database.each import update_each
from smr.database.given import PLACE, bound
from smr.database.timing import database_now
from smr.events import MessageState
from smr.outbox import sql
from smr.outbox.states import check_arrow
from smr.tables import messages

HIGHEST = 2**31 - 1
MESSAGE_ID = 5
"""Its place among the columns of `sql.CLAIMED`."""


class Place(NamedTuple):
    """Where a message lies."""

    bucket: int
    message_id: str


class Claimed(NamedTuple):
    """One message in a worker's hands. `token` proves the hold; `attempt` numbers the try that is due.

    `refusals` counts the earlier tries that were refused for the message's own sake.
    """

    bucket: int
    customer_id: str
    playbook: str
    step: str
    anchor: str
    message_id: str
    channel: str
    address: str
    purpose: str
    subject: str | None
    body: str
    html: str | None
    attachments: Any
    expires_at: datetime
    attempt: int
    refusals: int
    version: str
    token: str

    @property
    def hold(self) -> tuple[str, str]:
        """What proves the hold on this message: its id and the claim's token."""
        return self.message_id, self.token


def channels_waiting(connection: Connection, *, now: datetime) -> dict[str, int]:
    """How many messages each channel has to send now."""
    return {row[0]: row[1] for row in connection.execute(sql.channels_waiting(), {"now": now})}


def in_order(connection: Connection, channel: str, *, now: datetime, most: int) -> list[Place]:
    """Where a channel's messages lie that are to be sent now: by falling priority, then by due time.

    The list grows old: what is queued after it was drawn, however urgent, is not in it.
    """
    found: list[Place] = []
    below = HIGHEST
    while len(found) < most:
        priority = connection.scalar(sql.next_priority(), {"channel": channel, "below": below})
        if priority is None:
            break
        bound = {"channel": channel, "priority": priority, "now": now, "most": most - len(found)}
        found += map(Place._make, connection.execute(sql.in_order(), bound).all())
        below = priority
    return found


def others_at_it(connection: Connection, channel: str, *, owner: str) -> bool:
    """Whether another worker holds messages of a channel, under a lease that has not run out."""
    asked = {"channel": channel, "owner": owner, "database_now": connection.scalar(sa.select(database_now()))}
    return connection.execute(sql.held_by_others(), asked).first() is not None


def claim(
    database: Database,
    channel: str,
    *,
    owner: str,
    limit: int,
    lease_seconds: int,
    now: datetime,
    wanted: Sequence[Place] | None = None,
) -> list[Claimed]:
    """Claim those of the `wanted` messages that are still to be sent now; of all, where that is None.

    At most `limit`, in the order given. Committed when it returns.
    """
    if limit <= 0:
        return []
    if wanted is None:
        with database.read() as connection:
            wanted = in_order(connection, channel, now=now, most=limit)
    wanted = wanted[:limit]
    if not wanted:
        return []
    with database.write() as connection:
        claimed = _take(connection, channel, owner, lease_seconds, now, wanted)
    reached("after_claim")
    return claimed


def _take(
    connection: Connection,
    channel: str,
    owner: str,
    lease_seconds: int,
    now: datetime,
    wanted: Sequence[Place],
) -> list[Claimed]:
    check_arrow(MessageState.QUEUED, MessageState.CLAIMED)
    claimed = take(connection, channel, wanted, token=new_token(), now=now)
    update_each(
        connection,
        messages,
        [
            {"bucket": message.bucket, "message_id": message.message_id, "token": message.token}
            for message in claimed
        ],
        key=sql.KEY,
        where=(sql.QUEUED,),
        same={
            "state": MessageState.CLAIMED,
            "owner": owner,
            "lease_until": database_now() + sa.literal(lease_seconds, sa.BigInteger),
        },
    )
    return claimed


def new_token() -> str:
    """What will prove a hold."""
    return uuid4().hex


def take(
    connection: Connection, channel: str, wanted: Sequence[Place], *, token: str, now: datetime
) -> list[Claimed]:
    """Those of the `wanted` messages that are still to be sent now, locked for the rest of the transaction.

    Nothing is written: whoever takes them to send them in this very transaction needs no claim before.
    """
    if not wanted:
        return []
    places = bound(connection, PLACE, wanted)
    found = connection.execute(
        sql.lock_due(connection.dialect.name), {"channel": channel, "now": now, **places}
    )
    by_id = {row[MESSAGE_ID]: Claimed._make((*row, token)) for row in found.all()}
    return [by_id[place.message_id] for place in wanted if place.message_id in by_id]


def recorded(connection: Connection, places: Sequence[Place], token: str) -> list[Claimed]:
    """Those of the messages that are recorded as being sent under that token."""
    values = {"token": token, **bound(connection, PLACE, places)}
    found = connection.execute(sql.sending_under(connection.dialect.name), values)
    by_id = {row[MESSAGE_ID]: Claimed._make((*row, token)) for row in found.all()}
    return [by_id[place.message_id] for place in places if place.message_id in by_id]
