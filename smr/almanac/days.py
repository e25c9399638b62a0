"""Which days people work on, and which are festivals: what comes with smr, under the shop's own word.

The shop's word stands in the table `calendar`: a day as `holiday`, as `workday` (worked though it would be
free), as `normal` (as its weekday says, whatever smr knows of it), or as `festival`, with a name of its own.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files

import sqlalchemy as sa
from sqlalchemy import Connection

from smr.almanac.festivals import festival_named, festivals_of, statutory_days
from smr.settings import Settings
from smr.tables import calendar

KINDS = ("holiday", "workday", "normal", "festival")
"""What a row of the calendar may say of a day."""
SATURDAY = 5


@dataclass(frozen=True)
class Almanac:
    """What is known of days. `said` has the kind and name of each day that is not as its weekday says."""

    region: str = "none"
    said: Mapping[date, tuple[str, str]] = field(default_factory=dict)
    own: Mapping[date, tuple[str, ...]] = field(default_factory=dict)

    def told(self, day: date) -> tuple[str, str]:
        """The kind and the name of a day: holiday, workday or normal."""
        found = self.said.get(day)
        if found is None and self.region == "cn" and day in statutory_days(day.year):
            return "holiday", statutory_days(day.year)[day]
        return found or ("normal", "")

    def is_holiday(self, day: date) -> bool:
        """Whether it is a public holiday."""
        return self.told(day)[0] == "holiday"

    def is_workday(self, day: date) -> bool:
        """Whether people work: on weekdays but for holidays, and on weekends that make up for them."""
        kind = self.told(day)[0]
        return kind == "workday" or (kind == "normal" and day.weekday() < SATURDAY)

    @property
    def holidays(self) -> Container[date]:
        """The public holidays."""
        return _Holidays(self)

    def festivals(self, day: date) -> tuple[str, ...]:
        """The festivals of a day, the shop's own first."""
        return (*self.own.get(day, ()), *festivals_of(day.year).get(day, ()))

    def falls(self, names: tuple[str, ...], day: date) -> tuple[str, ...]:
        """Which of the named festivals fall on a day, as they are shown."""
        wanted = [found.name if (found := festival_named(name)) else name for name in names]
        return tuple(name for name in self.festivals(day) if name in wanted)

    @property
    def arranged_until(self) -> date | None:
        """The last day of the last year of which more is known than the law says."""
        last = max(self.said, default=None)
        return None if last is None else date(last.year, 12, 31)

    @property
    def version(self) -> str:
        """A name for what it says."""
        return sha256(
            repr((self.region, sorted(self.said.items()), sorted(self.own.items()))).encode()
        ).hexdigest()[:16]


@dataclass(frozen=True)
class _Holidays:
    almanac: Almanac

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and self.almanac.is_holiday(day)


@lru_cache(maxsize=4)
def shipped(region: str) -> Almanac:
    """What comes with smr for a region: `cn`, or `none`."""
    if region != "cn":
        return Almanac(region)
    lines = (files("smr.almanac") / "china.csv").read_text(encoding="utf-8").splitlines()[2:]
    rows = (line.split(",") for line in lines)
    return Almanac(region, {date.fromisoformat(day): (kind, name) for day, kind, name in rows})


def almanac_of(connection: Connection, settings: Settings) -> Almanac:
    """What comes with smr for the shop's region, with the shop's own word over it."""
    base = shipped(settings.shop.region)
    said, own = dict(base.said), dict[date, tuple[str, ...]]()
    rows = connection.execute(sa.select(calendar).order_by(calendar.c.day, calendar.c.kind, calendar.c.name))
    for row in rows:
        day = date.fromisoformat(row.day)
        if row.kind == "festival":
            own[day] = (*own.get(day, ()), row.name)
        else:
            said[day] = (row.kind, row.name or base.told(day)[1])
    return Almanac(base.region, said, own)
