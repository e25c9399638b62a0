"""Two channels that send at the same time keep the policy between them."""

from __future__ import annotations

from pathlib import Path

from smr import delivery
from smr.database import Database
from tests.guards.test_policy import Shop, each_day
from tests.library import library
from tests.worlds import NOW, World, put

PEOPLE = 60


def test_each_customer_gets_one_message_though_two_channels_send_at_once(
    database: Database, tmp_path: Path
) -> None:
    """Both messages wait when the shop caps what it sends; each channel works in a thread of its own."""
    world = World()
    for number in range(PEOPLE):
        world.customer(f"c{number}")
    put(database, world)
    shop = Shop(
        database,
        tmp_path,
        {"policy": {"caps": []}},
        library(each_day("news"), each_day("offer", via="sms")),
    )
    shop.run(NOW, deliver=False)
    shop.said = {"policy": {"caps": ["1 per 1d"]}}
    delivery.deliver(shop.database, shop.books, shop.settings, now=NOW, owner="test")
    assert sorted(name for (name,) in shop.sent("customer_id")) == sorted(f"c{n}" for n in range(PEOPLE))
