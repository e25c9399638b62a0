"""Taking messages to send: a worker's hold on them, for the time of its lease.

In: a channel, how many, for how long. Out: `Claimed` messages that no other worker has. `portions` says
where to look: a few buckets at a time, the highest priority first, so that a claim touches little and is
pinned to buckets, as a PostgreSQL distributed by bucket demands.
Trap: leases are counted by the database's clock, while what is due is judged by the caller's `now`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.crash_points import reached
from smr.database import Database
from smr.database.each import update_each
from smr.database.timing import database_now
from smr.events import MessageState
from smr.outbox import sql
from smr.outbox.states import check_arrow
from smr.tables import messages


@dataclass(frozen=True)
class Claimed:
    """One message in a worker's hands. `token` proves the hold; `attempt` numbers the try that is due."""

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
    priority: int
    due_at: datetime
    expires_at: datetime
    attempt: int
    version: str
    token: str

    @property
    def hold(self) -> tuple[str, str]:
        """What proves the hold on this message: its id and the claim's token."""
        return self.message_id, self.token


@dataclass(frozen=True)
class Portion:
    """Buckets that together hold about one claim's worth of messages of one priority."""

    priority: int
    buckets: tuple[int, ...]
    count: int


def channels_waiting(connection: Connection, *, now: datetime) -> dict[str, int]:
    """How many messages each channel has to send now."""
    return {row[0]: row[1] for row in connection.execute(sql.channels_waiting(), {"now": now})}


def portions(connection: Connection, channel: str, *, now: datetime, size: int) -> list[Portion]:
    """Where a channel's messages wait: buckets with about `size` messages together, by falling priority."""
    found: list[Portion] = []
    buckets: list[int] = []
    count, current = 0, None
    for priority, bucket, waiting in connection.execute(sql.waiting(), {"channel": channel, "now": now}):
        if buckets and (priority != current or count + waiting > size):
            found.append(Portion(current or 0, tuple(buckets), count))
            buckets, count = [], 0
        current = priority
        buckets.append(bucket)
        count += waiting
    if buckets:
        found.append(Portion(current or 0, tuple(buckets), count))
    return found


def claim(
    database: Database,
    channel: str,
    *,
    owner: str,
    limit: int,
    lease_seconds: int,
    now: datetime,
    buckets: Sequence[int] | None = None,
) -> list[Claimed]:
    """Claim at most `limit` messages of a channel that are to be sent now, by priority, then by due time.

    Looks in `buckets`, or in the portion that comes first. Committed when it returns.
    """
    if buckets is None:
        with database.read() as connection:
            first = portions(connection, channel, now=now, size=limit)[:1]
        buckets = first[0].buckets if first else ()
    if not buckets or limit <= 0:
        return []
    with database.write() as connection:
        claimed = _take(connection, channel, owner, limit, lease_seconds, now, buckets)
    reached("after_claim")
    return claimed


def _take(
    connection: Connection,
    channel: str,
    owner: str,
    limit: int,
    lease_seconds: int,
    now: datetime,
    buckets: Sequence[int],
) -> list[Claimed]:
    check_arrow(MessageState.QUEUED, MessageState.CLAIMED)
    token = uuid4().hex
    found = connection.execute(sql.lock_due(buckets), {"channel": channel, "now": now, "most": limit})
    claimed = [Claimed(*(*row, token)) for row in found]
    update_each(
        connection,
        messages,
        [{"bucket": message.bucket, "message_id": message.message_id} for message in claimed],
        key=sql.KEY,
        where=(sql.QUEUED,),
        same={
            "state": MessageState.CLAIMED,
            "owner": owner,
            "token": token,
            "lease_until": database_now() + sa.literal(lease_seconds, sa.BigInteger),
        },
    )
    return claimed
