"""In which rhythm a customer buys each line, and visits the shop: the `rhythms` of changed customers.

Purchases of a line are taken together by the shop's day. A gap is counted from the day of a purchase, or of
its delivery where that is known, to the day of the next purchase, one day at least. The sums are over the
logarithms of gaps, in which a long holiday weighs little, and the latest gap weighs most: each one before it
`FADING` times the one after it. Beside them stand plain sums of what was known when the week began, from
which the shop learns: see `smr/due/learning.py`.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr import clock
from smr.conditions.purchases import NOW, Who, kept_quantity, sold
from smr.database import insert_or_update
from smr.due.goods import goods_of
from smr.tables import NEVER, changed_customers, purchases, rhythms

FADING = 0.85
REMEMBERED = 64
"""Gaps further back weigh less than 0.00004 of the last one, and are left out."""

NEW_WEEK = -1
"""The import number of marks that a new week made: nothing was bought, but more is known as of the week."""

MILLION = 1_000_000
VISIT, ANYTHING = "visit", "*"

LOW = sa.bindparam("low", type_=sa.Integer)
HIGH = sa.bindparam("high", type_=sa.Integer)
RUN = sa.bindparam("run", type_=sa.BigInteger)
WEEK = sa.bindparam("week", type_=sa.Integer)
"""The day (since 1970) on which the week began."""

OFFSET = sa.bindparam("offset", type_=sa.BigInteger)
"""Seconds by which the shop's days begin earlier than those of UTC."""

SUMS = ("log_gap", "log_gap_2", "log_stock", "log_stock_2", "log_both")
COLUMNS = [
    "bucket",
    "customer_id",
    "kind",
    "line",
    "days",
    "starts_at",
    "last_stock",
    "last_gap",
    "last_gap_stock",
    "weight",
    *SUMS,
    "known_days",
    "known_last",
    *(f"known_{name}" for name in SUMS),
]


def week_of(now: int, offset: int) -> int:
    """The day since 1970 on which the week of an instant began, a Monday of the shop."""
    today = (now + offset) // clock.DAY
    return today - (today + 3) % 7


@cache
def rhythms_of(dialect: str, kind: str) -> Any:
    """Bring the rhythms of one kind up to now for the taken customers."""
    days = days_bought(kind, taken_customers())
    select = _sums(kind, measured(days))
    changing = COLUMNS[4:]
    return insert_or_update(
        dialect,
        rhythms,
        columns=COLUMNS,
        select=select,
        update=changing,
        where=lambda new: sa.or_(*(rhythms.c[name].is_distinct_from(new[name]) for name in changing)),
    )


def taken_customers() -> sa.Subquery:
    """The customers whose purchases this refresh looks at."""
    mark = changed_customers
    tells = sa.or_(mark.c.import_id == NEW_WEEK, mark.c.bought_since.is_(None), mark.c.bought_since < NEVER)
    return (
        sa.select(mark.c.bucket, mark.c.customer_id)
        .where(mark.c.bucket.between(LOW, HIGH), mark.c.taken_by == RUN, tells)
        .distinct()
        .subquery("taken")
    )


def days_bought(kind: str, whose: sa.Subquery) -> sa.Subquery:
    """What was bought of a line on each day: when it began to be used, and how many seconds it lasts."""
    taken, bought = whose, purchases.alias()
    at = sa.type_coerce(bought.c.purchased_at, sa.BigInteger)
    arrived = sa.type_coerce(bought.c.delivered_at, sa.BigInteger)
    day, quantity = (at + OFFSET) // clock.DAY, kept_quantity(bought)
    source: Any = taken.join(bought, Who.of(taken).owns(bought))
    conditions: list[Any] = [sold(bought), quantity > 0]
    if kind == VISIT:
        line: Any = sa.literal(ANYTHING, sa.Text)
        starts: Any = day
        begins: Any = at
        stock: Any = sa.cast(sa.literal(clock.DAY), sa.Double)
    else:
        goods = goods_of(kind)
        source = source.join(goods, goods.c.product_id == bought.c.product_id)
        conditions.append(goods.c.learns)
        line = goods.c.line
        begins = sa.case((arrived <= NOW, arrived), else_=at)
        starts = (begins + OFFSET) // clock.DAY
        stock = sa.func.round(quantity * goods.c.piece_lasts, type_=sa.Double)
    lines = (
        sa.select(
            bought.c.bucket,
            bought.c.customer_id,
            line.label("line"),
            day.label("day"),
            starts.label("starts"),
            begins.label("begins"),
            stock.label("stock"),
        )
        .select_from(source)
        .where(*conditions)
        .subquery("lines")
    )
    key = (lines.c.bucket, lines.c.customer_id, lines.c.line, lines.c.day)
    together = sa.func.max if kind == VISIT else sa.func.sum
    return (
        sa.select(
            *key,
            sa.func.max(lines.c.starts).label("starts"),
            sa.func.max(lines.c.begins).label("begins"),
            together(lines.c.stock).label("stock"),
        )
        .group_by(*key)
        .subquery("days")
    )


