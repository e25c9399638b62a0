"""What purchases of everybody say of each line: how long, how sure, how often followed. The `learned` rows.

Learned from the sums of all rhythms as known when the week began, so that a supply moves when its customer
buys, and once a week with the shop. Each level leans on the one above it by so many gaps as are written
below, and where the operator states the days for a level, on those: quantity × days.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.database import insert_or_update
from smr.due.catalog import EVERYTHING
from smr.due.goods import goods_of
from smr.due.projection import SEASONED
from smr.due.rhythms import MILLION
from smr.tables import learned, odds, rhythms

SHOP_LEANS, CATEGORY_LEANS, PRODUCT_LEANS = 20.0, 20.0, 10.0
"""Gaps that the level above weighs: for the shop the operator's word, for lines the shop or category."""

EXPONENT_LEANS = 50.0
"""How much scatter of ln stock within customers it takes to half believe a line's own exponent."""

STATED_EXPONENT_LEANS = 10.0
LIFT_LEANS = 20.0
USUAL_STOCK_LEANS = 5.0
GUESSED_WITHIN, GUESSED_BETWEEN, GUESSED_VARIANCE, GUESS_LEANS = 0.6, 0.3, 0.8, 20.0
LEAST_BETWEEN = 0.05

SETTLING = 60
"""Days after which a purchase that was not followed by another counts as such."""

FOLLOWED_GUESS, FOLLOWED_LEANS = 0.7, 2.0

COUNTED = ("pairs", "settled", "days", "gaps", "gapped", "several")
LOGARITHMS = ("log_gap", "log_gap_2", "log_stock", "log_stock_2", "log_both")
WITHIN = ("within_gap", "within_stock", "within_both")
MEANS = ("inverse", "mean_gap", "mean_gap_2", "mean_stock", "mean_stock_2", "mean_both")
SUMS = (*COUNTED, *LOGARITHMS, *WITHIN, *MEANS)


class Sums(defaultdict[str, float]):
    """Sums over the customers of a line, by the names in `SUMS`; 0 where there is nothing."""

    def __init__(self) -> None:
        super().__init__(float)

    def add(self, other: Mapping[str, float]) -> None:
        """Take those in."""
        for name, value in other.items():
            self[name] += value


@dataclass
class Line:
    """A line with its sums, by how often its customers had bought it (at most eleven times)."""

    category: str | None
    stated: bool  # by the operator, for this very line
    category_stated: bool
    lasts: float  # days that one unit lasts
    by_days: dict[int, Sums] = field(default_factory=dict)
    all: Sums = field(default_factory=Sums)


@dataclass(frozen=True)
class Level:
    """What is learned of a line, a category or the shop."""

    sums: Sums
    exponent: float
    log_stock: float
    location: float
    variance: float


def learn(connection: Connection, kind: str, week: int) -> list[str] | None:
    """Write what the lines of one kind teach, as of the week; the lines of which it changed.

    None where so much changed that every line is concerned.
    """
    stated = _lines(connection, kind)
    lines: dict[str, Line] = {}
    for name, days, sums in _known(connection, kind, week):
        if name in stated:
            line = lines.setdefault(name, stated[name])
            line.by_days[days] = sums
            line.all.add(sums)
    shares, rows = _taught(kind, lines, week)
    everything = write_odds(connection, kind, "followed", shares)
    changed = _write(connection, kind, rows)
    return None if everything or len(changed) > MANY else changed


MANY = 300
"""So many changed lines are not named one by one."""


def _lines(connection: Connection, kind: str) -> dict[str, Line]:
    goods = goods_of(kind)

    def any_by(basis: str) -> Any:
        return sa.func.max(sa.case((goods.c.basis == basis, 1), else_=0))

    select = (
        sa.select(
            goods.c.line,
            sa.func.min(goods.c.category).label("category"),
            any_by(kind).label("stated"),
            any_by("category").label("category_stated"),
            sa.func.min(goods.c.unit_lasts).label("unit_lasts"),
        )
        .where(goods.c.learns)
        .group_by(goods.c.line)
    )
    return {
        row.line: Line(row.category, bool(row.stated), bool(row.category_stated), row.unit_lasts / clock.DAY)
        for row in connection.execute(select)
    }


