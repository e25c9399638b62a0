"""The worlds other tests stand on are written as they say."""

from __future__ import annotations

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from smr import tables
from smr.database import Database
from smr.tables import bucket_of
from tests.examples import many
from tests.worlds import CUSTOMERS, NOW, Purchase, World, put, random_worlds


def _small() -> World:
    world = World()
    world.product("P1", category="洁面")
    for name in ("ana", "ben"):
        world.customer(name, addresses={"wecom": name}, consent=True)
        line = world.purchase(name, "P1", days_ago=44)
    world.refund(line, days_ago=3)
    world.tag("ana", "vip")
    world.interaction("ben", content="你好")
    return world


def _count(database: Database, table: sa.Table) -> int:
    with database.read() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def test_a_world_is_put_whole_with_its_marks(database: Database) -> None:
    put(database, _small())
    assert _count(database, tables.purchases) == 2
    assert _count(database, tables.refunds) == 1
    assert _count(database, tables.changed_customers) == 2
    with database.read() as connection:
        times = set(connection.scalars(sa.select(tables.purchases.c.purchased_at)))
    assert times == {World().ago(44)}


def test_a_world_that_has_grown_is_put_again(database: Database) -> None:
    world = _small()
    put(database, world)
    world.purchase("ana", "P1", days_ago=2)
    put(database, world)
    assert _count(database, tables.purchases) == 3
    assert _count(database, tables.changed_customers) == 4


def test_with_buckets_only_their_customers_are_put(database: Database) -> None:
    put(database, _small(), buckets={bucket_of("ben")})
    assert _count(database, tables.customers) == 1
    assert _count(database, tables.refunds) == 1
    assert _count(database, tables.tags) == 0
    assert _count(database, tables.products) == 1


def test_some_random_customers_share_a_bucket() -> None:
    assert len({bucket_of(one) for one in CUSTOMERS}) < len(CUSTOMERS) - 10


@settings(max_examples=many(20), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(random_worlds())
def test_random_worlds_keep_the_keys_of_the_tables(world: World) -> None:
    def key(line: Purchase) -> tuple[str, str, str, int]:
        return (line.customer_id, line.order_id, line.product_id, line.line_no)

    assert len({key(line) for line in world.purchases}) == len(world.purchases)
    assert all(line.purchased_at <= NOW for line in world.purchases)
