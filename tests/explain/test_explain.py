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