def _known(connection: Connection, kind: str, week: int) -> Iterable[tuple[str, int, Sums]]:
    one = rhythms.alias("one")
    days = sa.case((one.c.known_days <= SEASONED, one.c.known_days), else_=SEASONED + 1)
    gaps = one.c.known_days - 1
    gapped, several = gaps >= 1, gaps >= 2
    gap, stock = one.c.known_log_gap / float(MILLION), one.c.known_log_stock / float(MILLION)
    n = sa.cast(sa.case((gapped, gaps), else_=1), sa.Double)

    def plain(name: str) -> Any:
        return sa.func.sum(sa.cast(one.c[f"known_{name}"], sa.Double))

    def within(square: str, left: Any, right: Any) -> Any:
        return _total(gapped, one.c[f"known_{square}"] / float(MILLION) - left * right / n)

    def mean(value: Any) -> Any:
        return _total(several, value)

    select = (
        sa.select(
            one.c.line,
            days.label("nth"),
            sa.func.count().label("pairs"),
            sa.func.sum(sa.case((one.c.known_last < week - SETTLING, 1), else_=0)).label("settled"),
            sa.func.sum(one.c.known_days).label("days"),
            sa.func.sum(gaps).label("gaps"),
            sa.func.sum(sa.case((gapped, 1), else_=0)).label("gapped"),
            *(plain(name).label(name) for name in LOGARITHMS),
            within("log_gap_2", gap, gap).label("within_gap"),
            within("log_stock_2", stock, stock).label("within_stock"),
            within("log_both", gap, stock).label("within_both"),
            sa.func.sum(sa.case((several, 1), else_=0)).label("several"),
            mean(1.0 / n).label("inverse"),
            mean(gap / n).label("mean_gap"),
            mean(gap * gap / n / n).label("mean_gap_2"),
            mean(stock / n).label("mean_stock"),
            mean(stock * stock / n / n).label("mean_stock_2"),
            mean(gap * stock / n / n).label("mean_both"),
        )
        .where(one.c.kind == kind, one.c.known_days > 0)
        .group_by(one.c.line, days)
    )
    for row in connection.execute(select).mappings():
        sums = Sums()
        for name in SUMS:
            sums[name] = float(row[name]) if name in COUNTED else float(row[name]) / MILLION
        yield row["line"], row["nth"], sums


def _total(where: Any, value: Any) -> Any:
    """The sum of a value in millionths, each rounded, so that the order does not matter."""
    each = sa.func.round(value * float(MILLION), type_=sa.Double)
    return sa.func.coalesce(sa.func.sum(sa.case((where, each))), 0.0)


def _taught(kind: str, lines: Mapping[str, Line], week: int) -> tuple[dict[int, float], list[dict[str, Any]]]:
    """The share of n-th purchases that are followed, and the rows of the shop, its categories and lines."""
    everything, by_category = Sums(), defaultdict[str | None, Sums](Sums)
    for line in lines.values():
        everything.add(line.all)
        by_category[line.category].add(line.all)
    no_one = Level(Sums(), 1.0, 0.0, 0.0, GUESSED_VARIANCE)
    usual = math.log(_typical(lines))
    shop = _level(everything, no_one, SHOP_LEANS, stated=usual, exponent_leans=STATED_EXPONENT_LEANS)
    levels = {name: _of_line(line, kind, shop, by_category) for name, line in lines.items()}
    within, between = _scatter(lines, levels)
    shares = _followed(lines)
    common = {
        "kind": kind,
        "as_of": week,
        "between": _round(between, 2),
        "patience": _round(within / between, 2),
    }
    rows = [_row(shop, 1.0, {**common, "level": "shop", "line": EVERYTHING})]
    for name, line in lines.items():
        lift = _lift(line, shares)
        rows.append(_row(levels[name], lift, {**common, "level": kind, "line": name}))
    return shares, rows


