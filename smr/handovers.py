"""Cases for people: what a robot should not answer, with the conversation that led to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.conditions import Who
from smr.conditions.purchases import kept
from smr.errors import StateError
from smr.tables import (
    bucket_of,
    candidates,
    customers,
    handovers,
    interactions,
    named,
    products,
    purchases,
    tags,
)

LINES = 10
"""Messages of a conversation that are shown: those before the case was opened, and what came since."""


@dataclass(frozen=True)
class Line:
    """One message of a conversation; `kind` tells whose it is."""

    happened_at: datetime
    kind: str
    content: str


@dataclass(frozen=True)
class Situation:
    """Who the customer is, and what a playbook wanted to write about; money in minor units."""

    name: str | None
    tags: tuple[str, ...]
    orders: int
    product_id: str | None = None
    product: str | None = None
    price: int | None = None
    currency: str | None = None
    quantity: float | None = None
    bought_at: datetime | None = None
    runs_out_at: datetime | None = None


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
    situation: Situation | None = None
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
    return [_case(connection, row, now) for row in rows]


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


def _case(connection: Connection, row: Any, now: datetime) -> Case:
    key = f"{row.customer_id}/{row.cause}/{row.case_id}"
    told = {name: getattr(row, name) for name in Case.__dataclass_fields__ if name in row._fields}
    conversation = tuple(_conversation(connection, row, now))
    return Case(key=key, **told, situation=_situation(connection, row, now), conversation=conversation)


def _situation(connection: Connection, row: Any, now: datetime) -> Situation:
    """The customer as of now, and the purchase that the playbook is about."""
    bound = {"now": clock.seconds(now)}
    person, tag, line = customers, tags, purchases
    who = Who(sa.literal(row.bucket), sa.literal(row.customer_id))
    name = connection.execute(sa.select(person.c.name).where(who.owns(person))).scalar_one_or_none()
    holding = (tag.c.set_at <= now, sa.or_(tag.c.expires_at.is_(None), tag.c.expires_at > now))
    tagged = sa.select(tag.c.tag).where(who.owns(tag), *holding).distinct().order_by(tag.c.tag)
    bought = sa.select(sa.func.count(line.c.order_id.distinct())).where(who.owns(line), kept(line))
    known: dict[str, Any] = {
        "name": name,
        "tags": tuple(connection.execute(tagged).scalars()),
        "orders": connection.execute(bought, bound).scalar_one(),
    }
    if row.playbook is None:
        return Situation(**known)
    about = candidates
    same = [about.c[key] == getattr(row, key) for key in ("playbook", "step", "anchor")]
    question = (
        sa.select(
            about.c.product_id,
            products.c.name.label("product"),
            products.c.price,
            products.c.currency,
            about.c.quantity,
            about.c.anchor_at.label("bought_at"),
            about.c.runs_out_at,
        )
        .select_from(about.outerjoin(products, products.c.product_id == about.c.product_id))
        .where(who.owns(about), *same)
    )
    found = connection.execute(question).mappings().one_or_none()
    return Situation(**known, **(found or {}))


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
