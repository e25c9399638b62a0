"""When a supply runs out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import integers, randoms

from smr import clock, due
from smr.database import Database
from smr.playbook.model import Library
from smr.tables import buyers, changed_customers, supplies
from tests.examples import many
from tests.library import library
from tests.worlds import NOW, Purchase, World, put, random_worlds

DAY = 86_400
LASTS = {"洁面": 45, "猫粮": 12}


def refresh(database: Database, known: Library | None = None, now: int = clock.seconds(NOW)) -> None:
    """Bring the supplies of the whole shop up to now."""
    with database.write() as connection:
        known = known or library()
        due.publish_catalog(connection, known.catalog)
        due.refresh(connection, known, now=now, run_id=1, low=0, high=4095)


def days_left(database: Database) -> dict[tuple[str, str], float]:
    """In how many days each supply runs out, by customer and line."""
    with database.read() as connection:
        rows = connection.execute(
            sa.select(supplies.c.customer_id, supplies.c.line, supplies.c.runs_out_at)
        ).all()
    return {(customer, line): (at - NOW) / timedelta(days=1) for customer, line, at in rows}


@pytest.fixture
def shop() -> Iterator[World]:
    world = World()
    world.product("foam", category="洁面")
    world.product("twin", category="洁面", units=2.0)
    world.product("fish", category="猫粮")
    world.product("mug")
    world.customer("ana")
    yield world


def test_one_piece_lasts_one_cycle(database: Database, shop: World) -> None:
    shop.purchase("ana", "foam", days_ago=40)
    put(database, shop)
    refresh(database)
    assert days_left(database) == {("ana", "洁面"): 5}


def test_quantity_and_pack_size_multiply(database: Database, shop: World) -> None:
    shop.purchase("ana", "twin", days_ago=40, quantity=2.0)
    put(database, shop)
    refresh(database)
    assert days_left(database) == {("ana", "洁面"): 4 * 45 - 40}


def test_a_second_purchase_adds_to_what_is_left(database: Database, shop: World) -> None:
    shop.purchase("ana", "foam", days_ago=40)
    shop.purchase("ana", "foam", days_ago=30)
    put(database, shop)
    refresh(database)
    assert days_left(database) == {("ana", "洁面"): 50}


def test_after_a_gap_the_stock_starts_anew(database: Database, shop: World) -> None:
    shop.purchase("ana", "foam", days_ago=300)
    shop.purchase("ana", "foam", days_ago=30)
    put(database, shop)
    refresh(database)
    assert days_left(database) == {("ana", "洁面"): 15}


def test_what_was_given_back_is_not_at_home(database: Database, shop: World) -> None:
    twice = shop.purchase("ana", "foam", days_ago=40, quantity=2.0)
    shop.refund(twice, days_ago=30, quantity=1.0)
    whole = shop.purchase("ana", "fish", days_ago=5)
    shop.refund(whole, days_ago=1)
    put(database, shop)
    refresh(database)
    assert days_left(database) == {("ana", "洁面"): 5}


def test_samples_and_gifts_are_no_purchases(database: Database, shop: World) -> None:
    shop.purchase("ana", "foam", days_ago=3, kind="sample")
    put(database, shop)
    refresh(database)
    assert days_left(database) == {}


def test_the_clock_starts_at_delivery_where_it_is_known(database: Database, shop: World) -> None:
    shop.purchase("ana", "foam", days_ago=40, delivered_at=shop.ago(37))
    put(database, shop)
    refresh(database)
    assert days_left(database) == {("ana", "洁面"): 8}


def test_a_fact_of_tomorrow_counts_tomorrow(database: Database, shop: World) -> None:
    shop.purchase("ana", "foam", days_ago=40)
    shop.purchase("ana", "foam", days_ago=-1)
    put(database, shop)
    refresh(database)
    assert days_left(database) == {("ana", "洁面"): 5}
    refresh(database, now=clock.seconds(NOW) + 2 * DAY)
    assert days_left(database) == {("ana", "洁面"): 50}


def test_what_arrives_tomorrow_lasts_from_tomorrow_on(database: Database, shop: World) -> None:
    """Until it is there it counts from the purchase; that it arrives, no import has to tell again."""
    shop.purchase("ana", "foam", days_ago=3, delivered_at=shop.ago(-1))
    put(database, shop)
    refresh(database)
    assert days_left(database) == {("ana", "洁面"): 42}
    refresh(database, now=clock.seconds(NOW) + 2 * DAY)
    assert days_left(database) == {("ana", "洁面"): 46}


def test_a_refund_of_tomorrow_counts_tomorrow(database: Database, shop: World) -> None:
    shop.refund(shop.purchase("ana", "foam", days_ago=40), days_ago=-1)
    put(database, shop)
    refresh(database)
    assert days_left(database) == {("ana", "洁面"): 5}
    refresh(database, now=clock.seconds(NOW) + 2 * DAY)
    assert days_left(database) == {}


def test_the_catalogs_word_on_a_product_goes_before_the_imported_one(database: Database, shop: World) -> None:
    shop.purchase("ana", "mug", days_ago=1)
    put(database, shop)
    catalog = "cycles: {products: {mug: {lasts: 20d, units: 3, category: 茶}}}"
    refresh(database, library(catalog=catalog))
    assert days_left(database) == {("ana", "茶"): 59}


def test_marks_of_changed_customers_are_worked_off(database: Database, shop: World) -> None:
    shop.purchase("ana", "foam", days_ago=40)
    put(database, shop)
    refresh(database)
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(changed_customers)).scalar_one() == 0


def plain_reading(world: World) -> dict[tuple[str, str], float]:
    """The same rule, told line by line."""
    left: dict[tuple[str, str], int] = {}
    for line in sorted(
        world.purchases, key=lambda one: (one.purchased_at, one.order_id, one.product_id, one.line_no)
    ):
        product = next(one for one in world.products if one.product_id == line.product_id)
        kept = line.quantity - sum(refunded(line, world))
        if (
            line.kind in ("sample", "gift")
            or kept <= 0
            or line.purchased_at > NOW
            or product.category is None
        ):
            continue
        key = line.customer_id, product.category
        start = max(left.get(key, 0), clock.seconds(line.purchased_at))
        left[key] = start + round(kept * product.units * LASTS[product.category] * DAY)
    return {key: (at - clock.seconds(NOW)) / DAY for key, at in left.items()}


def refunded(line: Purchase, world: World) -> Iterator[float]:
    """What was taken back of a line by now."""
    for back in world.refunds:
        place = (back.customer_id, back.order_id, back.product_id, back.line_no)
        if (
            place == (line.customer_id, line.order_id, line.product_id, line.line_no)
            and back.refunded_at <= NOW
        ):
            yield line.quantity if back.quantity is None else back.quantity


@settings(max_examples=many(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=random_worlds())
def test_supplies_agree_with_a_plain_reading_of_the_facts(database: Database, world: World) -> None:
    empty(database)
    put(database, world)
    refresh(database)
    assert days_left(database) == plain_reading(world)


@settings(max_examples=many(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=random_worlds(), chance=randoms(use_true_random=False), a_time=integers(1, 5))
def test_facts_that_arrive_in_any_order_bit_by_bit_give_what_a_rebuild_gives(
    database: Database, world: World, chance: Random, a_time: int
) -> None:
    empty(database)
    lines = world.purchases if chance.random() < 0.3 else sorted(world.purchases, key=_bought_at)
    if chance.random() < 0.5:
        chance.shuffle(lines)
    for first in range(0, len(lines), a_time):
        part = World(products=world.products, customers=world.customers)
        part.purchases[:] = lines[first : first + a_time]
        known = [(line.order_id, line.product_id, line.line_no) for line in lines[: first + a_time]]
        part.refunds[:] = [
            back
            for back in world.refunds
            if (back.order_id, back.product_id, back.line_no) in known and chance.random() < 0.5
        ]
        put(database, part)
        refresh(database, now=clock.seconds(NOW) - chance.choice([0, 0, 0, 20 * DAY]))
    put(database, World(customers=world.customers, refunds=world.refunds))
    refresh(database)
    assert days_left(database) == plain_reading(world)
    stepwise = derived(database)
    with database.write() as connection:
        connection.execute(sa.delete(supplies))
        connection.execute(sa.delete(buyers))
        due.mark_everyone(connection)
    refresh(database)
    assert derived(database) == stepwise


def test_a_purchase_after_all_others_is_added_to_what_is_known(database: Database, shop: World) -> None:
    """The supply is continued, not computed anew: what it says of the past is taken at its word."""
    shop.purchase("ana", "foam", days_ago=40)
    put(database, shop)
    refresh(database)
    with database.write() as connection:
        connection.execute(sa.update(supplies).values(runs_out_at=NOW, purchases=7))
    later = World(products=shop.products, customers=shop.customers)
    later.purchase("ana", "foam", days_ago=3, order_id="later")
    put(database, later)
    refresh(database)
    assert days_left(database) == {("ana", "洁面"): 45}
    with database.read() as connection:
        assert connection.execute(sa.select(supplies.c.purchases)).scalar_one() == 8


def _bought_at(line: Purchase) -> datetime:
    return line.purchased_at


def derived(database: Database) -> list[list[Any]]:
    """All buyers and supplies, whole rows."""
    with database.read() as connection:
        return [
            [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns))]
            for table in (buyers, supplies)
        ]


def empty(database: Database) -> None:
    """Forget everything."""
    from smr.tables import metadata

    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))
