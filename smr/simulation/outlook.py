"""What would go out each day from today's facts, and how far from it a day may be.

Going forward, nobody buys: reminders that purchases will make needless are counted, and those that purchases
will bring are not. How much that matters, the shop's own past tells: the days just past are walked twice
from the same state, once blind, once with the purchases that came. Their ratio corrects each playbook's
figures, and what is left between them gives the range.

In: the real database (only read), a library, the settings, now. Out: an `Outlook`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import sqrt
from typing import Any

import sqlalchemy as sa

from smr import clock, runs
from smr.backtest import Past, past_of, present_of, walk
from smr.backtest.tables import reminders
from smr.database import Database
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import purchases

LEANS = 20.0
"""Messages that a ratio of 1 weighs against what the past says."""
SPREAD_GUESS, SPREAD_LEANS = 0.3, 3.0
"""Relative spread of a day where the past says nothing, and how many days this weighs."""
WIDE = 3.0
"""A range is so many standard deviations to both sides: one day in some hundreds leaves it by chance."""

Key = tuple[int, str, str]
"""Number of the day from 0, playbook, channel."""
Told = Callable[[int, int | None, str | None], None]


@dataclass(frozen=True)
class Expected:
    """What is expected of a day, per playbook and channel. `counted` is what the simulation itself sent."""

    day: date
    playbook: str
    channel: str
    counted: int
    expected: float
    low: float
    high: float

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "day": self.day,
            "playbook": self.playbook,
            "channel": self.channel,
            "counted": self.counted,
            "expected": round(self.expected, 1),
            "low": round(self.low, 1),
            "high": round(self.high, 1),
        }


@dataclass(frozen=True)
class Outlook:
    """All days to come. `checked_on` is how many past days the ranges rest on; 0: on a guess."""

    made_at: datetime
    days: tuple[date, ...]
    rows: tuple[Expected, ...]
    checked_on: int

    def by_day(self) -> dict[date, tuple[float, float, float]]:
        """Expected, low and high of each day, all playbooks and channels together.

        Days vary together, so that ranges are added up and not their squares.
        """
        found = dict.fromkeys(self.days, (0.0, 0.0, 0.0))
        for row in self.rows:
            expected, low, high = found[row.day]
            found[row.day] = (expected + row.expected, low + row.low, high + row.high)
        return found


def simulate(
    database: Database,
    library: Library,
    settings: Settings,
    *,
    now: datetime,
    days: int,
    at: time,
    told: Told = lambda _done, _total, _what: None,
) -> Outlook:
    """Walk so many days forward, today included; runs take place at `at`, today's at once if that is over."""
    moments = _moments(now, days, at, settings)
    with database.read() as connection:
        first_run = runs.next_id(connection)
    with present_of(database, at=clock.seconds(now), told=told) as present:
        counted = _walked(present, library, settings, moments, told, first_run)
    past = _past_moments(database, now, days, at, settings)
    blind, seen = _looked_back(database, library, settings, past, told) if past else (Counter(), Counter())
    ratios, spreads = _ratios(blind, seen), _spreads(blind, seen)
    zone = settings.shop.tz
    dates = tuple(clock.local_day(moment, zone) for moment in moments)
    rows = (
        _expected(dates[day], playbook, channel, count, ratios, spreads)
        for (day, playbook, channel), count in sorted(counted.items())
        if day < len(dates)
    )
    return Outlook(now, dates, tuple(rows), len(past))


def _moments(now: datetime, days: int, at: time, settings: Settings) -> list[datetime]:
    zone = settings.shop.tz
    today = clock.local_day(now, zone)
    found = [
        datetime.combine(today + timedelta(days=number), at, tzinfo=zone).astimezone(UTC)
        for number in range(days)
    ]
    return [max(found[0], now), *found[1:]]


