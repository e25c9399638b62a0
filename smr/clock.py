"""The only reader of the wall clock; and what a day is.

Everything else takes `now` as a parameter: an aware datetime in UTC. Stored times are whole seconds.
"""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

DAY = 86_400


def now() -> datetime:
    """The present instant, in UTC, cut to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def monotonic() -> float:
    """Seconds that never run backwards, for measuring durations."""
    return time.monotonic()


def pause(seconds: float) -> None:
    """Sleep."""
    time.sleep(seconds)


def seconds(moment: datetime) -> int:
    """An aware datetime as whole seconds since 1970, UTC."""
    if moment.tzinfo is None:
        raise ValueError("naive time: every time in smr carries its zone")
    return int(moment.timestamp())


def moment(stored: int) -> datetime:
    """Whole seconds since 1970 as an aware datetime in UTC."""
    return datetime.fromtimestamp(stored, UTC)


def zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name; raises ValueError where there is none."""
    if name not in available_timezones():
        raise ValueError(f"no time zone is called {name!r}")
    return ZoneInfo(name)


def local_day(at: datetime, where: ZoneInfo) -> date:
    """The calendar day of an instant in a zone."""
    return at.astimezone(where).date()


def day_start(day: date, where: ZoneInfo) -> datetime:
    """The instant a calendar day begins in a zone, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=where).astimezone(UTC)


def standard_offset(where: ZoneInfo) -> int:
    """By how many seconds days begin earlier in a zone than in UTC, summer time left aside."""
    winter = datetime(2024, 1, 1, tzinfo=where)
    return int((winter.utcoffset() or timedelta()).total_seconds())


def end_of_day(at: datetime, where: ZoneInfo) -> datetime:
    """The instant the calendar day of `at` ends (the next one begins) in a zone, in UTC."""
    return day_start(local_day(at, where) + timedelta(days=1), where)
