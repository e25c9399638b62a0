"""Whether a customer who is late in coming at all buys less, or more: factors on the chance of a purchase.

By how long ago the customer's last order of anything is, against his usual gap between orders, purchases
are counted in weeks of the last half year, and set against those that the curves foretold: observed over
expected. A sample of customers is enough, as these are six numbers for the whole shop.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any
from zlib import crc32

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.conditions.purchases import Who
from smr.due.chance import chance_sql
from smr.due.projection import Figures, chance_to_follow, nth_purchase
from smr.due.rhythms import FADING, MILLION, VISIT, days_bought, measured
from smr.tables import BUCKETS, buyers, customers, days_ahead, learned, odds, rhythms

CUTS = (0.4, 0.8, 1.5, 3.0, 6.0)
"""Usual gaps since the last order; between them lie the steps 0 to 5, and step 6 is not known."""

UNKNOWN = len(CUTS) + 1
LEANS = 50.0
"""Purchases that no effect at all weighs."""

SAMPLE = 600
"""About so many customers."""

PROBES = 26
"""Weeks."""

AHEAD = 400
"""Days that are looked ahead at most; `days_ahead` has them."""

SAMPLED = sa.bindparam("sampled", type_=sa.Integer)
WEEK = sa.bindparam("week", type_=sa.Integer)


def count_days(connection: Connection) -> None:
    """Fill `days_ahead`."""
    if connection.execute(sa.select(sa.func.count()).select_from(days_ahead)).scalar_one() != AHEAD + 1:
        connection.execute(sa.delete(days_ahead))
        connection.execute(sa.insert(days_ahead), [{"day": day} for day in range(AHEAD + 1)])


def visit_factors(connection: Connection, kind: str, *, week: int, offset: int) -> dict[int, float] | None:
    """The factor of each step, as known when the week began; None where nothing it rests on changed."""
    began = week * clock.DAY - offset
    bound = {"sampled": _buckets_sampled(connection, began), "week": week, "offset": offset}
    seen = _seen(connection, kind, bound)
    mark = sa.and_(odds.c.kind == kind, odds.c.what == "sampled")
    if connection.execute(sa.select(odds.c.share).where(mark)).scalar_one_or_none() == seen:
        return None
    connection.execute(sa.delete(odds).where(mark))
    connection.execute(sa.insert(odds), [{"kind": kind, "what": "sampled", "step": 0, "share": seen}])
    count_days(connection)
    # What was known when the week began: no fact since then.
    bound["now"] = began - 1
    found = {row.step: row for row in connection.execute(_counted(connection.dialect.name, kind), bound)}
    return {
        step: round((found[step].came / MILLION + LEANS) / (found[step].expected / MILLION + LEANS), 2)
        if step in found
        else 1.0
        for step in range(UNKNOWN + 1)
    }


def _buckets_sampled(connection: Connection, began: int) -> int:
    """How many buckets hold the sample, by who had bought when the week began.

    Trap: counted by today's customers, the sample, and so what is learned, changes with everyone who comes.
    """
    known = sa.type_coerce(buyers.c.first_purchased_at, sa.BigInteger) < began
    total = connection.execute(sa.select(sa.func.count()).select_from(buyers).where(known)).scalar_one()
    return min(BUCKETS, math.ceil(BUCKETS * SAMPLE / max(total, 1)))


def _seen(connection: Connection, kind: str, bound: dict[str, int]) -> float:
    """A number for everything that the factors rest on."""
    one = rhythms.alias("one")
    of_sample = (
        sa.select(
            sa.func.sum(one.c.known_days),
            sa.func.sum(sa.cast(one.c.known_log_gap, sa.Double)),
            sa.func.sum(sa.cast(one.c.known_last, sa.Double)),
        )
        .where(one.c.bucket < SAMPLED, one.c.kind.in_([kind, VISIT]))
        .execution_options(whole_shop="a sample of customers stands for the shop")
    )
    sums = connection.execute(of_sample, bound).one()
    lines = connection.execute(
        sa.select(learned).where(learned.c.kind == kind).order_by(learned.c.level, learned.c.line)
    ).all()
    told = [tuple(float(one or 0) for one in sums), [tuple(row) for row in lines], sorted(bound.items())]
    return float(crc32(repr(told).encode()))


def late(days: Any, usual_gap: Any) -> Any:
    """The step for so many days since the last order of anything, in SQL."""
    ratio = days / usual_gap
    steps = [(ratio < cut, step) for step, cut in enumerate(CUTS)]
    return sa.case((usual_gap.is_(None), UNKNOWN), *steps, else_=len(CUTS))


def usual_gap(weight: Any, log_gap: Any) -> Any:
    """The usual gap between a customer's orders, in days; empty before the second."""
    return sa.case((weight > 0, sa.func.exp(log_gap * 1.0 / sa.case((weight > 0, weight), else_=1))))


