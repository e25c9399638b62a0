"""News of products: who hears that something is back in stock, or cheaper, and who does not."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from smr import pipeline
from smr.database import Database
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import candidates, messages, product_changes, products
from tests.library import library
from tests.worlds import NOW, World, put

BOOK = """
name: news
status: live
trigger: {product: %s}
steps:
  - {name: one, send: 10m after due, via: [wecom], message: "%s", useful_for: 2d}
stop_when: [{purchase: {}}]
"""
SHOP = Settings.model_validate({"policy": {"caps": []}})


def book(trigger: str, message: str = "{{ product.name }}") -> Library:
    return library(BOOK % (trigger, message))


@pytest.fixture
def shop(database: Database) -> Database:
    """Ana bought the cream, Ben looked at it, Cleo asked about it; Dan bought it long ago, Eve never."""
    world = World()
    world.product("P1", category="面霜", name="保湿面霜", price=8000)
    world.product("P2", category="洁面", name="洁面乳")
    for name in ("ana", "ben", "cleo", "dan", "eve"):
        world.customer(name, addresses={"wecom": name}, consent=True)
    world.purchase("ana", "P1", days_ago=20)
    world.interaction("ben", days_ago=3, kind="visit", attributes={"product_id": "P1"})
    world.interaction("cleo", days_ago=2, content="面霜有货吗", attributes={"product_id": "P1"})
    world.purchase("dan", "P1", days_ago=300)
    world.purchase("eve", "P2", days_ago=20)
    put(database, world)
    return database


def told(database: Database, what: str, *, hours_ago: float = 1, **columns: object) -> datetime:
    """A change of P1, as an import would keep it."""
    at = NOW - timedelta(hours=hours_ago)
    row = {"product_id": "P1", "what": what, "changed_at": at, "currency": "CNY", "import_id": 1, **columns}
    with database.write() as connection:
        connection.execute(sa.insert(product_changes).values(row))
    return at


def back(database: Database, **more: float) -> datetime:
    return told(database, "stock", in_stock=True, in_stock_before=False, **more)


def dropped(database: Database, before: int, after: int) -> datetime:
    return told(database, "price", price=after, price_before=before)


def found(database: Database, shop: Library, now: datetime = NOW) -> list[str]:
    pipeline.run(database, shop, SHOP, now=now)
    with database.read() as connection:
        return sorted(connection.execute(sa.select(candidates.c.customer_id)).scalars())


def test_whoever_bought_looked_or_asked_hears_that_it_is_back(shop: Database) -> None:
    back(shop)
    news = book("{what: back_in_stock}")
    assert found(shop, news) == ["ana", "ben", "cleo"]
    assert found(shop, news, NOW + timedelta(hours=1)) == ["ana", "ben", "cleo"]
    with shop.read() as connection:
        texts = connection.execute(sa.select(messages.c.body)).scalars().all()
    assert texts == ["保湿面霜"] * 3


@pytest.mark.parametrize(
    ("interested", "who"),
    [
        ("bought, within: 400d", ["ana", "dan"]),
        ("looked", ["ben"]),
        ("asked", ["cleo"]),
        ("[looked, asked]", ["ben", "cleo"]),
    ],
)
def test_it_is_said_who_is_interested_and_for_how_long(
    shop: Database, interested: str, who: list[str]
) -> None:
    back(shop)
    assert found(shop, book(f"{{what: back_in_stock, interested: {interested}}}")) == who


def test_only_goods_that_are_named_are_news(shop: Database) -> None:
    back(shop)
    assert found(shop, book("{what: back_in_stock, category: 洁面}")) == []


def test_the_first_word_on_a_stock_is_no_news_and_neither_is_what_is_sold_out_again(shop: Database) -> None:
    told(shop, "stock", in_stock=True, in_stock_before=None)
    assert found(shop, book("{what: back_in_stock}")) == []
    back(shop, hours_ago=0.5)
    with shop.write() as connection:
        connection.execute(sa.update(products).where(products.c.product_id == "P1").values(in_stock=False))
    assert found(shop, book("{what: back_in_stock}")) == []


def test_a_price_that_dropped_far_enough_is_told_with_both_prices(shop: Database) -> None:
    dropped(shop, 10_000, 8_000)
    assert found(shop, book("{what: price_drop, by: 21%}")) == []
    text = "{{ product.price_before | money }} → {{ product.price | money }}"
    assert found(shop, book("{what: price_drop, by: 20%, interested: bought}", text)) == ["ana"]
    with shop.read() as connection:
        assert connection.execute(sa.select(messages.c.body)).scalar_one() == "¥100.00 → ¥80.00"


def test_a_price_that_rose_or_rose_again_is_no_news(shop: Database) -> None:
    dropped(shop, 10_000, 7_000)  # and costs 80 now
    told(shop, "price", hours_ago=0.5, price=8000, price_before=7000)
    assert found(shop, book("{what: price_drop}")) == []


def test_whoever_bought_since_is_left_in_peace(shop: Database) -> None:
    back(shop, hours_ago=5)
    world = World()
    world.purchase("ana", "P1", days_ago=0.1, order_id="new")
    put(shop, world)
    pipeline.run(shop, book("{what: back_in_stock, interested: bought}"), SHOP, now=NOW)
    with shop.read() as connection:
        asked = sa.select(candidates.c.customer_id, candidates.c.reason)
        assert connection.execute(asked).all() == [("ana", "bought_already")]


def test_news_to_come_are_not_known_yet(shop: Database) -> None:
    back(shop, hours_ago=-3)
    assert (
        found(shop, library(BOOK.replace("10m after due", "on due") % ("{what: back_in_stock}", "hi"))) == []
    )
