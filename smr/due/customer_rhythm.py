"""A customer's rhythm of a line in the words of people: how often, how sure, how likely now."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.due.catalog import EVERYTHING
from smr.due.chance import chance, days_at
from smr.due.forecasts import Forecast, askers
from smr.due.rhythms import MILLION, VISIT
from smr.due.visits import CUTS, UNKNOWN
from smr.playbook.model import Library
from smr.tables import forecasts, learned, odds, rhythms, supplies

QUARTERS = (0.25, 0.5, 0.75)
POINTS = 40
"""Of the curve."""

LEAST_SHOWN, MOST_SHOWN = 14, 400
"""Days that a curve reaches at least, and at most."""


@dataclass(frozen=True)
class AskedDay:
    """What live playbooks ask of a supply beside its run-out, and when that comes true.

    `written` as playbooks say it, `way` is `due` or `likely`, `share` 0..1 and `quiet_days` what they ask.
    `day` counts days since the supply began to be used, `at` is its instant; both empty where it never comes
    true.
    """

    playbooks: tuple[str, ...]
    written: str
    way: str
    share: float
    quiet_days: int
    day: int | None
    at: datetime | None


@dataclass(frozen=True)
class Rhythm:
    """What a supply rests on, at an instant.

    `every_days` is the usual gap, `purchases` on so many days, `own_weight` how much of it is the customer's
    own (0..1), `days_ago` the days since it began to be used, `within_week` the chance of a purchase in the
    next seven days, `quarters` the days from that beginning after which one, two and three quarters of
    those alike have bought again, `follows` the share who ever do, `curve` such days and the chance on each,
    `asked` the days that playbooks ask for.
    """

    every_days: float
    purchases: int
    own_weight: float
    days_ago: int
    within_week: float
    quarters: tuple[float, float, float]
    follows: float
    curve: tuple[tuple[int, float], ...]
    asked: tuple[AskedDay, ...] = ()


def rhythms_of_customer(
    connection: Connection, library: Library, customer: tuple[int, str], *, now: int, offset: int
) -> dict[tuple[str, str], Rhythm]:
    """The rhythm of each learned supply of a customer, by its kind and line."""
    return dict(_told(connection, library, customer, (now + offset) // clock.DAY, offset))


def _told(
    connection: Connection, library: Library, customer: tuple[int, str], today: int, offset: int
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
    factors, visit = _factors(connection), _visit(connection, customer, offset)
    expected, asking = _expected(connection, customer), askers(library)
    for row in connection.execute(asked):
        begins = (row.starts_at + offset) // clock.DAY

        def on(day: int, row: Any = row, begins: int = begins) -> float:
            factor = factors.get((row.kind, _late(begins + day, visit)), 1.0)
            return min(0.99, factor * chance(max(day, 1), row.location, row.steepness, row.follows))

        quarters = [days_at(share, row.location, row.steepness) for share in QUARTERS]
        asked_days = tuple(
            _asked_day(one, names, expected.get((row.kind, row.line, one.asked)), begins, offset)
            for one, names in _asking(asking, row.kind, row.line)
        )
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
                curve=tuple((day, on(day)) for day in _shown(2 * quarters[2], today - begins, asked_days)),
                asked=asked_days,
            ),
        )


def _shown(usual: float, today: int, asked: tuple[AskedDay, ...]) -> list[int]:
    """Days to draw: as far as the curve is of interest, and today and what is asked for in any case."""
    singled = [today, *(one.day for one in asked if one.day is not None)]
    longest = round(max(LEAST_SHOWN, *(min(days, MOST_SHOWN) for days in (usual, *singled))))
    days = {round(longest * point / POINTS) for point in range(1, POINTS + 1)}
    return sorted((days | {day for day in singled if day <= longest}) - {0})


def _asking(
    asking: Mapping[Forecast, tuple[str, ...]], kind: str, line: str
) -> list[tuple[Forecast, tuple[str, ...]]]:
    """What is asked of one line, each question once, with all who ask it."""
    found: dict[str, tuple[Forecast, tuple[str, ...]]] = {}
    for one, names in asking.items():
        if one.kind == kind and (not one.lines or line in one.lines):
            first, others = found.get(one.asked, (one, ()))
            found[one.asked] = (first, (*others, *names))
    return list(found.values())


def _asked_day(
    one: Forecast, names: tuple[str, ...], at: datetime | None, begins: int, offset: int
) -> AskedDay:
    day = None if at is None else (clock.seconds(at) + offset) // clock.DAY - begins
    return AskedDay(names, one.asked, one.way, one.share, one.quiet_days, day, at)


def _expected(connection: Connection, customer: tuple[int, str]) -> dict[tuple[str, str, str], datetime]:
    """The days foretold for a customer, by kind, line and what was asked."""
    columns = (forecasts.c.kind, forecasts.c.line, forecasts.c.asked, forecasts.c.expected_at)
    own = sa.select(*columns).where(forecasts.c.bucket == customer[0], forecasts.c.customer_id == customer[1])
    return {(row.kind, row.line, row.asked): row.expected_at for row in connection.execute(own)}


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
