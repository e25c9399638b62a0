"""Holidays, make-up workdays and festivals: what comes with smr, and the shop's own word over it."""

from __future__ import annotations

from datetime import date

import pytest
import sqlalchemy as sa

from smr.almanac import Almanac, almanac_of, shipped
from smr.database import Database
from smr.settings import Settings
from smr.tables import calendar

CHINA = shipped("cn")


@pytest.mark.parametrize(
    ("day", "kind", "works"),
    [
        ("2026-02-17", ("holiday", "春节"), False),
        ("2026-02-14", ("workday", "春节"), True),  # a Saturday that makes up for it
        ("2026-10-10", ("workday", "国庆"), True),
        ("2026-10-12", ("normal", ""), True),
        ("2026-10-17", ("normal", ""), False),  # a Saturday
    ],
)
def test_the_days_arranged_for_2026_are_known(day: str, kind: tuple[str, str], works: bool) -> None:
    assert CHINA.told(date.fromisoformat(day)) == kind
    assert CHINA.is_workday(date.fromisoformat(day)) is works


def test_of_years_not_arranged_yet_the_statutory_days_are_known() -> None:
    days = [date(2030, 2, number) for number in range(1, 9) if CHINA.is_holiday(date(2030, 2, number))]
    assert days == [date(2030, 2, 2), date(2030, 2, 3), date(2030, 2, 4), date(2030, 2, 5)]
    assert not shipped("none").is_holiday(date(2030, 2, 3))


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("春节", "2026-02-17"),
        ("元宵节", "2026-03-03"),
        ("清明", "2024-04-04"),
        ("端午", "2026-06-19"),
        ("618", "2026-06-18"),
        ("七夕", "2026-08-19"),
        ("mid_autumn", "2026-09-25"),
        ("双11", "2026-11-11"),
        ("黑五", "2026-11-27"),
        ("冬至", "2021-12-21"),
        ("除夕", "2027-02-05"),
        ("母亲节", "2026-05-10"),
    ],
)
def test_festivals_fall_where_people_keep_them(name: str, day: str) -> None:
    assert CHINA.falls((name,), date.fromisoformat(day))


def test_a_lunar_festival_may_come_twice_in_a_year_or_not_at_all() -> None:
    laba = [
        [day for number in range(366) if "腊八" in CHINA.festivals(day := date.fromordinal(first + number))]
        for first in (date(2022, 1, 1).toordinal(), date(2023, 1, 1).toordinal())
    ]
    assert laba == [[date(2022, 1, 10), date(2022, 12, 30)], []]


def test_the_shop_s_own_word_goes_first(database: Database) -> None:
    rows = [
        {"day": "2026-08-18", "kind": "festival", "name": "店庆"},
        {"day": "2026-10-09", "kind": "holiday", "name": ""},
        {"day": "2026-10-10", "kind": "normal", "name": ""},
    ]
    with database.write() as connection:
        connection.execute(sa.insert(calendar), rows)
        found = almanac_of(connection, Settings())
    assert found.falls(("店庆",), date(2026, 8, 18)) == ("店庆",)
    assert found.is_holiday(date(2026, 10, 9))
    assert not found.is_workday(date(2026, 10, 10))
    assert date(2026, 10, 9) in found.holidays
    assert found.version != CHINA.version


def test_an_almanac_without_anything_goes_by_the_week() -> None:
    assert [Almanac().is_workday(date(2026, 11, day)) for day in range(23, 30)] == [True] * 5 + [False] * 2
