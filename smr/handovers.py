"""Cases for people: what a robot should not answer, with the conversation that led to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr.errors import StateError
from smr.tables import bucket_of, handovers, interactions, named

LINES = 10
"""Messages of a conversation that are shown: those before the case was opened, and what came since."""


@dataclass(frozen=True)
class Line:
    """One message of a conversation; `kind` tells whose it is."""

    happened_at: datetime
    kind: str
    content: str


@dataclass(frozen=True)
class Case:
    """A case: whose, since when, why, and for whom; `key` names it for closing."""

    key: str
    customer_id: str
    opened_at: datetime
    cause: str
    topic: str | None
    playbook: str | None
    step: str | None
    staff_id: str | None
    reason: str | None
    closed_at: datetime | None
    conversation: tuple[Line, ...] = ()


def cases(
    connection: Connection,
    *,
    now: datetime,
    staff: str | None = None,
    closed: bool = False,
    limit: int = 50,
) -> list[Case]:
    """Open cases (or the closed ones), the oldest first, each with the end of its conversation."""
    state = handovers.c.closed_at.is_not(None) if closed else handovers.c.closed_at.is_(None)
    found = sa.select(handovers).where(state, handovers.c.opened_at <= now)
    if staff is not None:
        found = found.where(handovers.c.staff_id == staff)
    order = (handovers.c.opened_at, handovers.c.bucket, handovers.c.customer_id, handovers.c.case_id)
    rows = connection.execute(found.order_by(*order).limit(limit)).all()
    return [_case(row, _conversation(connection, row, now)) for row in rows]


def close(connection: Connection, key: str, *, now: datetime) -> None:
    """Note that somebody has seen to a case. Raises StateError where there is no such open case."""
    customer_id, _, rest = key.partition("/")
    cause, _, case_id = rest.partition("/")
    closed = (
        sa.update(handovers)
        .values(closed_at=now)
        .where(
            handovers.c.bucket == bucket_of(customer_id),
            handovers.c.customer_id == customer_id,
            handovers.c.cause == cause,
            handovers.c.case_id == case_id,
            handovers.c.closed_at.is_(None),
        )
    )
    if not connection.execute(closed).rowcount:
        raise StateError(f"there is no open case {key!r}; smr handovers list shows them")


def _case(row: Any, conversation: Sequence[Line]) -> Case:
    key = f"{row.customer_id}/{row.cause}/{row.case_id}"
    told = {name: getattr(row, name) for name in Case.__dataclass_fields__ if name in row._fields}
    return Case(key=key, **told, conversation=tuple(conversation))


def _conversation(connection: Connection, row: Any, now: datetime) -> list[Line]:
    """The last messages, the oldest first."""
    said = named(interactions, "said_by")
    question = (
        sa.select(said.c.happened_at, said.c.kind, said.c.content)
        .where(
            said.c.bucket == row.bucket,
            said.c.customer_id == row.customer_id,
            said.c.content.is_not(None),
            said.c.happened_at <= now,
        )
        .order_by(said.c.happened_at.desc(), said.c.interaction_id.desc())
        .limit(LINES)
    )
    return [Line(*one) for one in connection.execute(question)][::-1]
