"""Every statement of the outbox.

All name the buckets they touch where they lock or change rows, and lock in the order of the key, so that
two workers never wait for each other in a circle. The indexes relied on are `messages_queued` and
`messages_held`; their predicates are repeated as they stand, for only so they are recognised.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any, cast

import sqlalchemy as sa

from smr.database.given import PLACE, given, matches, within
from smr.database.unindexed import unindexed
from smr.events import MessageState as S
from smr.tables import deliveries, messages
from smr.tables import outbox as table

m = messages.c
QUEUED = cast("sa.ColumnElement[bool]", table.QUEUED)
HELD = cast("sa.ColumnElement[bool]", table.HELD)
UNKNOWN = cast("sa.ColumnElement[bool]", table.UNKNOWN)
WITH_STAFF = cast("sa.ColumnElement[bool]", table.WITH_STAFF)
bucket = unindexed(m.bucket)
KEY = ("bucket", "message_id")
FENCE = (*KEY, "token")
"""What finds a message only as long as it is held under that token."""
ATTEMPT_KEY = ("bucket", "customer_id", "message_id", "attempt")
FREE = {"token": None, "lease_until": None}
"""What a message carries that nobody holds."""

PUT_COLUMNS = (
    "bucket",
    "customer_id",
    "playbook",
    "step",
    "anchor",
    "message_id",
    "channel",
    "address",
    "purpose",
    "subject",
    "body",
    "html",
    "attachments",
    "priority",
    "due_at",
    "send_after",
    "expires_at",
    "run_id",
    "version",
    "queued_at",
)
_NAMES = ", ".join(PUT_COLUMNS)
_MARKS = ", ".join("?" * len(PUT_COLUMNS))

# No conflict target: a row that is there already conflicts on its key and on its id at once, and SQLite
# raises for whichever of the two is not named.
PUT_SQLITE = f"INSERT INTO messages ({_NAMES}, state) VALUES ({_MARKS}, 'queued') ON CONFLICT DO NOTHING"  # noqa: S608
STAGING_POSTGRESQL = (
    "CREATE TEMP TABLE IF NOT EXISTS messages_put ON COMMIT DELETE ROWS AS "  # noqa: S608
    f"SELECT {_NAMES} FROM messages WITH NO DATA"
)
EMPTY_POSTGRESQL = "TRUNCATE messages_put"
"""Else a second put of the transaction would try the rows of the first one again."""
COPY_POSTGRESQL = f"COPY messages_put ({_NAMES}) FROM STDIN"
PUT_POSTGRESQL = (
    f"INSERT INTO messages ({_NAMES}, state) "  # noqa: S608
    f"SELECT {_NAMES}, 'queued' FROM messages_put ON CONFLICT DO NOTHING"
)


def _refusals() -> sa.ColumnElement[int]:
    """How often the message was refused for its own sake on its present channel; asked after a first try."""
    refused = (
        sa.select(sa.func.count())
        .select_from(deliveries)
        .where(
            deliveries.c.bucket == m.bucket,
            deliveries.c.customer_id == m.customer_id,
            deliveries.c.message_id == m.message_id,
            deliveries.c.channel == m.channel,
            deliveries.c.result == "refused",
        )
        .scalar_subquery()
    )
    return sa.case((m.attempts == 0, 0), else_=refused)


CLAIMED = (
    m.bucket,
    m.customer_id,
    m.playbook,
    m.step,
    m.anchor,
    m.message_id,
    m.channel,
    m.address,
    m.purpose,
    m.subject,
    m.body,
    m.html,
    m.attachments,
    m.expires_at,
    (m.attempts + 1).label("attempt"),
    _refusals().label("refusals"),
    m.version,
)
"""What a worker needs of a message it has claimed."""


def _due(now: Any) -> tuple[sa.ColumnElement[bool], ...]:
    return (QUEUED, m.send_after <= now, m.expires_at > now)


def channels_waiting() -> sa.Select[Any]:
    """How many messages each channel has to send now, read from the index alone."""
    now = sa.bindparam("now", type_=m.send_after.type)
    return sa.select(m.channel, sa.func.count()).where(*_due(now)).group_by(m.channel).order_by(m.channel)


def next_priority() -> sa.Select[Any]:
    """The highest priority below `:below` that a channel has queued."""
    return sa.select(sa.func.max(m.priority)).where(
        QUEUED, m.channel == sa.bindparam("channel"), m.priority < sa.bindparam("below")
    )


def in_order() -> sa.Select[Any]:
    """The ids of a channel's messages of one priority that are to be sent now, by due time."""
    now = sa.bindparam("now", type_=m.send_after.type)
    return (
        sa.select(m.bucket, m.message_id)
        .where(m.channel == sa.bindparam("channel"), m.priority == sa.bindparam("priority"), *_due(now))
        .order_by(m.due_at, m.bucket, m.message_id)
        .limit(sa.bindparam("most"))
    )


