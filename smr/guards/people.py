"""Whether the playbook, and the step, are for this customer; and whether he is to be left in peace."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.conditions import NOW, Who, condition_sql
from smr.conditions.compile import has_tag
from smr.guards.verdict import Bench, customer_of
from smr.playbook.model import GaveBack
from smr.settings import Settings
from smr.tables import named, refunds


def not_in_segment(candidate: Any, bench: Bench) -> ColumnElement[bool] | None:
    """`who` does not hold, or holds no more."""
    if bench.playbook.who is None:
        return None
    return sa.not_(condition_sql(bench.playbook.who, customer_of(candidate), bench.settings))


def step_condition(candidate: Any, bench: Bench) -> ColumnElement[bool] | None:
    """The step's `when` does not hold."""
    if bench.step.when is None:
        return None
    return sa.not_(condition_sql(bench.step.when, customer_of(candidate), bench.settings))


def complaint_open(candidate: Any, bench: Bench) -> ColumnElement[bool] | None:
    """The customer carries a tag of an open complaint."""
    if not bench.settings.policy.complaint_tags:
        return None
    return has_tag(customer_of(candidate), bench.settings.policy.complaint_tags)


def refund_open(candidate: Any, bench: Bench) -> ColumnElement[bool] | None:
    """The customer gave something back a short while ago; what a refund itself sets off is not held."""
    if bench.settings.policy.after_refund is None or isinstance(bench.playbook.trigger, GaveBack):
        return None
    return sa.func.coalesce(refunded_until(customer_of(candidate), bench.settings) > NOW, sa.false())


def refunded_until(who: Who, settings: Settings) -> ColumnElement[Any]:
    """Until when the customer is left in peace since something was given back; NULL where nothing was."""
    span = settings.policy.after_refund
    if span is None:
        return sa.null()
    back = named(refunds, "given_back")
    latest = sa.func.max(sa.type_coerce(back.c.refunded_at, sa.BigInteger))
    found = sa.select(latest + span).select_from(back).where(who.owns(back), back.c.refunded_at <= NOW)
    return found.scalar_subquery()
