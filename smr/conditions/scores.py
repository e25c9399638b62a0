"""RFM: a customer's scores of recency, frequency and money, by cuts that are stated or found.

A score is 1 (worst) to 5 (best). The lower bound of each score from 2 up stands in `cuts`: a span for
recency (bought less long ago than that), orders and minor units in the last year otherwise. Whoever never
bought has no score.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr import clock
from smr.conditions import model as m
from smr.conditions.purchases import NOW, Who, purchased, refunded_amount
from smr.settings import Settings
from smr.tables import buyers, cuts, named

WITHIN = 365 * clock.DAY
"""Frequency and money count the purchases of so long."""
MEASURES = ("recency", "frequency", "money")
BEST = 5


def measure(name: str, who: Who, settings: Settings) -> ColumnElement[Any]:
    """What is cut into scores: when last bought; orders; money. NULL for whoever never bought."""
    if name == "recency":
        buyer = named(buyers, "scored")
        return sa.select(buyer.c.last_purchased_at).where(who.owns(buyer)).scalar_subquery()
    line, where = purchased(who, m.Goods(), WITHIN)
    if name == "frequency":
        return sa.select(sa.func.count(line.c.order_id.distinct())).where(*where).scalar_subquery()
    where.append(sa.or_(line.c.currency.is_(None), line.c.currency == settings.shop.currency))
    total = sa.func.sum(line.c.amount - refunded_amount(line))
    return sa.select(sa.func.coalesce(sa.cast(total, sa.BigInteger), 0)).where(*where).scalar_subquery()


def scores_hold(wanted: m.Scores, who: Who, settings: Settings) -> ColumnElement[bool]:
    """Whether all named scores lie within their bounds."""
    found: list[ColumnElement[bool]] = [_bought(who)]
    for name in MEASURES:
        bounds: m.Score | None = getattr(wanted, name)
        if bounds is None:
            continue
        if bounds.at_least is not None and bounds.at_least > 1:
            found.append(_reaches(name, bounds.at_least, who, settings))
        if bounds.at_most is not None and bounds.at_most < BEST:
            found.append(sa.not_(_reaches(name, bounds.at_most + 1, who, settings)))
    return sa.and_(*found)


def scores_told(wanted: m.Scores, who: Who, settings: Settings) -> ColumnElement[Any]:
    """The scores that are asked for, as people read them; NULL for whoever never bought."""
    told: Any = sa.literal("")
    names = [name for name in MEASURES if getattr(wanted, name) is not None]
    for number, name in enumerate(names):
        points = [sa.case((_reaches(name, score, who, settings), 1), else_=0) for score in range(2, BEST + 1)]
        score = sa.cast(sum(points, start=sa.literal(1)), sa.Text)
        told = told + sa.literal(f"{', ' if number else ''}{name} ") + score
    return sa.case((_bought(who), told), else_=sa.null())


def _bought(who: Who) -> ColumnElement[bool]:
    buyer = named(buyers, "scorable")
    return sa.select(sa.literal(1)).select_from(buyer).where(who.owns(buyer)).exists()


def _reaches(name: str, score: int, who: Who, settings: Settings) -> ColumnElement[bool]:
    cut = named(cuts, f"cut_{name}_{score}")
    bound = (
        sa.select(cut.c.value)
        .where(cut.c.measure == name, cut.c.score == score)
        .correlate_except(cut)
        .scalar_subquery()
    )
    found = sa.type_coerce(measure(name, who, settings), sa.BigInteger)
    reached = found > NOW - bound if name == "recency" else found >= bound
    return sa.func.coalesce(reached, sa.false())
