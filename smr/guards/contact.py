"""Whether any channel of the step may reach the customer, and which one is taken."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.conditions.contact import has_address, may_reach, refused
from smr.guards.verdict import Bench, customer_of


def channel_of(candidate: Any, bench: Bench) -> ColumnElement[Any]:
    """The first channel of `via` that may reach the customer; the last one where none of the others may.

    Whether the last one may is what the guards judge.
    """
    who = customer_of(candidate)
    *first, last = bench.step.via
    whens = [
        (may_reach(who, channel, bench.playbook.purpose, bench.settings), sa.literal(channel, sa.Text))
        for channel in first
    ]
    otherwise = sa.literal(last, sa.Text)
    return sa.case(*whens, else_=otherwise) if whens else otherwise


def unreachable(candidate: Any, bench: Bench) -> ColumnElement[bool]:
    """No channel of the step has an address."""
    who = customer_of(candidate)
    return sa.not_(sa.or_(*(has_address(who, channel, bench.settings) for channel in bench.step.via)))


def opted_out(candidate: Any, bench: Bench) -> ColumnElement[bool]:
    """No channel may be used, and the latest word on one of them is a refusal."""
    who = customer_of(candidate)
    purpose = bench.playbook.purpose
    return sa.and_(
        sa.not_(_any_may(candidate, bench)),
        sa.or_(*(refused(who, channel, purpose) for channel in bench.step.via)),
    )


def no_consent(candidate: Any, bench: Bench) -> ColumnElement[bool]:
    """No channel may be used: the customer never agreed to it."""
    return sa.not_(_any_may(candidate, bench))


def none_may(candidate: Any, bench: Bench) -> ColumnElement[bool]:
    """No channel of the step may reach the customer, for one of the reasons here."""
    return sa.not_(_any_may(candidate, bench))


def _any_may(candidate: Any, bench: Bench) -> ColumnElement[bool]:
    who = customer_of(candidate)
    return sa.or_(
        *(may_reach(who, channel, bench.playbook.purpose, bench.settings) for channel in bench.step.via)
    )
