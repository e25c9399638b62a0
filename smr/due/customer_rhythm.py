"""A customer's rhythm of a line in the words of people: how often, how sure, how likely now."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.due.catalog import EVERYTHING
from smr.due.chance import chance, days_at
from smr.due.rhythms import MILLION, VISIT
from smr.due.visits import CUTS, UNKNOWN
from smr.tables import learned, odds, rhythms, supplies

QUARTERS = (0.25, 0.5, 0.75)
POINTS = 40
"""Of the curve."""


@dataclass(frozen=True)
class Rhythm:
    """What a supply rests on, at an instant.

    `every_days` is the usual gap, `purchases` on so many days, `own_weight` how much of it is the customer's
    own (0..1), `days_ago` the days since it began to be used, `within_week` the chance of a purchase in the
    next seven days, `quarters` the days from that beginning after which one, two and three quarters of
    those alike have bought again, `follows` the share who ever do, `curve` such days and the chance on each.
    """

    every_days: float
    purchases: int
    own_weight: float
    days_ago: int
    within_week: float
    quarters: tuple[float, float, float]
    follows: float
    curve: tuple[tuple[int, float], ...]


def rhythms_of_customer(
    connection: Connection, customer: tuple[int, str], *, now: int, offset: int
) -> dict[tuple[str, str], Rhythm]:
    """The rhythm of each learned supply of a customer, by its kind and line."""
    return dict(_told(connection, customer, (now + offset) // clock.DAY, offset))


def _told(
    connection: Connection, customer: tuple[int, str], today: int, offset: int
) -> Iterator[tuple[tuple[str, str], Rhythm]]:
    supply, own, line = supplies.alias("supply"), rhythms.alias("own"), learned.alias("of_line")
    same = sa.and_(own.c.bucket == supply.c.bucket, own.c.customer_id == supply.c.customer_id)
    same_line = sa.and_(own.c.kind == supply.c.kind, own.c.line == supply.c.line)
    of_line = sa.and_(
        line.c.kind == supply.c.kind, line.c.level == supply.c.kind, line.c.line == supply.c.line
    )
    asked = (
        sa.select(
            supply.c.kind,
            supply.c.line,
            supply.c.own_weight,
            supply.c.follows,
            supply.c.steepness,
            supply.c.location,
            sa.type_coerce(supply.c.starts_at, sa.BigInteger).label("starts_at"),
            *(own.c[name] for name in ("days", "weight", "log_gap", "log_stock")),
            line.c.exponent,
            line.c.patience,
            line.c.location.label("line_location"),
            line.c.log_stock.label("line_log_stock"),
        )
        .select_from(supply.join(own, sa.and_(same, same_line)).join(line, of_line))
        .where(
            supply.c.bucket == customer[0],
            supply.c.customer_id == customer[1],
            supply.c.location.is_not(None),
        )
    )
    factors = _factors(connection)
    visit = _visit(connection, customer, offset)
    for row in connection.execute(asked):
        begins = (row.starts_at + offset) // clock.DAY

        def on(day: int, row: Any = row, begins: int = begins) -> float:
            factor = factors.get((row.kind, _late(begins + day, visit)), 1.0)
            return min(0.99, factor * chance(max(day, 1), row.location, row.steepness, row.follows))

        quarters = [days_at(share, row.location, row.steepness) for share in QUARTERS]
        longest = max(14, round(min(2 * quarters[2], 400)))
        days = sorted({round(longest * point / POINTS) for point in range(1, POINTS + 1)} - {0})
        yield (
            (row.kind, row.line),
            Rhythm(
                every_days=_usual(row),
                purchases=row.days,
                own_weight=row.own_weight,
                days_ago=today - begins,
                within_week=on(today - begins),
                quarters=(quarters[0], quarters[1], quarters[2]),
                follows=row.follows,
                curve=tuple((day, on(day)) for day in days),
            ),
        )


def _usual(row: Any) -> float:
    """The gap in days after the quantity that the customer usually buys."""
    weight, patience = row.weight / MILLION, row.patience
    total = weight + patience
    stock = (row.log_stock / MILLION + patience * row.line_log_stock) / total
    own = (row.log_gap - row.exponent * row.log_stock) / MILLION
    return math.exp((own + patience * row.line_location) / total + row.exponent * stock)


def _factors(connection: Connection) -> dict[tuple[str, int], float]:
    asked = sa.select(odds.c.kind, odds.c.step, odds.c.share).where(odds.c.what == VISIT)
    return {(row.kind, row.step): row.share for row in connection.execute(asked)}


def _visit(connection: Connection, customer: tuple[int, str], offset: int) -> tuple[int, float | None] | None:
    """The day of the customer's last order of anything, and the usual gap between orders."""
    asked = sa.select(
        sa.type_coerce(rhythms.c.starts_at, sa.BigInteger).label("at"), rhythms.c.weight, rhythms.c.log_gap
    ).where(
        rhythms.c.bucket == customer[0],
        rhythms.c.customer_id == customer[1],
        rhythms.c.kind == VISIT,
        rhythms.c.line == EVERYTHING,
    )
    row = connection.execute(asked).one_or_none()
    if row is None:
        return None
    return (row.at + offset) // clock.DAY, math.exp(row.log_gap / row.weight) if row.weight else None


def _late(day: int, visit: tuple[int, float | None] | None) -> int:
    if visit is None or visit[1] is None:
        return UNKNOWN
    return sum((day - visit[0]) / visit[1] >= cut for cut in CUTS)
