"""Lunar dates: as an independent library reckons them, and each kept once a year."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lunar_python import Lunar, LunarYear

from smr.almanac import LunarDate, anniversary, in_chinese, lunar_of, month_days_on, parse_lunar, solar_of

DAYS = st.dates(date(1900, 1, 31), date(2101, 1, 28))
MONTH_DAYS = st.builds(
    lambda month, day, leap: LunarDate(0, month, day, leap).month_day,
    st.integers(1, 12),
    st.integers(1, 30),
    st.booleans(),
)


def test_each_month_of_two_hundred_years_begins_when_a_library_says() -> None:
    for year in range(1900, 2101):
        for month in LunarYear.fromYear(year).getMonths():
            if month.getYear() != year:
                continue
            number = month.getMonth()
            ours = [
                solar_of(LunarDate(year, abs(number), day, number < 0)) for day in (1, month.getDayCount())
            ]
            theirs = [Lunar.fromYmd(year, number, day).getSolar().toYmd() for day in (1, month.getDayCount())]
            assert [str(day) for day in ours] == theirs
            assert solar_of(LunarDate(year, abs(number), month.getDayCount() + 1, number < 0)) is None


@given(DAYS)
def test_a_day_and_its_lunar_date_lead_to_each_other(day: date) -> None:
    lunar = lunar_of(day)
    assert lunar is not None
    assert solar_of(lunar) == day
    assert parse_lunar(str(lunar)) == parse_lunar(f"农历{lunar.year}年{in_chinese(lunar)}") == lunar


@given(MONTH_DAYS, st.integers(1901, 2099))
def test_every_lunar_birthday_is_kept_exactly_once_in_each_lunar_year(month_day: str, year: int) -> None:
    begins, ends = (solar_of(LunarDate(one, 1, 1)) for one in (year, year + 1))
    assert begins is not None and ends is not None
    days = [begins + timedelta(days=number) for number in range((ends - begins).days)]
    assert [day for day in days if month_day in month_days_on(day)] == [anniversary(month_day, year)]


@pytest.mark.parametrize(
    ("month_day", "year", "kept"),
    [
        ("08-15", 2026, date(2026, 9, 25)),
        ("L06-10", 2025, date(2025, 8, 3)),  # 2025 has a leap sixth month
        ("L06-10", 2026, date(2026, 7, 23)),  # 2026 has none: in the sixth
        ("12-30", 2025, date(2026, 2, 16)),  # the twelfth month has 29 days: on the 29th
        ("06-10", 2025, date(2025, 7, 4)),  # born in the month itself: not in the leap one
    ],
)
def test_leap_months_and_short_months_are_kept_where_people_keep_them(
    month_day: str, year: int, kept: date
) -> None:
    assert anniversary(month_day, year) == kept


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1990-8-15", "1990-08-15"),
        ("08-15", "0000-08-15"),
        ("八月十五", "0000-08-15"),
        ("农历八月十五", "0000-08-15"),
        ("阴历: 腊月廿三", "0000-12-23"),
        ("一九九〇年闰五月初三", "1990-L05-03"),
        ("1990-闰5-3", "1990-L05-03"),
        ("冬月二十一日", "0000-11-21"),
    ],
)
def test_a_lunar_date_is_read_as_people_write_it(text: str, found: str) -> None:
    assert str(parse_lunar(text)) == found


@pytest.mark.parametrize(
    "text", ["", "八月", "十三月初一", "1990-13-01", "1990-L06-01", "2025-01-30x", "3月5日"]
)
def test_what_was_never_a_lunar_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="lunar date"):
        parse_lunar(text)


def test_outside_the_known_years_there_is_no_lunar_date() -> None:
    assert lunar_of(date(1899, 12, 31)) is None
    assert month_days_on(date(2150, 1, 1)) == ()
    assert anniversary("08-15", 2150) is None