def _past_moments(
    database: Database, now: datetime, days: int, at: time, settings: Settings
) -> list[datetime]:
    """As many days that are just over; none where the shop's purchases do not go back that far."""
    begin = clock.local_day(now, settings.shop.tz) - timedelta(days=days)
    found = [moment - timedelta(days=days) for moment in _moments(now, days, at, settings)]
    found[0] = datetime.combine(begin, at, tzinfo=settings.shop.tz).astimezone(UTC)
    earliest = sa.select(sa.type_coerce(sa.func.min(purchases.c.purchased_at), sa.BigInteger))
    with database.read() as connection:
        first = connection.execute(earliest).scalar_one()
    return found if first is not None and first < clock.seconds(found[0]) - days * clock.DAY else []


def _walked(
    past: Past,
    library: Library,
    settings: Settings,
    moments: Sequence[datetime],
    told: Told,
    first_run: int = 1,
) -> Counter[Key]:
    for _ in walk(
        past, library, settings, moments, within=1, first_run=first_run, allow_blast=True, told=told
    ):
        pass
    with past.database.read() as connection:
        columns = (reminders.c.day, reminders.c.playbook, reminders.c.channel)
        rows = connection.execute(sa.select(*columns, sa.func.count()).group_by(*columns)).all()
    first = clock.local_day(moments[0], settings.shop.tz)
    found: Counter[Key] = Counter()
    for day, playbook, channel, count in rows:
        found[(date.fromisoformat(day) - first).days, playbook, channel] = count
    return found


def _looked_back(
    database: Database, library: Library, settings: Settings, moments: Sequence[datetime], told: Told
) -> tuple[Counter[Key], Counter[Key]]:
    """The same days of the past, walked with no purchase coming in, and with those that came."""
    begin, end = clock.seconds(moments[0]), clock.seconds(moments[-1])
    walked = []
    for horizon in (begin, end):
        with past_of(database, at=begin, horizon=horizon, told=told) as past:
            walked.append(_walked(past, library, settings, moments, told))
    return walked[0], walked[1]


def _ratios(blind: Mapping[Key, int], seen: Mapping[Key, int]) -> dict[str, float]:
    """Messages with purchases coming in, to messages without, by playbook."""
    found = {}
    for playbook in {key[1] for key in (*blind, *seen)}:
        without = sum(count for key, count in blind.items() if key[1] == playbook)
        come = sum(count for key, count in seen.items() if key[1] == playbook)
        found[playbook] = (come + LEANS) / (without + LEANS)
    return found


def _spreads(blind: Mapping[Key, int], seen: Mapping[Key, int]) -> dict[str, float]:
    """How far a day is from what was expected of it, relatively and beyond chance, by playbook."""
    ratios = _ratios(blind, seen)
    found = {}
    for playbook in ratios:
        days = [key for key in {*blind, *seen} if key[1] == playbook]
        beyond = scale = 0.0
        for key in days:
            expected = blind.get(key, 0) * ratios[playbook]
            beyond += max(0.0, (seen.get(key, 0) - expected) ** 2 - expected)
            scale += expected**2
        own = beyond / scale if scale else SPREAD_GUESS**2
        found[playbook] = sqrt(
            (own * len(days) + SPREAD_GUESS**2 * SPREAD_LEANS) / (len(days) + SPREAD_LEANS)
        )
    return found


def _expected(
    day: date,
    playbook: str,
    channel: str,
    counted: int,
    ratios: Mapping[str, float],
    spreads: Mapping[str, float],
) -> Expected:
    expected = counted * ratios.get(playbook, 1.0)
    reach = WIDE * sqrt(expected + (spreads.get(playbook, SPREAD_GUESS) * expected) ** 2)
    return Expected(
        day, playbook, channel, counted, expected, max(0.0, expected - reach), expected + reach + 1
    )


def totals(rows: Sequence[Expected]) -> Iterator[tuple[str, str, int, float]]:
    """Playbook, channel, counted and expected of all days together."""
    counted: Counter[tuple[str, str]] = Counter()
    expected: dict[tuple[str, str], float] = {}
    for row in rows:
        key = (row.playbook, row.channel)
        counted[key] += row.counted
        expected[key] = expected.get(key, 0.0) + row.expected
    for key, count in sorted(counted.items()):
        yield (*key, count, expected[key])
