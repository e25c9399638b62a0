"""Every condition shown in the documentation is asked of a few people, and every kind and key is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import TypeAdapter

from smr import clock, delivery, pipeline
from smr.conditions import Who, condition_sql
from smr.conditions.model import KINDS, Condition, SupplyLeft
from smr.database import Database
from smr.settings import Settings
from smr.tables import customers
from tests.house.shown import models, said, shown
from tests.library import library, read
from tests.worlds import NOW, World, put

PARSER: TypeAdapter[Any] = TypeAdapter(Condition)
SHOWN = shown("condition")
REFUSED = {(SupplyLeft, "role")}
"""Keys of a model that its own check refuses."""

CATALOG = """
track: both
cycles:
  categories: {洁面: {lasts: 45d, learn: false}, 猫粮: {lasts: 12d, learn: false}}
  products: {SKU-881: {lasts: 45d, learn: false}}
roles: {引流: {product: SKU-881}}
"""
SEGMENTS = """
segments:
  loyal: {where: {orders: {at_least: 3}}}
  best: {where: {rfm: {money: {at_least: 4}}}}
ready: {lifecycle: {}}
rfm: {recency: [365d, 180d, 90d, 30d], frequency: [2, 3, 4, 5], money: [100, 200, 300, 400]}
"""
REFILL = """
name: cleanser-refill
status: live
trigger: {runs_out: {category: 洁面}}
steps: [{name: offer, send: 5d before due, via: wecom, message: 快用完了}]
"""


def a_few_people() -> World:
    """小林 buys and talks, 王芳 came often and comes no more, 陈静 has just come."""
    world = World()
    world.product("SKU-881", category="洁面")
    world.product("K-1", category="猫粮")
    world.product("N-20", category="napkin")
    about = {"gender": "f", "locale": "zh", "birthday": "1990-05-31", "store_id": "bj-01", "staff_id": "s01"}
    traits = {"skin": "干性", "points": "2400"}
    addresses = {"wecom": "lin", "sms": "138"}
    world.customer("lin", name="小林", addresses=addresses, consent=True, attributes=traits, **about)
    world.tag("lin", "vip")
    for days_ago in (140, 90, 41):
        world.purchase("lin", "SKU-881", days_ago=days_ago, amount=20_000)
    world.purchase("lin", "K-1", days_ago=8)
    world.refund(world.purchase("lin", "N-20", days_ago=35), days_ago=30)
    world.purchase("lin", "N-20", days_ago=20)
    for days_ago in (12, 3):
        world.interaction("lin", days_ago=days_ago, content="多少钱")
        world.interaction("lin", days_ago=days_ago, kind="moments_like")
    world.interaction("lin", days_ago=50, content="用了有点过敏")
    world.customer("wang", name="王芳")
    for days_ago in (330, 310, 280, 250, 220, 200):
        world.purchase("wang", "K-1", days_ago=days_ago)
    world.purchase("wang", "SKU-881", days_ago=200)
    world.refund(world.purchases[-1], days_ago=190)
    world.purchase("wang", "SKU-881", days_ago=199)
    world.customer("chen", name="陈静", store_id="sh-01")
    world.purchase("chen", "SKU-881", days_ago=10)
    return world


def test_each_condition_that_is_shown_holds_of_somebody(database: Database, tmp_path: Path) -> None:
    put(database, a_few_people())
    settings = Settings.model_validate({"files": {"folder": tmp_path}})
    shop = library(REFILL, catalog=CATALOG, segments=SEGMENTS)
    pipeline.run(database, shop, settings, now=NOW)
    delivery.deliver(database, shop, settings, now=NOW, owner="test")
    with database.read() as connection:
        for text in SHOWN:
            condition = PARSER.validate_python(read(text))
            holds = condition_sql(condition, Who.of(customers), settings)
            question = sa.select(customers.c.customer_id).where(holds)
            assert connection.execute(question, {"now": clock.seconds(NOW)}).all(), text


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_condition_is_shown(kind: str) -> None:
    keys = {(model, name) for text in SHOWN for model, name in said(PARSER.validate_python(read(text)))}
    model = KINDS[kind]
    assert {(model, name) for name in model.model_fields} <= keys


def test_each_key_inside_a_condition_is_shown() -> None:
    keys = {key for text in SHOWN for key in said(PARSER.validate_python(read(text)))}
    may_be_said = {(model, name) for model in models(Condition) for name in model.model_fields}
    unshown = sorted(f"{model.__name__}.{name}" for model, name in may_be_said - keys - REFUSED)
    assert unshown == []
