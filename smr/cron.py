"""Cron expressions of five fields, on the shop's own clock.

In: `minute hour day month weekday`, or days and a time of day. Out: a `Cron` that tells which days and
times of day it names; ValueError says what is wrong with a text. As in cron, when both the day of the month
and the weekday are restricted, either one will do; weekdays 0 and 7 are both Sunday.
Trap: times are those of a wall clock. One that a zone skips fires when the clock jumps, one that a zone
repeats fires the first time only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Protocol
from zoneinfo import ZoneInfo

from smr import clock

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
LONGEST_WAIT = 8 * 366
"""Days within which a cron that fires at all fires: 29 February may be eight years away."""

_PART = re.compile(r"(?P<first>\*|[a-z0-9]+)(?:-(?P<last>[a-z0-9]+))?(?:/(?P<step>\d{1,2}))?")
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True)
class Cron:
    """Days and times of day; the sets hold what each field allows, `weekdays` with Sunday as 0."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    @cached_property
    def times(self) -> tuple[time, ...]:
        """The times of day at which it fires on a day it names, in order."""
        return tuple(time(hour, minute) for hour in sorted(self.hours) for minute in sorted(self.minutes))

    def names(self, day: date) -> bool:
        """Whether it fires on that calendar day."""
        if day.month not in self.months:
            return False
        by_day = day.day in self.days
        by_weekday = (day.weekday() + 1) % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return by_day and by_weekday
        return by_day or by_weekday

    @property
    def fires_ever(self) -> bool:
        """Whether there is any day it names; 31 February never comes."""
        if not self.any_weekday:
            return True
        return any(day <= _MONTH_DAYS[month - 1] for month in self.months for day in self.days)

    def between(self, after: datetime, until: datetime, where: ZoneInfo) -> Iterator[datetime]:
        """The instants at which it fires in (after, until], in UTC, in order. Both are aware."""
        day = after.astimezone(where).date()
        last = until.astimezone(where).date()
        while day <= last:
            yield from self._of_day(day, after, until, where)
            day += timedelta(days=1)

    def next_after(self, moment: datetime, where: ZoneInfo) -> datetime | None:
        """The first instant after `moment` at which it fires; None where it never does."""
        if not self.fires_ever:
            return None
        return next(self.between(moment, moment + timedelta(days=LONGEST_WAIT), where), None)

    def last_until(self, moment: datetime, where: ZoneInfo, *, since: datetime) -> datetime | None:
        """The latest instant in (since, moment] at which it fires; None where there is none."""
        day, first = moment.astimezone(where).date(), since.astimezone(where).date()
        while day >= first:
            found = list(self._of_day(day, since, moment, where))
            if found:
                return found[-1]
            day -= timedelta(days=1)
        return None

    def _of_day(self, day: date, after: datetime, until: datetime, where: ZoneInfo) -> Iterator[datetime]:
        if not self.names(day):
            return
        instants = sorted({_instant(day, at, where) for at in self.times})
        yield from (instant for instant in instants if after < instant <= until)


def parse_cron(text: str) -> Cron:
    """`minute hour day month weekday`; ValueError says what to write."""
    fields = text.lower().split()
    if len(fields) != 5:
        raise ValueError(
            f"{text!r} has {len(fields)} of the five fields; write minute hour day month weekday, "
            "such as 0 9 * * mon-fri"
        )
    minute, hour, day, month, weekday = fields
    weekdays = _values("weekday", weekday, 0, 7, WEEKDAYS, first_name=0)
    return Cron(
        minutes=_values("minute", minute, 0, 59),
        hours=_values("hour", hour, 0, 23),
        days=_values("day", day, 1, 31),
        months=_values("month", month, 1, 12, MONTHS, first_name=1),
        weekdays=frozenset(value % 7 for value in weekdays),
        any_day=day.startswith("*"),
        any_weekday=weekday.startswith("*"),
    )


def cron_of(every: Sequence[str], at: time) -> Cron:
    """Each day (`day`), days of the week (`tue`) or days of the month (`15`), at a time of day."""
    words = [word.strip().lower() for word in every]
    everything = frozenset(range(1, 32)), frozenset(range(7))
    if words == ["day"]:
        days, weekdays = everything
    elif all(word in WEEKDAYS for word in words):
        days, weekdays = everything[0], frozenset(WEEKDAYS.index(word) for word in words)
    elif all(re.fullmatch(r"[0-9]{1,2}", word) and 1 <= int(word) <= 31 for word in words):
        days, weekdays = frozenset(map(int, words)), everything[1]
    else:
        shown = ", ".join(every)
        raise ValueError(
            f"{shown!r} names no days; write day, weekdays such as [tue, thu], or days such as [1, 15]"
        )
    months = frozenset(range(1, 13))
    return Cron(
        frozenset({at.minute}),
        frozenset({at.hour}),
        days,
        months,
        weekdays,
        len(days) == 31,
        len(weekdays) == 7,
    )