def _typical(lines: Mapping[str, Line]) -> float:
    stated = sorted(line.lasts for line in lines.values())
    return stated[len(stated) // 2] if stated else 30.0


def _of_line(line: Line, kind: str, shop: Level, by_category: Mapping[str | None, Sums]) -> Level:
    parent, leans, usual = shop, CATEGORY_LEANS, math.log(line.lasts)
    if kind == "product" and line.category is not None:
        said = usual if line.category_stated else None
        parent, leans = _level(by_category[line.category], shop, CATEGORY_LEANS, stated=said), PRODUCT_LEANS
    return _level(line.all, parent, leans, stated=usual if line.stated else None, usual=usual)


def _level(
    sums: Sums,
    parent: Level,
    leans: float,
    *,
    stated: float | None = None,
    usual: float | None = None,
    exponent_leans: float = EXPONENT_LEANS,
) -> Level:
    """A level that leans on its parent, or where the operator `stated` the ln days of a unit, on that."""
    exponent = (sums["within_both"] + exponent_leans * parent.exponent) / (
        sums["within_stock"] + exponent_leans
    )
    exponent = _round(max(0.0, min(1.0, exponent)), 2)
    gaps = sums["gaps"]
    likely = next((one for one in (stated, usual) if one is not None), parent.log_stock)
    log_stock = (sums["log_stock"] + USUAL_STOCK_LEANS * likely) / (gaps + USUAL_STOCK_LEANS)
    prior = parent.location if stated is None else (1 - exponent) * log_stock
    total = sums["log_gap"] - exponent * sums["log_stock"]
    squares = sums["log_gap_2"] - 2 * exponent * sums["log_both"] + exponent**2 * sums["log_stock_2"]
    location = (total + leans * prior) / (gaps + leans)
    scatter = squares - 2 * location * total + gaps * location**2
    variance = (scatter + leans * parent.variance) / (gaps + leans)
    return Level(sums, exponent, _round(log_stock, 2), _round(location, 2), _round(variance, 2))


def _scatter(lines: Mapping[str, Line], levels: Mapping[str, Level]) -> tuple[float, float]:
    """Variances of ln days: within customers round their own mean, and between the means of customers."""
    inside, free, between, several = GUESS_LEANS * GUESSED_WITHIN, GUESS_LEANS, 0.0, 0.0
    inverse = 0.0
    for name, line in lines.items():
        sums, power, location = line.all, levels[name].exponent, levels[name].location
        inside += sums["within_gap"] - 2 * power * sums["within_both"] + power**2 * sums["within_stock"]
        free += sums["gaps"] - sums["gapped"]
        mean = sums["mean_gap"] - power * sums["mean_stock"]
        squares = sums["mean_gap_2"] - 2 * power * sums["mean_both"] + power**2 * sums["mean_stock_2"]
        between += squares - 2 * location * mean + location**2 * sums["several"]
        several += sums["several"]
        inverse += sums["inverse"]
    within = inside / free
    found = (between - within * inverse + GUESS_LEANS * GUESSED_BETWEEN) / (several + GUESS_LEANS)
    return within, max(LEAST_BETWEEN, _round(found, 2))


def _counts(line: Line) -> Iterable[tuple[int, float, float]]:
    """For the first to the tenth purchase (and all later ones): how many there were, how many followed.

    A last purchase counts only once it is settled that nothing followed.
    """
    for nth in range(1, SEASONED + 1):
        followed = float(sum(sums["pairs"] for days, sums in line.by_days.items() if days > nth))
        settled = line.by_days[nth]["settled"] if nth in line.by_days else 0.0
        if nth == SEASONED and SEASONED + 1 in line.by_days:
            later = line.by_days[SEASONED + 1]
            followed = later["days"] - SEASONED * later["pairs"]
            settled += later["settled"]
        yield nth, followed + settled, followed


def _followed(lines: Mapping[str, Line]) -> dict[int, float]:
    reached, followed = defaultdict[int, float](float), defaultdict[int, float](float)
    for line in lines.values():
        for nth, there, came in _counts(line):
            reached[nth] += there
            followed[nth] += came
    return {
        nth: _round((followed[nth] + FOLLOWED_LEANS * FOLLOWED_GUESS) / (reached[nth] + FOLLOWED_LEANS), 3)
        for nth in range(1, SEASONED + 1)
    }


def _lift(line: Line, shares: Mapping[int, float]) -> float:
    expected = sum(there * shares[nth] for nth, there, _ in _counts(line))
    followed = sum(came for _, _, came in _counts(line))
    return _round((followed + LIFT_LEANS) / (expected + LIFT_LEANS), 2)


def _row(level: Level, lift: float, where: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **where,
        "pairs": int(level.sums["pairs"]),
        "gaps": int(level.sums["gaps"]),
        "location": level.location,
        "variance": level.variance,
        "exponent": level.exponent,
        "log_stock": level.log_stock,
        "lift": lift,
    }


def _round(value: float, places: int) -> float:
    """Rounded as coarsely as serves: what hardly moves need not be written again."""
    return round(value, places) + 0.0


COUNTS = ("as_of", "pairs", "gaps")


def _write(connection: Connection, kind: str, rows: list[dict[str, Any]]) -> list[str]:
    """Write rows that differ; the lines that changed in what supplies rest on."""
    present = {
        (row["level"], row["line"]): dict(row)
        for row in connection.execute(sa.select(learned).where(learned.c.kind == kind)).mappings()
    }
    new = {(row["level"], row["line"]): row for row in rows}
    differing = [row for key, row in new.items() if present.get(key) != row]
    gone = [key for key in present if key not in new]
    names = [column.name for column in learned.columns]
    if differing:
        upsert = insert_or_update(connection.dialect.name, learned, update=names[3:])
        connection.execute(upsert, differing)
    for level, line in gone:
        connection.execute(
            sa.delete(learned).where(learned.c.kind == kind, learned.c.level == level, learned.c.line == line)
        )
    moved = [key for key in new if _moved(present.get(key), new[key])] + gone
    return [line for level, line in moved if level == kind]


def _moved(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> bool:
    return before is None or any(before[name] != after[name] for name in after if name not in COUNTS)


def write_odds(connection: Connection, kind: str, what: str, shares: Mapping[int, float]) -> bool:
    """Write shares that differ; whether any did."""
    of = sa.and_(odds.c.kind == kind, odds.c.what == what)
    present = {
        row.step: row.share for row in connection.execute(sa.select(odds.c.step, odds.c.share).where(of))
    }
    rows = [
        {"kind": kind, "what": what, "step": step, "share": share}
        for step, share in shares.items()
        if present.get(step) != share
    ]
    if rows:
        connection.execute(insert_or_update(connection.dialect.name, odds, update=["share"]), rows)
    return bool(rows)
