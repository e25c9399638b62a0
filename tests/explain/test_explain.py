"""`smr explain`: what it says of a customer agrees with what the conditions and the playbook say."""

from __future__ import annotations

from smr.database import Database
from smr.explain import explain, tell
from smr.settings import Settings
from tests.library import library
from tests.worlds import NOW, World, put

CARE = """
name: care
status: live
trigger: {purchase: {}}
who: {orders: {at_least: 1}}
steps: [{name: tip, send: 7d after purchase, message: 您好}]
"""


def test_orders_are_counted_as_the_conditions_count_them(database: Database) -> None:
    put(database, world_of_ana())

    told = explain(database, library(CARE), Settings(), "ana", now=NOW)

    assert told.orders == 1
    assert told.playbooks[0].who[0].value == 1


def test_a_step_is_named_as_the_playbook_writes_it(database: Database) -> None:
    put(database, world_of_ana())

    settings = Settings()
    told = explain(database, library(CARE), settings, "ana", now=NOW)
    english = list(tell(told, settings.shop.tz, "en"))
    chinese = list(tell(told, settings.shop.tz, "zh"))

    assert english[0].startswith("ana Ana: orders 1; segments: none")
    assert any(line.startswith("  tip (7d after purchase): not due yet") for line in english)
    assert any("would not be sent as things stand: unreachable" in line for line in english)
    assert chinese[0].startswith("ana Ana：1 个订单；人群：无")


def world_of_ana() -> World:
    """Ana kept what she bought three days ago, gave back another order, and buys again tomorrow."""
    world = World(now=NOW)
    world.product("P1", category="洁面")
    world.customer("ana")
    world.purchase("ana", "P1", days_ago=3)
    world.refund(world.purchase("ana", "P1", days_ago=2), days_ago=1)
    world.purchase("ana", "P1", days_ago=-1)
    return world


CALENDAR = """
name: %s
status: live
trigger: %s
steps: [{name: one, send: %s, message: 您好}]
"""


def test_the_next_day_of_the_calendar_is_told(database: Database) -> None:
    world = World(now=NOW)  # 2026-11-23, a Monday
    world.customer("ana", birthday="1990-01-02", lunar_birthday="0000-11-08")
    put(database, world)
    books = {
        "festival": ("{festival: [春节, 双十二]}", "2d before due"),
        "own": ("{date: {field: birthday, calendar: own}}", "on due"),
        "solar": ("{date: {field: birthday}}", "on due"),
        "day_off": ('{schedule: {every: [mon, sat], at: "09:30", only: days_off}}', "on due"),
    }
    shop = library(*(CALENDAR % (name, *said) for name, said in books.items()))
    told = explain(database, shop, Settings(), "ana", now=NOW)
    zone = Settings().shop.tz
    days = {
        book.name: str(view.next_at.astimezone(zone).date())
        for book in told.playbooks
        for view in book.steps
        if view.next_at is not None
    }
    assert days == {
        "festival": "2026-12-10",
        "own": "2026-12-16",
        "solar": "2027-01-02",
        "day_off": "2026-11-28",
    }