@lru_cache
def lock_due(dialect: str) -> sa.Select[Any]:
    """Those of the given messages that are still to be sent, locked; those another has locked are passed
    over. Each is looked up by its bucket and id.
    """
    now = sa.bindparam("now", type_=m.send_after.type)
    wanted = given(dialect, PLACE)
    found = (
        sa.select(*CLAIMED)
        .join_from(messages, wanted, matches(messages, wanted, PLACE))
        .where(within(dialect, messages), unindexed(m.channel) == sa.bindparam("channel"), *_due(now))
    )
    if dialect == "sqlite":  # its one writer has locked them all, in whatever order
        return found
    return found.order_by(m.bucket, m.message_id).with_for_update(skip_locked=True, of=messages)


def sending_under(dialect: str) -> sa.Select[Any]:
    """Those of the given messages that are being sent under a token, with the number of that attempt."""
    wanted = given(dialect, PLACE)
    columns = (m.attempts.label("attempt") if one.name == "attempt" else one for one in CLAIMED)
    return (
        sa.select(*columns)
        .join_from(messages, wanted, matches(messages, wanted, PLACE))
        .where(within(dialect, messages), is_in(S.SENDING), m.token == sa.bindparam("token"))
    )


def lock_mine(buckets: Sequence[int], state: S) -> sa.Select[Any]:
    """The messages still held under a token in a state, locked."""
    leased = m.lease_until > sa.literal_column("0")
    return lock_where(buckets, HELD, leased, is_in(state), m.token == sa.bindparam("token"), wait=True)


def lock_where(
    buckets: Sequence[int], *conditions: sa.ColumnElement[bool], wait: bool = False
) -> sa.Select[Any]:
    """The messages in these buckets of which the conditions hold, locked; locks are skipped or awaited."""
    return (
        sa.select(m.bucket, m.message_id, m.customer_id, m.attempts)
        .where(bucket.in_(buckets), *conditions)
        .order_by(bucket, m.message_id)
        .with_for_update(skip_locked=not wait)
    )


def lock_these(buckets: Sequence[int], ids: Collection[str], state: S) -> sa.Select[Any]:
    """Those of the named messages that are in a state, locked."""
    return (
        sa.select(m.bucket, m.message_id, m.customer_id, m.attempts)
        .where(m.bucket.in_(buckets), m.message_id.in_(ids), is_in(state))
        .order_by(m.bucket, m.message_id)
        .with_for_update()
    )


def buckets_where(*conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """The buckets with at least one message of which the conditions hold."""
    return sa.select(bucket.label("bucket")).where(*conditions).distinct()


def is_in(state: S) -> sa.ColumnElement[bool]:
    """In that state; written out, for an index with a condition is found only by what is written."""
    return m.state == sa.literal_column(f"'{state.value}'")


def dead(state: S) -> tuple[sa.ColumnElement[bool], ...]:
    """Held in `state` under a lease that ran out before `:database_now`."""
    return (HELD, is_in(state), m.lease_until < sa.bindparam("database_now"))


def held_by_others() -> sa.Select[Any]:
    """One message of a channel that is in another worker's hands."""
    alive = m.lease_until >= sa.bindparam("database_now")
    other = m.owner != sa.bindparam("owner")
    return sa.select(sa.literal(1)).where(HELD, alive, m.channel == sa.bindparam("channel"), other).limit(1)


def too_late() -> tuple[sa.ColumnElement[bool], ...]:
    """Queued, and useful no more."""
    return (QUEUED, m.expires_at <= sa.bindparam("now", type_=m.expires_at.type))


def unknown() -> sa.Select[Any]:
    """The messages of which nobody can say whether they went out, and when each was last tried."""
    tried = (
        sa.select(deliveries.c.started_at)
        .where(
            deliveries.c.bucket == m.bucket,
            deliveries.c.customer_id == m.customer_id,
            deliveries.c.message_id == m.message_id,
            deliveries.c.attempt == m.attempts,
        )
        .scalar_subquery()
    )
    return (
        sa.select(m.channel, m.bucket, m.message_id, m.customer_id, m.attempts, tried.label("tried_at"))
        .where(UNKNOWN)
        .order_by(m.channel, m.bucket, m.message_id)
    )


def with_staff() -> sa.Select[Any]:
    """What staff have not confirmed, and since when they have it."""
    return (
        sa.select(
            m.channel,
            m.bucket,
            m.message_id,
            m.customer_id,
            m.playbook,
            m.step,
            m.anchor,
            m.attempts,
            m.provider_id,
            m.settled_at,
            m.expires_at,
        )
        .where(WITH_STAFF)
        .order_by(m.channel, m.bucket, m.message_id)
    )
