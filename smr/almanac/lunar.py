"""Dates of the Chinese lunar calendar, 1900 to 2100, by a table that was computed once.

A lunar date is written `1990-08-15`, or `1990-L05-15` in a leap month; a year that is not known is 0000.
The part after the year is its month-day. Each month-day has one anniversary in each lunar year: one in a leap
month is kept in that leap month where the year has it, else in the month of its number; the 30th of a month
that has 29 days on the 29th.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from importlib.resources import files

YEARS = (1900, 2100)
"""The lunar years that are known."""
UNKNOWN_YEAR = 0
_WRITTEN = re.compile(r"(?:(\d{4})-)?(L?)(\d{1,2})-(\d{1,2})")
_SPOKEN = re.compile(
    r"(?:(\d{4}|[〇零一二三四五六七八九]{4})年)?(闰?)([正冬腊]|[一二三四五六七八九十]{1,2})月"
    r"([初十廿卅二三][一二三四五六七八九十]{0,2})(?:日|号)?"
)
_LUNAR_WORDS = ("农历", "阴历", "旧历")
_DIGITS = "〇一二三四五六七八九"
_MONTHS = ("正", "二", "三", "四", "五", "六", "七", "八", "九", "十", "冬", "腊")
_OTHER_MONTHS = {"一": 1, "十一": 11, "十二": 12}
_DAYS = (
    *(f"初{day}" for day in "一二三四五六七八九十"),
    *(f"十{day}" for day in "一二三四五六七八九"),
    "二十",
    *(f"廿{day}" for day in "一二三四五六七八九"),
    "三十",
)
_OTHER_DAYS = {"廿": 20, "廿十": 20, "卅": 30} | {f"二十{ten}": 20 + n for n, ten in enumerate(_DIGITS) if n}


@dataclass(frozen=True)
class LunarDate:
    """A day of the lunar calendar; `year` is 0 where it is not known."""

    year: int
    month: int
    day: int
    leap: bool = False

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month_day}"

    @property
    def month_day(self) -> str:
        """`08-15`, or `L05-15` in a leap month."""
        return f"{'L' if self.leap else ''}{self.month:02}-{self.day:02}"


@dataclass(frozen=True)
class _Year:
    """A lunar year: its months in order, as number, leap or not, first day and length."""

    months: tuple[tuple[int, bool, date, int], ...]

    def month(self, number: int, *, leap: bool) -> tuple[date, int] | None:
        found = (month[2:] for month in self.months if month[:2] == (number, leap))
        return next(found, None)


@lru_cache(maxsize=1)
def _years() -> dict[int, _Year]:
    found = {}
    text = (files("smr.almanac") / "lunar_years.csv").read_text(encoding="utf-8")
    for line in text.splitlines()[1:]:
        year, first, leap, lengths = line.split(",")
        found[int(year)] = _Year(tuple(_months(date.fromisoformat(first), int(leap), lengths)))
    return found


def _months(begins: date, leap: int, lengths: str) -> list[tuple[int, bool, date, int]]:
    numbers = [(number, False) for number in range(1, 13)]
    if leap:
        numbers.insert(leap, (leap, True))
    months = []
    for (number, is_leap), length in zip(numbers, lengths, strict=True):
        days = 29 + int(length)
        months.append((number, is_leap, begins, days))
        begins += timedelta(days=days)
    return months


@lru_cache(maxsize=1)
def _beginnings() -> list[tuple[date, int]]:
    return [(year.months[0][2], number) for number, year in sorted(_years().items())]


@lru_cache(maxsize=4_000)
def lunar_of(day: date) -> LunarDate | None:
    """The lunar date of a day; None outside the known years."""
    place = bisect_right(_beginnings(), (day, 9999)) - 1
    if place < 0:
        return None
    year = _beginnings()[place][1]
    for number, leap, begins, days in _years()[year].months:
        if begins <= day < begins + timedelta(days=days):
            return LunarDate(year, number, (day - begins).days + 1, leap)
    return None


def solar_of(lunar: LunarDate) -> date | None:
    """The day of a lunar date; None where there is no such date, or its year is not known."""
    year = _years().get(lunar.year)
    month = year.month(lunar.month, leap=lunar.leap) if year else None
    if month is None or not 1 <= lunar.day <= month[1]:
        return None
    return month[0] + timedelta(days=lunar.day - 1)


def anniversary(month_day: str, year: int) -> date | None:
    """The day on which a month-day is kept in a lunar year; None outside the known years."""
    wanted = read_lunar(month_day)
    known = _years().get(year)
    if known is None:
        return None
    month = known.month(wanted.month, leap=wanted.leap) or known.month(wanted.month, leap=False)
    assert month is not None  # noqa: S101 - every lunar year has its twelve months
    return month[0] + timedelta(days=min(wanted.day, month[1]) - 1)


def month_days_on(day: date) -> tuple[str, ...]:
    """The month-days whose anniversary is kept on that day; none outside the known years."""
    lunar = lunar_of(day)
    if lunar is None:
        return ()
    near = [lunar.day, 30] if lunar.day == 29 else [lunar.day]
    wanted = [LunarDate(0, lunar.month, n, leap).month_day for leap in (False, True) for n in near]
    return tuple(one for one in wanted if anniversary(one, lunar.year) == day)


def next_anniversary(month_day: str, after: date) -> date | None:
    """The first day after that one on which a month-day is kept."""
    kept = (anniversary(month_day, year) for year in range(after.year - 1, after.year + 2))
    return next((day for day in kept if day is not None and day > after), None)


def read_lunar(text: str) -> LunarDate:
    """`1990-08-15`, `1990-L05-15`, `08-15`; ValueError where it is no lunar date."""
    found = _WRITTEN.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a lunar date; write 1990-08-15, 1990-L05-15 (leap month) or 08-15")
    year, leap, month, day = found.groups()
    return LunarDate(int(year or UNKNOWN_YEAR), int(month), int(day), bool(leap))


def parse_lunar(text: str) -> LunarDate:
    """The same, and as people write it: `八月十五`, `1990年闰五月初三`, with 农历 before it or without.

    ValueError for what is no lunar date, or never was one.
    """
    plain = text.strip()
    for word in _LUNAR_WORDS:
        plain = plain.removeprefix(word).lstrip(":： ")
    plain = plain.replace("闰", "L") if "-" in plain else plain
    found = _SPOKEN.fullmatch(plain)
    lunar = read_lunar(plain) if found is None else _spoken(text, *found.groups())
    if not _exists(lunar):
        raise ValueError(f"{text!r} is not a lunar date that exists between {YEARS[0]} and {YEARS[1]}")
    return lunar


def is_called_lunar(text: str) -> bool:
    """Whether a text says of itself that it is a lunar date."""
    return text.strip().startswith(_LUNAR_WORDS)


def _spoken(text: str, year: str | None, leap: str, month: str, day: str) -> LunarDate:
    months = {name: number for number, name in enumerate(_MONTHS, 1)} | _OTHER_MONTHS
    days = {name: number for number, name in enumerate(_DAYS, 1)} | _OTHER_DAYS
    if month not in months or day not in days:
        raise ValueError(f"{text!r} is not a lunar date; write such as 八月十五 or 闰五月初三")
    said = (year or "0").replace("零", "〇")
    digits = "".join(str(_DIGITS.index(one)) if one in _DIGITS else one for one in said)
    return LunarDate(int(digits), months[month], days[day], bool(leap))


def _exists(lunar: LunarDate) -> bool:
    if lunar.year == UNKNOWN_YEAR:
        return 1 <= lunar.month <= 12 and 1 <= lunar.day <= 30
    return solar_of(lunar) is not None


def in_chinese(lunar: LunarDate) -> str:
    """`八月十五`, `闰五月初三`."""
    return f"{'闰' if lunar.leap else ''}{_MONTHS[lunar.month - 1]}月{_DAYS[lunar.day - 1]}"
