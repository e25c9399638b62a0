"""Looking into the outbox.

In: what to look for. Out: messages as people and commands want them; conditions for `cancel` and `retry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.events import MessageState
from smr.tables import bucket_of, deliveries, messages

m = messages.c
SHOWN = (
    m.message_id,
    m.state,
    m.reason,
    m.playbook,
    m.step,
    m.anchor,
    m.customer_id,
    m.channel,
    m.address,
    m.priority,
    m.subject,
    m.body,
    m.html,
    m.attachments,
    m.due_at,
    m.queued_at,
    m.send_after,
    m.expires_at,
    m.attempts,
    m.sent_at,
    m.settled_at,
    m.owner,
    m.provider_id,
    m.version,
    m.run_id,
)
Row = dict[str, Any]


def chosen(
    *,
    states: Sequence[MessageState] = (),
    playbook: str | None = None,
    customer_id: str | None = None,
    channel: str | None = None,
    message_ids: Sequence[str] = (),
) -> list[sa.ColumnElement[bool]]:
    """The conditions that all hold of the messages so described; none where nothing is said."""
    conditions: list[sa.ColumnElement[bool]] = []
    if states:
        conditions.append(m.state.in_([state.value for state in states]))
    if playbook is not None:
        conditions.append(m.playbook == playbook)
    if customer_id is not None:
        conditions += [m.bucket == bucket_of(customer_id), m.customer_id == customer_id]
    if channel is not None:
        conditions.append(m.channel == channel)
    if message_ids:
        conditions += [
            m.bucket.in_(sorted({int(one[:3], 16) for one in message_ids})),
            m.message_id.in_(message_ids),
        ]
    return conditions


def find(connection: Connection, *where: sa.ColumnElement[bool], limit: int | None = None) -> list[Row]:
    """The messages of which the conditions hold, the latest due first."""
    select = sa.select(*SHOWN).where(*where).order_by(m.due_at.desc(), m.bucket, m.message_id).limit(limit)
    return [dict(row) for row in connection.execute(select).mappings()]


def count(connection: Connection, *where: sa.ColumnElement[bool]) -> int:
    """How many messages there are of which the conditions hold."""
    return connection.execute(sa.select(sa.func.count()).select_from(messages).where(*where)).scalar_one()


def states(connection: Connection) -> dict[tuple[str, str], int]:
    """How many messages are in each state, by channel and state. Reads them all."""
    counted = sa.select(m.channel, m.state, sa.func.count()).group_by(m.channel, m.state)
    return {(row[0], row[1]): row[2] for row in connection.execute(counted)}


def attempts(connection: Connection, message_id: str) -> list[Row]:
    """The tries to send a message, in order."""
    d = deliveries.c
    select = (
        sa.select(d.attempt, d.channel, d.started_at, d.finished_at, d.result, d.reason, d.provider_id)
        .join_from(messages, deliveries, (d.bucket == m.bucket) & (d.customer_id == m.customer_id))
        .where(m.bucket == int(message_id[:3], 16), m.message_id == message_id, d.message_id == m.message_id)
        .order_by(d.attempt)
    )
    return [dict(row) for row in connection.execute(select).mappings()]