def measured(days: sa.Subquery, name: str = "measured") -> sa.Subquery:
    """Each day of purchase with the logarithms of the gap that it closed; empty for the first.

    `nth` counts the days from the first, `place` from the last.
    """
    line: dict[str, Any] = {"partition_by": [days.c.bucket, days.c.customer_id, days.c.line]}
    gaps = sa.select(
        *days.c,
        sa.func.lag(days.c.starts).over(**line, order_by=days.c.day).label("starts_before"),
        sa.func.lag(days.c.stock).over(**line, order_by=days.c.day).label("stock_before"),
        sa.func.row_number().over(**line, order_by=days.c.day).label("nth"),
        sa.func.row_number().over(**line, order_by=days.c.day.desc()).label("place"),
    ).subquery(f"{name}_gaps")
    since = gaps.c.day - gaps.c.starts_before
    gap = sa.case((since < 1, 1), else_=since)
    return sa.select(
        *gaps.c,
        gap.label("gap"),
        sa.func.ln(sa.cast(gap, sa.Double)).label("log_gap"),
        sa.func.ln(days_of(gaps.c.stock_before)).label("log_stock"),
        sa.case(
            (gaps.c.place <= REMEMBERED, sa.func.exp(math.log(FADING) * (gaps.c.place - 1))), else_=0.0
        ).label("fading"),
    ).subquery(name)


def days_of(stock: ColumnElement[Any]) -> ColumnElement[float]:
    """Seconds of stock as days, more than nothing."""
    days = stock / sa.cast(sa.literal(clock.DAY), sa.Double)
    return sa.case((days < 0.001, 0.001), else_=days)


def _sums(kind: str, one: sa.Subquery) -> sa.Select[Any]:
    # One purchase is followed by no gap yet: the sums pass over what is empty.
    values = {
        "log_gap": one.c.log_gap,
        "log_gap_2": one.c.log_gap * one.c.log_gap,
        "log_stock": one.c.log_stock,
        "log_stock_2": one.c.log_stock * one.c.log_stock,
        "log_both": one.c.log_gap * one.c.log_stock,
    }
    known = one.c.day < WEEK
    key = (one.c.bucket, one.c.customer_id, one.c.line)
    last = one.c.place == 1

    def at_last(value: ColumnElement[Any]) -> ColumnElement[Any]:
        return sa.func.max(sa.case((last, value)))

    columns = [
        one.c.bucket,
        one.c.customer_id,
        sa.literal(kind, sa.Text),
        one.c.line,
        sa.func.count(),
        at_last(one.c.begins),
        sa.cast(at_last(one.c.stock), sa.BigInteger),
        at_last(one.c.gap),
        sa.cast(at_last(one.c.stock_before), sa.BigInteger),
        _millionths(sa.case((one.c.gap.is_not(None), one.c.fading))),
        *(_millionths(one.c.fading * value) for value in values.values()),
        sa.func.sum(sa.case((known, 1), else_=0)),
        sa.func.max(sa.case((known, one.c.day))),
        *(_millionths(sa.case((known, value))) for value in values.values()),
    ]
    return sa.select(*columns).group_by(*key)


def _millionths(value: ColumnElement[Any]) -> ColumnElement[int]:
    """The sum of a value in whole millionths: the same in whatever order it is added up."""
    each = sa.func.round(value * float(MILLION), type_=sa.Double)
    return sa.cast(sa.func.coalesce(sa.func.sum(each), 0.0), sa.BigInteger)
