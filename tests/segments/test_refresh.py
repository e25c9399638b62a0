"""Who is a member of what, and since when."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from smr import clock, pipeline, segments
from smr.database import Database
from smr.settings import Settings
from smr.tables import changed_customers, members, messages, stages
from tests.library import library
from tests.worlds import NOW, World, put

SEGMENTS = """
segments:
  recent: {where: {last_purchase: {less_than: 30d}}}
  dear: {where: {all: [{segment: recent}, {tag: vip}]}}
ladders:
  lifecycle:
    - {stage: active, where: {segment: recent}}
    - {stage: asleep, where: {orders: {at_least: 1}}}
"""


def refresh(database: Database, text: str = SEGMENTS, days: int = 0) -> None:
    """Bring members and stages up to so many days after NOW."""
    at = clock.seconds(NOW + timedelta(days=days))
    with database.write() as connection:
        segments.begin(connection, library(segments=text), Settings(), now=at)
        segments.note_changes(connection, low=0, high=4095)
        connection.execute(sa.delete(changed_customers))
        segments.refresh(connection, library(segments=text), Settings(), now=at, low=0, high=4095)


def stays(database: Database, customer: str = "ana") -> list[tuple[str, int, int | None]]:
    """A customer's stays in segments: which, and on which days after NOW they began and ended."""
    question = sa.select(members.c.segment, members.c.entered_at, members.c.left_at)
    with database.read() as connection:
        rows = connection.execute(
            question.where(members.c.customer_id == customer).order_by(*members.c)
        ).all()
    return [
        (segment, (begun - NOW).days, None if ended is None else (ended - NOW).days)
        for segment, begun, ended in rows
    ]


def stage(database: Database, customer: str) -> list[str]:
    """The stages at which a customer stands now."""
    question = sa.select(stages.c.stage).where(stages.c.customer_id == customer, stages.c.left_at.is_(None))
    with database.read() as connection:
        return list(connection.execute(question).scalars())


def shop() -> World:
    world = World()
    world.product("foam", category="洁面")
    world.customer("ana")
    world.tag("ana", "vip")
    world.customer("ben")
    world.purchase("ana", "foam", days_ago=20)
    return world


def test_ana_enters_leaves_and_enters_again_and_each_stay_is_kept(database: Database) -> None:
    world = shop()
    put(database, world)
    refresh(database)
    refresh(database, days=11)
    world.purchase("ana", "foam", days_ago=-12)
    put(database, world)
    refresh(database, days=13)
    assert stays(database) == [("dear", 0, 11), ("dear", 13, None), ("recent", 0, 11), ("recent", 13, None)]


def test_a_refresh_that_finds_nothing_new_changes_nothing(database: Database) -> None:
    put(database, shop())
    refresh(database)
    refresh(database, days=1)
    assert stays(database) == [("dear", 0, None), ("recent", 0, None)]


def test_a_segment_that_is_no_longer_written_down_ends(database: Database) -> None:
    put(database, shop())
    refresh(database)
    refresh(database, "segments: {recent: {where: {last_purchase: {less_than: 30d}}}}", days=1)
    assert stays(database) == [("dear", 0, 1), ("recent", 0, None)]


def test_a_ladder_may_use_a_segment_and_whoever_fits_no_rung_stands_nowhere(database: Database) -> None:
    put(database, shop())
    refresh(database)
    assert stage(database, "ana") == ["active"]
    assert stage(database, "ben") == []
    refresh(database, days=11)
    assert stage(database, "ana") == ["asleep"]


OFTEN = "{rfm: {frequency: {at_least: 3}}}"


@pytest.mark.parametrize(
    ("said", "written_to"),
    [
        (f"who: {OFTEN}", {"ana"}),
        (f"stop_when: [{{where: {OFTEN}}}]", {"ben"}),
        (f"hand_over: {{when: {OFTEN}}}", {"ben"}),
    ],
)
def test_scores_that_only_a_playbook_asks_for_are_cut_too(
    database: Database, said: str, written_to: set[str]
) -> None:
    """Ana bought three times, Ben once; no segment asks how they score."""
    world = World(now=NOW)
    for name, days in (("ana", (0.1, 40, 80)), ("ben", (0.1,))):
        world.customer(name, addresses={"wecom": name}, consent=True)
        for ago in days:
            world.purchase(name, "P1", days_ago=ago)
    put(database, world)
    steps = "steps: [{name: tip, send: 1h after purchase, message: 您好, useful_for: 1d}]"
    book = f"name: care\nstatus: live\ntrigger: {{purchase: {{}}}}\n{said}\n{steps}\n"
    known = library(book, segments="rfm: {frequency: [2, 3, 5, 8]}")
    pipeline.run(database, known, Settings(), now=NOW)
    with database.read() as connection:
        assert set(connection.execute(sa.select(messages.c.customer_id)).scalars()) == written_to


def test_whom_a_segment_of_everybody_has_nobody_leaves(database: Database) -> None:
    """However it is written; no statement is made that could end a stay."""
    put(database, shop())
    everybody = "{everyone: true}"
    written = [everybody, f"{{all: [{everybody}]}}", f"{{any: [{everybody}, {{tag: vip}}]}}"]
    for day, where in enumerate(written):
        refresh(database, f"segments: {{all-of-them: {{where: {where}}}}}", days=day)
    assert stays(database) == [("all-of-them", 0, None)]


MEASURED = """
segments:
  known-for-long: {where: {first_purchase: {more_than: 90d}}}
  new-to-cats: {where: {first_purchase: {category: 猫粮, less_than: 10d}}}
  just-here: {where: {last_purchase: {less_than: 10d}}}
  no-foam-lately: {where: {last_purchase: {category: 洁面, more_than: 10d}}}
  two-foams: {where: {orders: {category: 洁面, at_least: 2, at_most: 2}}}
  two-orders-lately: {where: {orders: {within: 30d, at_least: 2, at_most: 2}}}
  one-foam-lately: {where: {orders: {category: 洁面, within: 30d, at_most: 1}}}
  spends-lately: {where: {spend: {within: 30d, at_least: 300, at_most: 300}}}
  five-pieces: {where: {quantity: {at_least: 5, at_most: 5}}}
  bought-cats: {where: {bought: {category: 猫粮, within: 10d}}}
  bought-no-foam-lately: {where: {not: {bought: {category: 洁面, within: 10d}}}}
"""


def test_each_measure_is_of_its_own_goods_and_span(database: Database) -> None:
    """ana bought three cleansers in two orders, 100 and 20 days ago, and two fish lately; ben nothing."""
    world = shop()
    world.purchases.clear()
    world.product("fish", category="猫粮")
    world.product("soap", category="洁面")
    world.purchase("ana", "foam", days_ago=100, order_id="first", amount=10_000)
    world.purchase("ana", "soap", days_ago=100, order_id="first", amount=10_000)
    world.purchase("ana", "foam", days_ago=20, order_id="second", amount=10_000)
    world.purchase("ana", "fish", days_ago=5, order_id="third", quantity=2, amount=20_000)
    put(database, world)
    refresh(database, MEASURED)
    named = re.findall(r"^  ([\w-]+):", MEASURED, re.MULTILINE)
    assert [segment for segment, *_ in stays(database)] == sorted(named)
    assert [segment for segment, *_ in stays(database, "ben")] == ["bought-no-foam-lately", "one-foam-lately"]
