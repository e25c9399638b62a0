"""When an answer about a customer may change by the clock alone.

A fact at time t enters or leaves "the last W" when the clock comes to t + W. So for each kind of fact that
definitions look at, and each span they look back (a negative one looks ahead), the next such instant of a
customer is worked out when the customer is judged, and kept in `next_changes`. Too early an instant only
costs a judgement that finds nothing new; one too late must not be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.conditions import NOW, Who
from smr.conditions import model as m
from smr.conditions.scores import WITHIN
from smr.database import insert_or_update
from smr.playbook.model import Library
from smr.segments.bounds import HIGH, LOW
from smr.tables import (
    consents,
    interactions,
    mentions,
    messages,
    next_changes,
    purchases,
    refunds,
    supplies,
    tags,
    unsorted_customers,
)

CAUSES: Mapping[str, tuple[sa.Table, ColumnElement[Any]]] = {
    "purchases": (purchases, purchases.c.purchased_at),
    "refunds": (refunds, refunds.c.refunded_at),
    "interactions": (interactions, interactions.c.happened_at),
    "mentions": (mentions, mentions.c.happened_at),
    "consents": (consents, consents.c.decided_at),
    "tags_set": (tags, tags.c.set_at),
    "tags_expire": (tags, tags.c.expires_at),
    "supplies": (supplies, supplies.c.runs_out_at),
    "messages": (messages, sa.func.coalesce(messages.c.sent_at, messages.c.send_after)),
}
"""What may change an answer: the rows, and the time of one."""

Spans = dict[str, set[int]]


def spans_of(library: Library, cuts: Mapping[tuple[str, int], int]) -> Spans:
    """How far back the definitions look, by what they look at; `cuts` are the bounds of RFM scores."""
    found: Spans = defaultdict(set)
    found["interactions"].add(0)  # the times of visitors follow those still to come
    for condition in definitions(library):
        for leaf in leaves(condition):
            for cause, spans in _looks(leaf, cuts).items():
                found[cause] |= spans
    if library.tags:
        found["tags_expire"].add(0)
    return found


def definitions(library: Library) -> Iterator[m.Part]:
    """The conditions of all segments, rungs and tag rules."""
    yield from (segment.where for segment in library.segments.values())
    yield from (rung.where for rungs in library.ladders.values() for rung in rungs if rung.where is not None)
    yield from (rule.when for rule in library.tags.values())


def leaves(condition: m.Part) -> Iterator[m.Part]:
    """The conditions in one that are not made of others."""
    match condition:
        case m.All(all=parts) | m.AnyOf(any=parts):
            for part in parts:
                yield from leaves(part)
        case m.Not(not_=part):
            yield from leaves(part)
        case _:
            yield condition


def _looks(leaf: m.Part, cuts: Mapping[tuple[str, int], int]) -> Spans:
    match leaf:
        case (
            m.Orders(orders=wanted)
            | m.Spend(spend=wanted)
            | m.Quantity(quantity=wanted)
            | m.Bought(bought=wanted)
        ):
            return {"purchases": {0, wanted.within or 0}, "refunds": {0}}
        case m.FirstPurchase(first_purchase=ago) | m.LastPurchase(last_purchase=ago):
            bounds = {0, ago.less_than or 0, 0 if ago.more_than is None else ago.more_than + 1}
            return {"purchases": bounds, "refunds": {0}}
        case m.Rfm():
            recency = {span for (measure, _), span in cuts.items() if measure == "recency"}
            return {"purchases": {0, WITHIN, *recency}, "refunds": {0}}
        case m.Refunded(refunded=wanted):
            return {"refunds": {0, wanted.within or 0}}
        case m.Supply(supply=wanted):
            ahead = {0, -wanted.runs_out_within} if wanted.runs_out_within is not None else set()
            return {"supplies": ahead | ({wanted.ran_out_for} if wanted.ran_out_for is not None else set())}
        case m.Chat(chat=wanted):
            return {"mentions": {0, wanted.within or 0}}
        case m.Did(did=wanted):
            return {"interactions": {0, wanted.within or 0}}
        case m.HasTag():
            return {"tags_set": {0}, "tags_expire": {0}}
        case m.Consent() | m.Reachable():
            return {"consents": {0}}
        case m.Messaged(messaged=wanted):
            return {"messages": {0, wanted.within or 0}}
        case _:
            return {}


def upkeep(dialect: str, spans: Spans) -> list[Any]:
    """The statements that note the next instants of the customers being judged."""
    return [_note(dialect, cause, spans[cause]) for cause in CAUSES if spans.get(cause)]


def _note(dialect: str, cause: str, spans: set[int]) -> Any:
    table, column = CAUSES[cause]
    person = unsorted_customers
    at = sa.type_coerce(column, sa.BigInteger)
    rising = sorted(spans)
    next_instant = sa.case(*((at > NOW - span, at + span) for span in rising))
    select = (
        sa.select(
            person.c.bucket, person.c.customer_id, sa.literal(cause, sa.Text), sa.func.min(next_instant)
        )
        .select_from(person.join(table, Who.of(person).owns(table)))
        .where(person.c.bucket.between(LOW, HIGH), at > NOW - rising[-1])
        .group_by(person.c.bucket, person.c.customer_id)
    )
    columns = ["bucket", "customer_id", "cause", "changes_at"]
    return insert_or_update(dialect, next_changes, columns=columns, select=select, update=["changes_at"])


def passed() -> list[Any]:
    """Taking those of whom an instant has come, and forgetting the instant."""
    come = sa.and_(next_changes.c.bucket.between(LOW, HIGH), next_changes.c.changes_at <= NOW)
    whom = sa.select(next_changes.c.bucket, next_changes.c.customer_id).where(come).distinct()
    return [whom, sa.delete(next_changes).where(come)]
