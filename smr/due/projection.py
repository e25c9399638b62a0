"""When a supply runs out, from the customer's own rhythm and what the shop has learned of the line.

    own      = sums of the rhythm, the line's share weighing `patience` gaps beside them
    location = (own ln days − exponent × own ln stock + patience × line's) / (weight + patience)
               + exponent × ln stock of the last purchase

so that half of those alike have bought again exp(location) days after it. Where the last gap was less than
a quarter of what was expected without it, what should be left is added, and the gap itself is taken out:
both as far as quantity counts, by the exponent. Without any gap known this is the operator's rule again:
quantity × days.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr import clock
from smr.conditions.purchases import Who
from smr.database import insert_or_update
from smr.due.goods import goods_of
from smr.due.rhythms import HIGH, LOW, MILLION, days_of, taken_customers
from smr.tables import learned, odds, rhythms, supplies

PATIENT = 4.0
"""Gaps that the line's own variance weighs beside a customer's."""

TYPICAL = 0.8
"""Customers are this much steadier round their own rhythm than the line is round its mean."""

LEAST_VARIANCE = 0.04
SEASONED = 10
"""From the tenth purchase on, the next is as likely as after the tenth."""

EARLY = 0.25
"""A gap shorter than this part of the expected one leaves something at home."""

LONGEST = 3660.0
"""Days; nothing lasts longer."""

LEAST_FOLLOWS, MOST_FOLLOWS = 0.02, 0.995

LEARNED = ("runs_out_at", "spread", "own_gaps", "own_weight", "starts_at", "location", "steepness", "follows")
LINES: sa.BindParameter[Any] = sa.bindparam("lines", expanding=True)


@cache
def projected(dialect: str, kind: str, whose: str) -> Any:
    """Write what is learned into supplies of the taken customers (`taken`), of `lines`, or of `all`."""
    select = _select(kind, whose)
    keys = ["bucket", "customer_id", "kind", "line"]
    same = ["order_id", "last_purchased_at", "product_id", "quantity", "purchases", "unit_lasts", "basis"]
    columns = [*keys, *same, *LEARNED]
    return insert_or_update(
        dialect,
        supplies,
        columns=columns,
        select=sa.select(*(select.c[name] for name in columns)),
        update=LEARNED,
        where=lambda new: sa.or_(*(supplies.c[name].is_distinct_from(new[name]) for name in LEARNED)),
    )


def _select(kind: str, whose: str) -> sa.Subquery:
    supply, rhythm = supplies.alias("supply"), rhythms.alias("rhythm")
    line, follows = learned.alias("of_line"), odds.alias("followed")
    goods = goods_of(kind)
    source: Any = supply
    conditions: list[Any] = [supply.c.bucket.between(LOW, HIGH), supply.c.kind == kind]
    if whose == "taken":
        taken = taken_customers()
        source = taken.join(supply, Who.of(taken).owns(supply))
    elif whose == "lines":
        conditions.append(supply.c.line.in_(LINES))
    source = (
        source.join(goods, goods.c.product_id == supply.c.product_id)
        .outerjoin(
            rhythm,
            sa.and_(
                Who.of(supply).owns(rhythm),
                rhythm.c.kind == supply.c.kind,
                rhythm.c.line == supply.c.line,
                goods.c.learns,
            ),
        )
        .outerjoin(
            line,
            sa.and_(
                line.c.kind == kind, line.c.level == kind, line.c.line == supply.c.line, rhythm.c.days > 0
            ),
        )
        .outerjoin(
            follows,
            sa.and_(
                follows.c.kind == kind, follows.c.what == "followed", follows.c.step == nth_purchase(rhythm)
            ),
        )
    )
    found = Figures(rhythm, line)
    figures = (
        sa.select(
            *supply.c,
            rhythm.c.starts_at.label("begins_at"),
            rhythm.c.days.label("known_days"),
            found.weight.label("weighs"),
            found.location.label("found_location"),
            found.steepness.label("found_steepness"),
            chance_to_follow(follows, line).label("found_follows"),
        )
        .select_from(source)
        .where(*conditions)
        .subquery("figures")
    )
    return _told(figures)


def nth_purchase(rhythm: Any) -> Any:
    """The step of `odds` for a rhythm's last purchase."""
    return sa.case((rhythm.c.days < SEASONED, rhythm.c.days), else_=SEASONED)


