"""The product on a real Citus: set SMR_CITUS_DSN to the URL of an empty database of its coordinator.

The database is left with smr's tables in it; give one that may be thrown away. Everywhere else the lints of
tables and statements, the partitions by bucket and the proof of shards stand for this.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from smr import outbox, pipeline
from smr.database import Database, distribute, open_database
from smr.database.migrate import ensure_current
from smr.tables import candidates, messages, metadata
from tests.house.everything import everything
from tests.worlds import NOW, World, put

DSN = os.environ.get("SMR_CITUS_DSN")
pytestmark = pytest.mark.skipif(DSN is None, reason="SMR_CITUS_DSN names no Citus to be tried")


@pytest.fixture(scope="module")
def citus() -> Iterator[Database]:
    assert DSN is not None
    database = open_database(DSN)
    ensure_current(database)
    wanted = distribute.steps(metadata, distribute.spread_now(database), distribute.SHARDS)
    distribute.distribute(database, wanted, lambda _: None)
    yield database
    database.close()


def shop() -> World:
    world = World()
    for product, category in {"P1": "洁面", "P2": "洁面", "P3": "猫粮"}.items():
        world.product(product, category=category)
    for number in range(60):
        name = f"c{number}"
        world.customer(name, addresses={"wecom": name, "sms": "138"}, consent=True, birthday="1990-11-23")
        world.purchase(name, f"P{number % 3 + 1}", days_ago=41 - number % 4)
        world.refund(world.purchase(name, "P2", days_ago=9, quantity=2.0), days_ago=1, quantity=1.0)
    return world


def decided(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    for table in (candidates, messages):
        columns = [column for column in table.c if column.name != "run_id"]
        asked = sa.select(*columns).order_by(*table.primary_key.columns)
        with database.read() as connection:
            found[table.name] = [tuple(row) for row in connection.execute(asked)]
    return found


def test_the_tables_lie_as_they_should(citus: Database) -> None:
    assert distribute.faults(metadata, distribute.spread_now(citus)) == []


def test_runs_decide_what_they_decide_on_one_machine(citus: Database, sqlite_database: Database) -> None:
    for database in (citus, sqlite_database):
        put(database, shop())
        for days in (0, 1, 8):
            pipeline.run(database, *everything(), now=NOW + timedelta(days=days))
    assert decided(citus)["messages"]
    assert decided(citus) == decided(sqlite_database)


def test_what_waits_is_claimed(citus: Database) -> None:
    waiting = [row[6] for row in decided(citus)["messages"]]
    assert waiting
    for channel in ("wecom", "sms"):
        at = NOW + timedelta(days=8, hours=1)
        claimed = outbox.claim(citus, channel, owner="a/1/1", limit=1_000, lease_seconds=60, now=at)
        assert len({one.message_id for one in claimed}) == len(claimed)
