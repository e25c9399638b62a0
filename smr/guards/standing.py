"""What stands of the decisions of the run before, and what has to be judged again.

A decision rests on rules, facts and the clock. Where the rules are the same, and nobody's facts changed
(those of whom they did are the `undecided_customers`), it stands if the clock alone cannot change it, or only
from one reason against the message to another. What the clock can change is judged in every run.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr import clock
from smr.conditions import NOW
from smr.conditions import model as m
from smr.database import insert_or_update
from smr.events import Reason
from smr.guards.frequency_cap import full_before
from smr.guards.timeliness import is_undecided
from smr.guards.verdict import Bench, customer_of
from smr.playbook.model import counts_from_run_out
from smr.tables import consents, named, sortings, undecided_customers

WHAT = "decisions"
"""The row of `sortings` that says when everybody was decided about, and by which rules."""

BY_FACTS = frozenset({Reason.REFUNDED, Reason.BOUGHT_ALREADY, Reason.NOT_DUE, Reason.BEFORE_PUBLICATION})
"""Reasons that only other facts or rules can take away."""

BEFORE_NOT_DUE = frozenset({Reason.REFUNDED, Reason.BOUGHT_ALREADY, Reason.NOT_DUE})
"""What of it stands of a candidate that is not due any more: what is asked before that."""

CONTACT = frozenset({Reason.UNREACHABLE, Reason.OPTED_OUT, Reason.NO_CONSENT})
"""The same, save that a word of the customer may have come into force."""

CAPS = (str(Reason.TOO_SOON), str(Reason.FREQUENCY_CAP), str(Reason.SUPERSEDED))


def decided_at(connection: Connection, version: str, now: int) -> int | None:
    """When everybody was decided about by these rules; None where that was not, or later than now."""
    last = connection.execute(sa.select(sortings).where(sortings.c.what == WHAT)).first()
    if last is None or last.version != version or clock.seconds(last.now_at) > now:
        return None
    return clock.seconds(last.now_at)


def note_decided(connection: Connection, version: str, now: int) -> None:
    """Everybody was decided about."""
    row = {"what": WHAT, "version": version, "now_at": now}
    connection.execute(
        insert_or_update(connection.dialect.name, sortings, update=["version", "now_at"]), [row]
    )


def decide_anew(connection: Connection) -> None:
    """From now until everybody was decided about, nothing stands."""
    connection.execute(sa.delete(sortings).where(sortings.c.what == WHAT))


def note_slice(connection: Connection, *, low: int, high: int) -> None:
    """The customers in buckets low..high were decided about."""
    connection.execute(sa.delete(undecided_customers).where(undecided_customers.c.bucket.between(low, high)))


def may_differ(candidate: Any, bench: Bench) -> ColumnElement[bool]:
    """Whether an open candidate may be judged otherwise than the run before judged it."""
    reason = sa.func.coalesce(candidate.c.reason, "")
    if not counts_from_run_out(bench.playbook, bench.step):
        # All of these are looked for in every run: what was not found again is not due any more.
        stays = reason.in_(sorted(map(str, BEFORE_NOT_DUE)))
        return sa.or_(candidate.c.expires_at <= NOW, sa.not_(stays), is_undecided(candidate))
    stands: list[ColumnElement[bool]] = [reason.in_(sorted(map(str, _reasons(bench))))]
    stands.append(sa.and_(reason.in_(sorted(map(str, CONTACT))), sa.not_(_spoke_since(candidate))))
    still_full = full_before(candidate, bench.library, bench.settings, bench.moments)
    if still_full is not None:
        stands.append(sa.and_(reason.in_(CAPS), still_full))
    return sa.or_(candidate.c.expires_at <= NOW, sa.not_(sa.or_(*stands)), is_undecided(candidate))


def _reasons(bench: Bench) -> frozenset[Reason]:
    found = set(BY_FACTS)
    if begins_by_facts(bench.playbook.who):
        found.add(Reason.NOT_IN_SEGMENT)
    if begins_by_facts(bench.step.when):
        found.add(Reason.STEP_CONDITION)
    return frozenset(found)


def begins_by_facts(condition: m.Part | None) -> bool:
    """Whether a condition that does not hold can begin to hold only by facts about the customer, never by
    the clock: at least so many orders in a span may become fewer while time goes by, never more.
    """
    match condition:
        case None | m.Everyone() | m.CustomerIs() | m.OfStaff() | m.OfStore() | m.InSegment() | m.AtStage():
            return True
        case m.All(all=parts) | m.AnyOf(any=parts):
            return all(begins_by_facts(part) for part in parts)
        case m.Orders(orders=bounds) | m.Quantity(quantity=bounds):
            return bounds.at_most is None
        case m.Bought():
            return True
        case _:
            return False


def _spoke_since(candidate: Any) -> ColumnElement[bool]:
    """Whether a word of the customer on contact came into force since the candidate was judged."""
    said = named(consents, "said_since")
    since = sa.and_(said.c.decided_at > candidate.c.judged_at, said.c.decided_at <= NOW)
    return sa.select(sa.literal(1)).select_from(said).where(customer_of(candidate).owns(said), since).exists()
