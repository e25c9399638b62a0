"""Messages for tests, as rows of the outbox."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from smr import outbox
from smr.clock import seconds
from smr.database import Database
from smr.tables import bucket_of, deliveries, messages

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
"""Noon in Shanghai."""


def message_id(
    customer_id: str, playbook: str = "refill", step: str = "heads_up", anchor: str = "o1/p1#1"
) -> str:
    digest = sha256(f"{playbook}\0{step}\0{customer_id}\0{anchor}".encode()).hexdigest()
    return f"{bucket_of(customer_id):03x}{digest[:29]}"


def row(
    customer_id: str,
    *,
    playbook: str = "refill",
    step: str = "heads_up",
    anchor: str = "o1/p1#1",
    channel: str = "wecom",
    body: str = "该补货啦",
    priority: int = 50,
    due_at: datetime = NOON,
    send_after: datetime = NOON,
    expires_at: datetime = NOON + timedelta(days=3),
    attachments: Sequence[dict[str, Any]] | None = None,
) -> tuple[Any, ...]:
    """One row in the order of `outbox.COLUMNS`."""
    return (
        bucket_of(customer_id),
        customer_id,
        playbook,
        step,
        anchor,
        message_id(customer_id, playbook, step, anchor),
        channel,
        f"wx_{customer_id}",
        "marketing",
        None,
        body,
        None,
        json.dumps(attachments, ensure_ascii=False) if attachments else None,
        priority,
        seconds(due_at),
        seconds(send_after),
        seconds(expires_at),
        1,
        "v1",
        seconds(NOON),
    )


def queue(database: Database, *rows: tuple[Any, ...]) -> int:
    with database.write() as connection:
        return outbox.put(connection, rows)


def customers(count: int, prefix: str = "会员") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def queue_for(database: Database, people: Iterable[str], **same: Any) -> int:
    return queue(database, *(row(person, **same) for person in people))


def states(database: Database) -> dict[str, str]:
    """Each customer's state; for tests in which a customer has one message."""
    with database.read() as connection:
        return {row.customer_id: row.state for row in connection.execute(sa.select(messages))}


def the_message(database: Database, customer_id: str) -> Any:
    with database.read() as connection:
        return connection.execute(sa.select(messages).where(messages.c.customer_id == customer_id)).one()


def attempts(database: Database, customer_id: str) -> list[tuple[int, str]]:
    with database.read() as connection:
        found = connection.execute(
            sa.select(deliveries.c.attempt, deliveries.c.result)
            .where(deliveries.c.customer_id == customer_id)
            .order_by(deliveries.c.attempt)
        )
        return [(row.attempt, row.result) for row in found]


def claim(
    database: Database, *, channel: str = "wecom", limit: int = 100, lease_seconds: int = 60, **rest: Any
) -> Any:
    given: dict[str, Any] = {"owner": "worker-1", "now": NOON} | rest
    return outbox.claim(database, channel, limit=limit, lease_seconds=lease_seconds, **given)


def begin(
    database: Database, claimed: Sequence[outbox.Claimed], verdicts: Any = None, **rest: Any
) -> outbox.Begun:
    given: dict[str, Any] = {"lease_seconds": 60, "now": NOON} | rest
    with database.write() as connection:
        return outbox.begin_sending(
            connection, claimed, lambda _connection, _claimed: verdicts or {}, **given
        )


def end_leases(database: Database) -> None:
    """As if the lease of every held message had run out."""
    with database.write() as connection:
        held = messages.c.lease_until.is_not(None)
        connection.execute(sa.update(messages).where(held).values(lease_until=1))
