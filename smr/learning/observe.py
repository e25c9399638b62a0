"""How long one unit of each line lasts, as purchases tell: the days to the customer's next purchase of it.

Per customer and line, purchases of one day are one. The days to the next one, divided by the units bought,
are one observation of how long one unit lasts; the median of all is the line's cycle, and the interval holds
it in 95 of 100 cases. Gaps that are still open are not counted, so that slow lines look a little faster than
they are. Samples, gifts and what was refunded are no purchases.

In: the real database (only read), the library, the settings, now. Out: `Observed`, one for each line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, floor, sqrt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock, due
from smr.backtest import past_of
from smr.conditions.purchases import category_of, kept_quantity, sold
from smr.database import Database
from smr.learning.catalog_text import Change
from smr.playbook.model import Catalog, Library
from smr.settings import Settings
from smr.slices import customer_slices
from smr.tables import cycles, named, products, purchases

YEARS = 2
"""Purchases of the last so many years are looked at."""
LEAST_GAPS = 30
"""Fewer observations propose nothing."""
DRIFT = 0.15
"""A cycle that is off by less than this share is left as it is."""
SURE = 1.96

SINCE = sa.bindparam("since", type_=sa.BigInteger)
SHIFT = sa.bindparam("shift", type_=sa.BigInteger)
LOW = sa.bindparam("low", type_=sa.Integer)
HIGH = sa.bindparam("high", type_=sa.Integer)

Told = Callable[[int, int | None, str | None], None]


@dataclass(frozen=True)
class Observed:
    """One line: what is stated (days, and by which entry: `product`, `category`, `default` or nothing), what
    is seen.

    `low` and `high` are the interval of the median. `final`: the operator does not want it learned.
    """

    kind: str
    line: str
    stated: float | None
    stated_by: str | None
    final: bool
    gaps: int
    customers: int
    days: float | None
    low: float | None
    high: float | None

    @property
    def contradicts(self) -> bool:
        """Whether purchases contradict what is stated: surely, and by enough to matter."""
        if self.days is None or self.low is None or self.high is None or self.gaps < LEAST_GAPS:
            return False
        if self.stated is None:
            return True
        off = abs(self.days / self.stated - 1) >= DRIFT
        return off and not self.low <= self.stated <= self.high and self.proposed != round(self.stated)

    @property
    def proposed(self) -> int:
        """Whole days, at least one."""
        return max(1, round(self.days or 1))

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "kind": self.kind,
            "line": self.line,
            "stated_days": self.stated,
            "stated_by": self.stated_by,
            "final": self.final,
            "gaps": self.gaps,
            "customers": self.customers,
            "days": None if self.days is None else round(self.days, 1),
            "low": None if self.low is None else round(self.low, 1),
            "high": None if self.high is None else round(self.high, 1),
            "contradicts": self.contradicts,
        }


def observe(
    database: Database,
    library: Library,
    settings: Settings,
    *,
    now: datetime,
    told: Told = lambda _done, _total, _what: None,
) -> list[Observed]:
    """Each category, and each product that is followed or has an entry; the most observed first."""
    catalog = library.catalog
    at = clock.seconds(now)
    offset = now.astimezone(settings.shop.tz).utcoffset()
    bound = {
        "now": at,
        "since": at - YEARS * 365 * clock.DAY,
        "shift": int(offset.total_seconds()) if offset else 0,
    }
    with past_of(database, at=at, horizon=at, told=told) as past:
        with past.database.write() as connection:
            due.publish_catalog(connection, catalog)
        with past.database.read() as connection:
            found = [*_observed(connection, "category", catalog, bound)]
            found += [
                one
                for one in _observed(connection, "product", catalog, bound)
                if catalog.track != "category" or one.line in catalog.cycles.products
            ]
    return sorted(found, key=lambda one: (one.kind, -one.gaps, one.line))


def changes_of(observed: Sequence[Observed], *, final: bool = False) -> list[Change]:
    """What the catalog should say where purchases contradict it; of final words only where `final`."""
    return [
        Change(one.kind, one.line, one.proposed)
        for one in observed
        if one.contradicts and (final or not one.final)
    ]


def _observed(
    connection: Connection, kind: str, catalog: Catalog, bound: dict[str, int]
) -> Iterator[Observed]:
    counted: dict[str, Counter[tuple[int, float]]] = {}
    people: Counter[str] = Counter()
    for part in customer_slices(connection):
        span = {**bound, "low": part.low, "high": part.high}
        for line, gap, units, count in connection.execute(_gaps(kind), span):
            counted.setdefault(line, Counter())[gap, units] += count
        for line, count in connection.execute(_people(kind), span):
            people[line] += count
    category: dict[str, str] = {}
    if kind == "product":
        category = {product: name for product, name in connection.execute(_categories())}  # noqa: C416
    for line in sorted(people):
        stated, stated_by, final = _stated(kind, line, category.get(line), catalog)
        days = sorted((gap / units, count) for (gap, units), count in counted.get(line, Counter()).items())
        total = sum(count for _, count in days)
        middle, low, high = (_at(days, place) for place in _places(total)) if total else (None, None, None)
        yield Observed(kind, line, stated, stated_by, final, total, people[line], middle, low, high)


def _stated(
    kind: str, line: str, category: str | None, catalog: Catalog
) -> tuple[float | None, str | None, bool]:
    """Days, the entry that says so (the product's, the category's, the default), and whether it is final."""
    stated = catalog.cycles
    product = stated.products.get(line) if kind == "product" else None
    entries = (
        ("product", product),
        ("category", stated.categories.get((category or "") if kind == "product" else line)),
        ("default", stated.default),
    )
    for name, entry in entries:
        if entry is not None and entry.lasts is not None:
            return (
                entry.lasts / clock.DAY,
                name,
                not entry.learn or (product is not None and not product.learn),
            )
    return None, None, False


def _places(total: int) -> tuple[int, int, int]:
    """Which of so many values in order are the median, and the bounds that hold it in 95 of 100 cases."""
    reach = SURE * sqrt(total) / 2
    return (total - 1) // 2, max(0, floor(total / 2 - reach)), min(total - 1, ceil(total / 2 + reach))


def _at(values: Sequence[tuple[float, int]], place: int) -> float:
    """The value at that place, of values in order that occur so many times."""
    seen = 0
    for value, count in values:
        seen += count
        if seen > place:
            return value
    raise IndexError(place)


def _days(kind: str) -> sa.Subquery:
    """Per customer, line and day: how many units were bought and kept."""
    line, goods, entry = named(purchases, "line"), named(products, "goods"), named(cycles, "entry")
    own = sa.and_(entry.c.kind == "product", entry.c.line == goods.c.product_id)
    name = category_of(goods, entry) if kind == "category" else goods.c.product_id
    units = sa.func.coalesce(entry.c.units, goods.c.units, 1.0) * kept_quantity(line)
    at = sa.type_coerce(line.c.purchased_at, sa.BigInteger)
    day = sa.cast((at + SHIFT) / clock.DAY, sa.Integer)
    return (
        sa.select(
            line.c.bucket,
            line.c.customer_id,
            name.label("line"),
            day.label("day"),
            sa.func.sum(units).label("units"),
        )
        .select_from(line.join(goods, goods.c.product_id == line.c.product_id).outerjoin(entry, own))
        .where(line.c.bucket.between(LOW, HIGH), sold(line), line.c.purchased_at > SINCE, name.is_not(None))
        .group_by(line.c.bucket, line.c.customer_id, name, day)
        .having(sa.func.sum(units) > 0)
        .subquery("days")
    )


def _gaps(kind: str) -> sa.Select[Any]:
    """How often so many days passed after so many units, by line."""
    days = _days(kind)
    following = sa.func.lead(days.c.day).over(
        partition_by=[days.c.bucket, days.c.customer_id, days.c.line], order_by=days.c.day
    )
    each = sa.select(*days.c, (following - days.c.day).label("gap")).subquery("each")
    columns = (each.c.line, each.c.gap, each.c.units)
    return sa.select(*columns, sa.func.count()).where(each.c.gap.is_not(None)).group_by(*columns)


def _categories() -> Any:
    goods, entry = named(products, "goods"), named(cycles, "entry")
    own = sa.and_(entry.c.kind == "product", entry.c.line == goods.c.product_id)
    name = category_of(goods, entry)
    return (
        sa.select(goods.c.product_id, name).select_from(goods.outerjoin(entry, own)).where(name.is_not(None))
    )


def _people(kind: str) -> sa.Select[Any]:
    days = _days(kind)
    each = sa.select(days.c.bucket, days.c.customer_id, days.c.line).distinct().subquery("each")
    return sa.select(each.c.line, sa.func.count()).group_by(each.c.line)