class Schedule(Protocol):
    """When something happens: `cron`, or `every` with `at`; not before `from_`, nor after `until`."""

    @property
    def every(self) -> Sequence[str] | None:
        """Days: `day`, weekdays or days of the month."""
        ...

    @property
    def at(self) -> time | None:
        """The time of day that goes with `every`."""
        ...

    @property
    def cron(self) -> str | None:
        """A cron expression."""
        ...

    @property
    def from_(self) -> date | None:
        """The first day."""
        ...

    @property
    def until(self) -> date | None:
        """The last day."""
        ...


def schedule_cron(schedule: Schedule) -> Cron:
    """The schedule's days and times of day; ValueError where it names none."""
    if schedule.cron is not None:
        return parse_cron(schedule.cron)
    return cron_of(schedule.every or ("day",), schedule.at or time())


def last_slot(schedule: Schedule, where: ZoneInfo, *, after: int, until: int) -> int | None:
    """The latest time of a schedule in (after, until], in seconds since 1970; None where there is none."""
    since, moment = clock.moment(after), clock.moment(until)
    if schedule.from_ is not None:
        since = max(since, clock.day_start(schedule.from_, where) - timedelta(seconds=1))
    if schedule.until is not None:
        moment = min(
            moment, clock.day_start(schedule.until + timedelta(days=1), where) - timedelta(seconds=1)
        )
    found = schedule_cron(schedule).last_until(moment, where, since=since)
    return None if found is None else clock.seconds(found)


def next_slot(schedule: Schedule, where: ZoneInfo, *, after: int) -> int | None:
    """The next time of a schedule after an instant, in seconds since 1970; None where there is none."""
    since = clock.moment(after)
    if schedule.from_ is not None:
        since = max(since, clock.day_start(schedule.from_, where) - timedelta(seconds=1))
    found = schedule_cron(schedule).next_after(since, where)
    if found is None or (schedule.until is not None and found.astimezone(where).date() > schedule.until):
        return None
    return clock.seconds(found)


def _values(
    name: str, text: str, low: int, high: int, words: Sequence[str] = (), first_name: int = 0
) -> frozenset[int]:
    """What one field allows."""
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if not match:
            raise ValueError(
                f"{part!r} cannot be a {name}; write * or a number, a list 1,2, a range 1-5, a step */2"
            )
        first, last = _range(name, match, low, high, words, first_name)
        step = int(match["step"] or 1)
        if not step:
            raise ValueError(f"{part!r} has a step of 0; write a step from 1")
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _range(
    name: str, match: re.Match[str], low: int, high: int, words: Sequence[str], first_name: int
) -> tuple[int, int]:
    if match["first"] == "*":
        if match["last"]:
            raise ValueError(
                f"{match[0]!r} cannot be a {name}; write * alone or a range such as {low}-{high}"
            )
        return low, high if name != "weekday" else 6
    first = _value(name, match["first"], low, high, words, first_name)
    if match["last"]:
        last = _value(name, match["last"], low, high, words, first_name)
        if name == "weekday" and last == 0:
            last = 7
        if last < first:
            raise ValueError(f"{match[0]!r} runs backwards; write two ranges with a comma between")
        return first, last
    return first, (high if name != "weekday" else 6) if match["step"] else first


def _value(name: str, text: str, low: int, high: int, words: Sequence[str], first_name: int) -> int:
    if text in words:
        return words.index(text) + first_name
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise ValueError(f"{text!r} cannot be a {name}; write a number from {low} to {high}")
    if not low <= int(text) <= high:
        raise ValueError(f"{text} is out of range for a {name}; write a number from {low} to {high}")
    return int(text)


def _instant(day: date, at: time, where: ZoneInfo) -> datetime:
    """The instant a wall clock shows that time; where the clock jumps over it, the end of the jump."""
    local = datetime.combine(day, at, tzinfo=where)
    instant = local.astimezone(UTC)
    if instant.astimezone(where).replace(tzinfo=None) == local.replace(tzinfo=None):
        return instant
    before = local.replace(fold=0).utcoffset()
    after = local.replace(fold=1).utcoffset()
    if before is None or after is None:
        return instant
    return _jump(instant, where)


def _jump(instant: datetime, where: ZoneInfo) -> datetime:
    """The whole minute at which the offset changes, within the day before `instant`."""
    low, high = instant - timedelta(days=1), instant
    offset = high.astimezone(where).utcoffset()
    while high - low > timedelta(minutes=1):
        middle = low + (high - low) // 2
        if middle.astimezone(where).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return high.replace(second=0, microsecond=0)