@cache
def _counted(_dialect: str, kind: str) -> sa.Select[Any]:
    """Purchases that came within a week of a probe, and those foretold, by the step; in millionths."""
    bought, visited = _at_probes(kind, "bought"), _at_probes(VISIT, "visited")
    day = WEEK - 1 - 7 * bought.c.probe
    line, follows = learned.alias("of_line"), odds.alias("followed")
    figures = Figures(bought, line)
    source = (
        bought.join(visited, sa.and_(Who.of(bought).owns(visited), visited.c.probe == bought.c.probe))
        .join(line, sa.and_(line.c.kind == kind, line.c.level == kind, line.c.line == bought.c.line))
        .join(
            follows,
            sa.and_(
                follows.c.kind == kind, follows.c.what == "followed", follows.c.step == nth_purchase(bought)
            ),
        )
    )
    since = day - bought.c.starts
    days = sa.cast(sa.case((since < 1, 1), else_=since), sa.Double)
    one = (
        sa.select(
            late(day - visited.c.day, usual_gap(visited.c.weight, visited.c.log_gap)).label("step"),
            sa.case((bought.c.next_day <= day + 7, 1), else_=0).label("came"),
            chance_sql(days, figures.location, figures.steepness, chance_to_follow(follows, line)).label(
                "expected"
            ),
        )
        .select_from(source)
        .subquery("one")
    )
    expected = sa.func.round(one.c.expected * float(MILLION), type_=sa.Double)
    return sa.select(
        one.c.step, (sa.func.sum(one.c.came) * MILLION).label("came"), sa.func.sum(expected).label("expected")
    ).group_by(one.c.step)


def _at_probes(kind: str, name: str) -> sa.Subquery:
    """The state of each line in which each probe finds it: one row, of which the greatest is it."""
    state, probe = _states(kind, name), days_ahead.alias(f"{name}_probe")
    day = WEEK - 1 - 7 * probe.c.day
    silent = sa.and_(state.c.day < day, sa.or_(state.c.next_day.is_(None), state.c.next_day >= day))
    key = [state.c.bucket, state.c.customer_id, state.c.line, probe.c.day]
    return (
        sa.select(
            *key[:3],
            probe.c.day.label("probe"),
            *(sa.func.max(column).label(column.name) for column in state.c if column.name not in OWNED),
        )
        .select_from(state.join(probe, sa.and_(probe.c.day.between(1, PROBES), silent)))
        .group_by(*key)
        .subquery(f"{name}_at")
    )


OWNED = ("bucket", "customer_id", "line")


def _states(kind: str, name: str) -> sa.Subquery:
    """The rhythm of sampled customers after each day of purchase before the week, like a row of `rhythms`."""
    whose = (
        sa.select(customers.c.bucket, customers.c.customer_id)
        .where(customers.c.bucket < SAMPLED)
        .subquery(f"sample_{name}")
    )
    one = measured(days_bought(kind, whose), f"{name}_day")
    line: dict[str, Any] = {
        "partition_by": [one.c.bucket, one.c.customer_id, one.c.line],
        "order_by": one.c.day,
    }
    running: dict[str, Any] = {**line, "rows": (None, 0)}
    # Σ fading^(n−k) x(k) = fading^n Σ fading^(−k) x(k), which a running sum can do.
    growing = sa.func.exp(-math.log(FADING) * one.c.nth, type_=sa.Double)
    shrinking = sa.func.exp(math.log(FADING) * one.c.nth, type_=sa.Double) * float(MILLION)

    def faded(value: Any) -> Any:
        return sa.func.coalesce(sa.func.sum(growing * value).over(**running), 0.0) * shrinking

    states = sa.select(
        one.c.bucket,
        one.c.customer_id,
        one.c.line,
        one.c.day,
        one.c.starts,
        sa.func.lead(one.c.day).over(**line).label("next_day"),
        one.c.nth.label("days"),
        one.c.stock.label("last_stock"),
        one.c.gap.label("last_gap"),
        one.c.stock_before.label("last_gap_stock"),
        faded(sa.case((one.c.gap.is_not(None), 1.0))).label("weight"),
        faded(one.c.log_gap).label("log_gap"),
        faded(one.c.log_gap * one.c.log_gap).label("log_gap_2"),
        faded(one.c.log_stock).label("log_stock"),
        faded(one.c.log_stock * one.c.log_stock).label("log_stock_2"),
        faded(one.c.log_gap * one.c.log_stock).label("log_both"),
    ).subquery(f"{name}_states")
    # Only those that lasted into the half year that is looked at.
    lasted = sa.or_(states.c.next_day.is_(None), states.c.next_day >= WEEK - 1 - 7 * PROBES)
    return sa.select(*states.c).where(lasted).subquery(name)
