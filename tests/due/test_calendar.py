"""Playbooks that go by the calendar: lunar birthdays, festivals, schedules on workdays."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smr import pipeline
from smr.almanac import LunarDate, anniversary, lunar_of, parse_lunar
from smr.database import Database
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import calendar, candidates, metadata
from tests.library import library
from tests.worlds import NOW, World, put

SHANGHAI = ZoneInfo("Asia/Shanghai")
BOOK = """
name: book
status: live
trigger: %s
steps: [{name: one, send: %s, via: [wecom], message: 你好, useful_for: 12h}]
"""


def book(trigger: str, send: str = "on due") -> Library:
    return library(BOOK % (trigger, send))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).astimezone(UTC)


def days_before_now(day: str) -> float:
    return (NOW - at(f"{day} 12:00")) / timedelta(days=1)


def people(**birthdays: tuple[str | None, str | None]) -> World:
    world = World()
    for name, (solar, lunar) in birthdays.items():
        stored = None if lunar is None else str(parse_lunar(lunar))
        world.customer(name, addresses={"wecom": name}, consent=True, birthday=solar, lunar_birthday=stored)
    return world


def found(database: Database, shop: Library, day: str) -> dict[str, str]:
    """Who a run at nine of that day found, and the anchor."""
    pipeline.run(database, shop, Settings(), now=at(f"{day} 09:00"))
    with database.read() as connection:
        rows = connection.execute(sa.select(candidates.c.customer_id, candidates.c.anchor))
        return {who: anchor for who, anchor in rows if anchor.startswith(day)}


def test_a_lunar_birthday_is_kept_by_the_lunar_calendar(database: Database) -> None:
    put(
        database,
        people(
            小林=(None, "1990-08-15"),
            老周=(None, "八月十四"),
            Ana=("1990-09-25", None),
            闰妹=(None, "闰八月十五"),
        ),
    )
    shop = book("{date: {field: birthday, calendar: lunar}}")
    assert set(found(database, shop, "2026-09-25")) == {"小林", "闰妹"}
    assert set(found(database, shop, "2026-09-26")) == set()


def test_in_own_calendar_each_keeps_the_birthday_they_keep(database: Database) -> None:
    put(database, people(小林=("1990-10-03", "1990-08-15"), Ana=("1990-09-25", None)))
    shop = book("{date: {field: birthday, calendar: own}}")
    assert set(found(database, shop, "2026-09-25")) == {"小林", "Ana"}
    assert set(found(database, shop, "2026-10-03")) == set()


def test_the_thirtieth_of_a_short_month_is_kept_on_its_last_day(database: Database) -> None:
    put(database, people(除夕生=(None, "1991-12-30")))
    assert set(found(database, book("{date: {field: birthday, calendar: lunar}}"), "2026-02-16")) == {
        "除夕生"
    }


def test_an_anniversary_of_the_first_purchase_may_be_kept_by_the_lunar_calendar(database: Database) -> None:
    world = people(小林=(None, None), Ana=(None, None))
    world.product("P1", category="洁面")
    world.purchase("小林", "P1", days_ago=days_before_now("2025-10-06"))  # 2025-08-15 of the lunar calendar
    world.purchase("Ana", "P1", days_ago=days_before_now("2025-09-25"))
    put(database, world)
    shop = book("{date: {field: first_purchase, calendar: lunar}}")
    assert set(found(database, shop, "2026-09-25")) == {"小林"}


@pytest.mark.parametrize(
    ("day", "whose"),
    [
        ("2027-02-28", {"小林", "阿梅"}),  # no 29th in that year: 阿梅 keeps the day before
        ("2027-03-01", set()),
        ("2028-02-28", {"小林", "老周"}),
        ("2028-02-29", {"阿梅"}),  # 老周 had his the day before, and has it once
    ],
)
def test_a_first_purchase_on_a_leap_day_is_kept_once_in_each_year(
    database: Database, day: str, whose: set[str]
) -> None:
    world = people(小林=(None, None), 阿梅=(None, None), 老周=(None, None))
    for name, bought in (("小林", "2024-02-28"), ("阿梅", "2024-02-29"), ("老周", "2027-02-28")):
        world.purchase(name, "P1", days_ago=days_before_now(bought))
    put(database, world)
    assert set(found(database, book("{date: {field: first_purchase}}"), day)) == whose


def test_a_lunar_date_of_an_attribute_is_kept_too(database: Database) -> None:
    world = World()
    for name, day in (("小林", "2015-07-07"), ("Ana", "2015-07-08")):
        world.customer(name, addresses={"wecom": name}, consent=True, attributes={"wedding": day})
    put(database, world)
    shop = book("{date: {field: attributes.wedding, calendar: lunar}}")
    assert set(found(database, shop, "2026-08-19")) == {"小林"}


def test_a_festival_is_due_for_everybody_once(database: Database) -> None:
    put(database, people(小林=(None, None)))
    shop = book("{festival: [中秋, 国庆]}", "3d before due")
    anchors = []
    for day in ("2026-09-21", "2026-09-22", "2026-09-28"):
        pipeline.run(database, shop, Settings(), now=at(f"{day} 09:00"))
    with database.read() as connection:
        anchors = list(connection.execute(sa.select(candidates.c.anchor).order_by(sa.literal(1))).scalars())
    assert anchors == ["2026-09-25 中秋", "2026-10-01 国庆"]


def test_a_festival_of_the_shop_s_own_is_found_in_its_calendar(database: Database) -> None:
    put(database, people(小林=(None, None)))
    shop = book("{festival: 店庆}")
    assert found(database, shop, "2026-08-18") == {}
    with database.write() as connection:
        row = {"day": "2026-08-18", "kind": "festival", "name": "店庆"}
        connection.execute(sa.insert(calendar).values(row))
    assert found(database, shop, "2026-08-18") == {"小林": "2026-08-18 店庆"}


@pytest.mark.parametrize(
    ("only", "day", "fires"),
    [
        ("workdays", "2026-10-10", True),  # a Saturday that makes up for the national holiday
        ("workdays", "2026-10-17", False),
        ("workdays", "2026-10-07", False),
        ("days_off", "2026-10-07", True),
        ("holidays", "2026-10-07", True),
        ("holidays", "2026-10-17", False),
        ("not_holidays", "2026-10-17", True),
    ],
)
def test_a_schedule_keeps_to_the_days_it_names(database: Database, only: str, day: str, fires: bool) -> None:
    put(database, people(小林=(None, None)))
    shop = book(f"{{schedule: {{every: day, at: 08:30, only: {only}}}}}")
    assert bool(found(database, shop, day)) is fires


LUNAR = st.builds(
    LunarDate, st.just(0), st.integers(1, 12), st.sampled_from((1, 15, 28, 29, 30)), st.booleans()
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(LUNAR, min_size=1, max_size=6), st.dates(date(2024, 3, 1), date(2026, 12, 1)))
def test_everybody_s_lunar_birthday_comes_as_a_plain_reading_says(
    database: Database, births: list[LunarDate], first: date
) -> None:
    empty(database)
    put(database, people(**{f"c{number}": (None, str(lunar)) for number, lunar in enumerate(births)}))
    shop = book("{date: {field: birthday, calendar: lunar}}")
    lunar_year = lunar_of(first).year  # type: ignore[union-attr]
    wanted = {f"c{number}": anniversary(one.month_day, lunar_year) for number, one in enumerate(births)}
    for day in sorted({day for day in wanted.values() if day is not None}):
        due = {who for who, kept in wanted.items() if kept == day}
        assert set(found(database, shop, day.isoformat())) == due
        assert not set(found(database, shop, (day + timedelta(days=1)).isoformat())) & due


def empty(database: Database) -> None:
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))
