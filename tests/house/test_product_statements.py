"""Every statement smr executes keeps the rules: importing, running, planning, delivering, operating."""

from __future__ import annotations

from datetime import timedelta

from smr import pipeline
from smr.database import Database
from tests.house.everything import everything
from tests.house.statements import faults_of, recorded
from tests.worlds import NOW, World, put


def _shop() -> World:
    """Ana buys often, Ben has sent things back, Cleo has complained, 小林 has just begun."""
    world = World()
    for product, category in {"P1": "洁面", "P2": "洁面", "P3": "猫粮", "P4": None}.items():
        world.product(product, category=category)
    for name in ("ana", "ben", "cleo", "小林"):
        world.customer(
            name, addresses={"wecom": name, "sms": "138"}, consent=True, gender="f", birthday="1990-11-23"
        )
        world.purchase(name, "P1", days_ago=41)
        world.purchase(name, "P3", days_ago=13)
    world.refund(world.purchase("ben", "P2", days_ago=7, quantity=2.0), days_ago=1, quantity=1.0)
    world.tag("cleo", "投诉中")
    return world


def test_a_run_and_a_plan_keep_the_rules(database: Database) -> None:
    library, settings = everything()
    put(database, _shop())
    with recorded(database) as seen:
        for days in range(3):
            pipeline.plan(database, library, settings, now=NOW + timedelta(days=days))
            pipeline.run(database, library, settings, now=NOW + timedelta(days=days))
        pipeline.rebuild(database, library, settings, now=NOW + timedelta(days=3))
    assert len(seen) > 60
    assert faults_of(seen) == []