def chance_to_follow(follows: Any, line: Any) -> Any:
    """The share of those alike who ever buy the line again."""
    share = follows.c.share * line.c.lift
    return sa.case((share < LEAST_FOLLOWS, LEAST_FOLLOWS), (share > MOST_FOLLOWS, MOST_FOLLOWS), else_=share)


def _told(one: sa.Subquery) -> sa.Subquery:
    found = one.c.found_location.is_not(None)
    days = sa.func.exp(one.c.found_location, type_=sa.Double)
    # Between the first and the third quarter lies half of those alike: a factor of 3^(1/steepness) each way.
    factor = sa.func.exp(math.log(3) / one.c.found_steepness, type_=sa.Double)
    spread = days * (factor - 1.0 / factor) / 2.0
    held = sa.case((spread > LONGEST, LONGEST), else_=spread)
    begins = sa.type_coerce(one.c.begins_at, sa.BigInteger)
    stated = sa.func.coalesce(one.c.stated_runs_out_at, one.c.runs_out_at)
    kept = (
        "bucket",
        "customer_id",
        "kind",
        "line",
        "order_id",
        "last_purchased_at",
        "product_id",
        "quantity",
        "purchases",
        "unit_lasts",
        "basis",
    )
    return sa.select(
        *(one.c[name] for name in kept),
        sa.case((found, begins + _seconds(days)), else_=sa.type_coerce(stated, sa.BigInteger)).label(
            "runs_out_at"
        ),
        sa.case((found, _seconds(held))).label("spread"),
        sa.case((found, one.c.known_days - 1)).label("own_gaps"),
        sa.case((found, one.c.weighs)).label("own_weight"),
        sa.case((found, begins)).label("starts_at"),
        one.c.found_location.label("location"),
        sa.case((found, one.c.found_steepness)).label("steepness"),
        sa.case((found, one.c.found_follows)).label("follows"),
    ).subquery("told")


def _seconds(days: ColumnElement[Any]) -> ColumnElement[int]:
    return sa.cast(sa.func.round(days * float(clock.DAY), type_=sa.Double), sa.BigInteger)


class Figures:
    """The formulas, of a rhythm (of `rhythms`, or like it) and a line; empty where it is not learned."""

    def __init__(self, rhythm: Any, line: Any) -> None:
        weight, patience = rhythm.c.weight / float(MILLION), line.c.patience
        exponent = line.c.exponent
        gap, stock = rhythm.c.log_gap / float(MILLION), rhythm.c.log_stock / float(MILLION)
        own = gap - exponent * stock
        self.weight: Any = weight / (weight + patience)
        self.location = self._located(rhythm, line, weight, own)
        squares = (
            rhythm.c.log_gap_2
            - 2.0 * exponent * rhythm.c.log_both
            + exponent * exponent * rhythm.c.log_stock_2
        ) / float(MILLION)
        round_own = sa.case(
            (rhythm.c.weight > 0, squares - own * own / sa.case((weight > 0, weight), else_=1.0)), else_=0.0
        )
        scatter = sa.case((round_own > 0.0, round_own), else_=0.0)
        variance = (scatter + PATIENT * TYPICAL * line.c.variance) / (weight + PATIENT) + (
            0.5 * line.c.between * patience / (weight + patience)
        )
        held = sa.case((variance < LEAST_VARIANCE, LEAST_VARIANCE), else_=variance)
        self.steepness: Any = math.pi / sa.func.sqrt(3.0 * held, type_=sa.Double)

    def _located(self, rhythm: Any, line: Any, weight: Any, own: Any) -> Any:
        """An early purchase says less of the rhythm the more quantity counts, and leaves something over."""
        exponent, patience, prior = line.c.exponent, line.c.patience, line.c.patience * line.c.location
        gap = sa.cast(rhythm.c.last_gap, sa.Double)
        used = exponent * sa.func.ln(days_of(rhythm.c.last_gap_stock))
        last = sa.func.ln(gap) - used
        expected = sa.func.exp((own - last + prior) / (weight - 1.0 + patience) + used, type_=sa.Double)
        early = sa.case((gap < EARLY * expected, exponent), else_=0.0)
        usual = (own - early * sa.func.coalesce(last, 0.0) + prior) / (weight - early + patience)
        left = sa.case((gap < EARLY * expected, exponent * (expected - gap)), else_=0.0)
        days = sa.func.exp(usual + exponent * sa.func.ln(days_of(rhythm.c.last_stock)), type_=sa.Double)
        total = days + left
        return sa.func.ln(sa.case((total > LONGEST, LONGEST), (total < 1.0, 1.0), else_=total))
