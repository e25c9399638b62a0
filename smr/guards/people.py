"""Whether the playbook, and the step, are for this customer; and whether he is to be left in peace."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.conditions import condition_sql
from smr.conditions.compile import has_tag
from smr.guards.verdict import Bench, customer_of


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
