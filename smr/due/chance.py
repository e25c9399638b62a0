"""How likely a customer is to buy a line again within a week: one curve, in SQL and in Python.

Of those who ever buy again (a share `follows`), so many have done so t days after the last purchase:

    F(t) = 1 / (1 + exp(−steepness × (ln t − location)))                     a log-logistic curve

Given silence until the morning of day t, a purchase within the next seven days has the chance

    P(t) = follows × (F(t + 7.5) − F(t − 0.5)) / (1 − follows × F(t − 0.5))
"""

from __future__ import annotations

import math
from typing import Any

import sqlalchemy as sa

BEGINS, ENDS = 0.5, 7.5
"""Half a day before the morning of day t, to half a day after the seventh day from it."""

STEEPEST = 60.0


def bought_by(days: float, location: float, steepness: float) -> float:
    """The share who have bought again by then, of those who ever do."""
    if days <= 0:
        return 0.0
    return 1 / (1 + math.exp(max(-STEEPEST, min(STEEPEST, -steepness * (math.log(days) - location)))))


def chance(days: float, location: float, steepness: float, follows: float) -> float:
    """The chance of a purchase within a week, after so many days of silence."""
    before = bought_by(days - BEGINS, location, steepness)
    after = bought_by(days + ENDS, location, steepness)
    return follows * (after - before) / (1 - follows * before)


def days_at(share: float, location: float, steepness: float) -> float:
    """Days after which that share has bought again, of those who ever do."""
    return math.exp(location + math.log(share / (1 - share)) / steepness)


def bought_by_sql(days: Any, location: Any, steepness: Any) -> Any:
    """`bought_by` in SQL; `days` is a double above 0."""
    tall = -steepness * (sa.func.ln(days) - location)
    held = sa.case((tall > STEEPEST, STEEPEST), (tall < -STEEPEST, -STEEPEST), else_=tall)
    return 1.0 / (1.0 + sa.func.exp(held, type_=sa.Double))


def chance_sql(days: Any, location: Any, steepness: Any, follows: Any) -> Any:
    """`chance` in SQL, for one day of silence at least."""
    before = bought_by_sql(days - BEGINS, location, steepness)
    after = bought_by_sql(days + ENDS, location, steepness)
    return follows * (after - before) / (1.0 - follows * before)
