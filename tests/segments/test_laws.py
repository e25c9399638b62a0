"""Judging only whom it may concern comes to the same as judging everybody, at any time, whatever happens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smr import clock, pipeline
from smr.conditions import Who, condition_sql
from smr.database import Database, open_database
from smr.database.migrate import mark_current
from smr.playbook.model import Library
from smr.report import RunReport
from smr.segments.refresh import stage_of
from smr.settings import Settings
from smr.tables import (
    buyers,
    customers,
    members,
    messages,
    metadata,
    stages,
    tags,
    unsorted_customers,
    visitors,
)
from tests.examples import many
from tests.library import library
from tests.worlds import NOW, World, put, random_worlds

SHOP = Settings()
SEGMENTS = """
segments:
  recent: {where: {last_purchase: {less_than: 12d}}}
  long-ago: {where: {first_purchase: {more_than: 40d, category: 洁面}}}
  often: {where: {orders: {within: 30d, at_least: 2}}}
  dear: {where: {all: [{spend: {within: 41d, at_least: 150}}, {not: {tag: 投诉中}}]}}
  gave-back: {where: {refunded: {within: 11d}}}
  short: {where: {supply: {category: 洁面, runs_out_within: 7d}}}
  out: {where: {supply: {category: 猫粮, ran_out_for: 5d}}}
  skin: {where: {chat: {topic: 皮肤问题, within: 10d}}}
  curious: {where: {any: [{did: {what: [click, moments_like], within: 29d, at_least: 2}}, {tag: 敏感肌}]}}
  reached: {where: {reachable: [wecom, sms]}}
  left-alone: {where: {messaged: {within: 6d, at_most: 0}}}
  good: {where: {rfm: {recency: {at_least: 3}, frequency: {at_least: 2}, money: {at_most: 4}}}}
  inside: {where: {all: [{segment: recent}, {not: {stage: {lifecycle: [成熟期]}}}, {tag: 常客}]}}
ready:
  lifecycle: {dormant_after: 29d, lost_after: 60d, mature_orders: 2, mature_within: 41d}
  tier: {loyal_orders: 2}
tags:
  - {tag: 常客, when: {orders: {within: 60d, at_least: 2}}}
  - {tag: 刚买过, when: {bought: {within: 1d}}, for: 4d, title: 刚买过的客户}
rfm: {recency: [63d, 43d, 33d, 8d], frequency: [2, 3, 4, 5], money: [100, 200, 300, 600]}
"""
REFILL = """
name: refill
status: live
trigger: {runs_out: {category: 洁面}}
steps: [{name: one, send: 5d before due, via: [wecom, sms], message: one, useful_for: 30d}]
"""


def shop_of(text: str = SEGMENTS) -> Library:
    """The library, with definitions in an order in which each comes after those it uses."""
    made = library(REFILL, segments=text)
    last = [("segment", "inside")] if "inside" in made.segments else []
    return replace(made, order=(*(node for node in made.order if node not in last), *last))


def live(database: Database, world: World, days: Iterable[float], *, everybody: bool, shop: Library) -> None:
    """Runs at these days before NOW; facts are told up to the next run, as they happen."""
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))
    put(database, replace_facts(world, lambda at: False))
    for before in days:
        now = NOW - timedelta(days=before)
        put(database, replace_facts(world, lambda at, now=now: at <= now + timedelta(days=2)))
        if everybody:
            with database.write() as connection:
                all_of_them = sa.select(customers.c.bucket, customers.c.customer_id)
                keys = ["bucket", "customer_id"]
                connection.execute(sa.delete(unsorted_customers))
                connection.execute(sa.insert(unsorted_customers).from_select(keys, all_of_them))
        done = pipeline.run(database, shop, SHOP, now=now)
        assert isinstance(done, RunReport)


def replace_facts(world: World, told: Any) -> World:
    """The world as far as it was told: what has a time, and that time passes."""
    return replace(
        world,
        purchases=[one for one in world.purchases if told(one.purchased_at)],
        refunds=[one for one in world.refunds if told(one.refunded_at)],
        interactions=[one for one in world.interactions if told(one.happened_at)],
        consents=[one for one in world.consents if told(one.decided_at)],
        tags=[one for one in world.tags if told(one.set_at)],
    )


def rows(database: Database, table: sa.Table, *leave_out: str) -> list[tuple[Any, ...]]:
    columns = [column for column in table.columns if column.name not in leave_out]
    with database.read() as connection:
        return sorted((tuple(row) for row in connection.execute(sa.select(*columns))), key=str)


KNOWN = shop_of()
_asked: list[tuple[Library, dict[str, Any]]] = []


def asked(shop: Library) -> dict[str, Any]:
    """What is asked of everybody, by the name of the definition; built once for each shop."""
    for known, questions in _asked:
        if known is shop:
            return questions
    who = Who.of(customers)
    one = customers.c.customer_id
    questions = {}
    for name, segment in shop.segments.items():
        questions[name] = sa.select(one).where(condition_sql(segment.where, who, SHOP))
    for name, rungs in shop.ladders.items():
        stands = stage_of(rungs, who, SHOP)
        questions[name] = sa.select(one, stands).where(stands.is_not(None))
    for name, rule in shop.tags.items():
        questions[name] = sa.select(one).where(condition_sql(rule.when, who, SHOP))
    _asked.append((shop, questions))
    return questions


def true_now(database: Database, now: datetime, shop: Library) -> None:
    """Who is a member, on a stage and tagged is what the definitions say of everybody at this instant."""
    bound, said = {"now": clock.seconds(now)}, asked(shop)
    with database.read() as connection:
        for name in shop.segments:
            if name == "left-alone":
                continue  # what this run queued counts from the next one on
            open_now = sa.select(members.c.customer_id).where(
                members.c.segment == name, members.c.left_at.is_(None)
            )
            assert sorted(connection.scalars(open_now)) == sorted(connection.scalars(said[name], bound)), name
        for name in shop.ladders:
            standing = sa.select(stages.c.customer_id, stages.c.stage).where(
                stages.c.ladder == name, stages.c.left_at.is_(None)
            )
            assert sorted(map(tuple, connection.execute(standing))) == sorted(
                map(tuple, connection.execute(said[name], bound))
            ), name
        for name, rule in shop.tags.items():
            ends = sa.func.coalesce(tags.c.expires_at, clock.seconds(now) + 1)
            active = sa.select(tags.c.customer_id).where(
                tags.c.tag == name, tags.c.source == "rule", ends > clock.seconds(now)
            )
            there, holding = set(connection.scalars(active)), set(connection.scalars(said[name], bound))
            assert there == holding if rule.for_ is None else there >= holding, name


@pytest.fixture
def other(tmp_path: Path) -> Any:
    """A second shop."""
    opened = open_database(f"sqlite:///{tmp_path}/other.db")
    with opened.write() as connection:
        metadata.create_all(connection)
        mark_current(connection)
    yield opened
    opened.close()


moments = st.lists(
    st.one_of(st.integers(0, 45), st.sampled_from((0.5, 1.25, 7.75, 11.999, 29.5))),
    min_size=2,
    max_size=6,
    unique=True,
).map(lambda days: sorted(days, reverse=True))


@settings(max_examples=many(10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=random_worlds(most=7), days=moments)
def test_a_refresh_is_a_rebuild(database: Database, other: Database, world: World, days: list[float]) -> None:
    live(database, world, days, everybody=False, shop=KNOWN)
    true_now(database, NOW - timedelta(days=days[-1]), KNOWN)
    live(other, world, days, everybody=True, shop=KNOWN)
    for table in (members, stages, tags, visitors, buyers):
        assert rows(database, table) == rows(other, table), table.name


def a_shop_in_which_only_the_clock_moves() -> World:
    """One thing of each kind happened to somebody, and nothing ever after."""
    world = World()
    world.product("P1", category="洁面")
    world.product("P3", category="猫粮")
    for name in ("buys", "twice", "cats", "back", "says", "clicks", "friend", "tagged", "agrees", "later"):
        world.customer(name, addresses={"wecom": name})
    world.purchase("buys", "P1", days_ago=60.5)
    world.purchase("twice", "P1", days_ago=60, amount=20_000)
    world.purchase("twice", "P1", days_ago=52)
    world.purchase("cats", "P3", days_ago=59)
    world.refund(world.purchase("back", "P1", days_ago=58), days_ago=55.3)
    world.interaction("says", days_ago=56, content="过敏了")
    world.interaction("clicks", days_ago=55, kind="click")
    world.interaction("clicks", days_ago=50, kind="moments_like")
    world.interaction("friend", days_ago=54, kind="friend_added")
    world.tag("tagged", "敏感肌", days_ago=50, expires_at=world.ago(40))
    world.consent("agrees", days_ago=45)
    world.purchase("later", "P1", days_ago=30)
    return world


def test_day_by_day_the_clock_alone_changes_what_it_has_to(database: Database) -> None:
    shop = replace(KNOWN, playbooks=())
    put(database, a_shop_in_which_only_the_clock_moves())
    seen: dict[str, set[int]] = {}
    days = 1 if database.dialect == "sqlite" else 3
    for day in range(62, -25, -days):
        now = NOW - timedelta(days=day)
        pipeline.run(database, shop, SHOP, now=now)
        true_now(database, now, shop)
        with database.read() as connection:
            inside = connection.execute(
                sa.select(members.c.segment, sa.func.count())
                .where(members.c.left_at.is_(None))
                .group_by(members.c.segment)
            )
            for segment, count in inside:
                seen.setdefault(segment, {0}).add(count)
    still = {"left-alone", "inside"}
    assert {name for name in shop.segments if len(seen.get(name, ())) < 2} - still == set()


def test_what_a_run_queues_counts_for_segments_from_the_next_run_or_rebuild_on(database: Database) -> None:
    world = World()
    world.product("P1", category="洁面")
    world.customer("ana", addresses={"wecom": "ana"}, consent=True)
    world.purchase("ana", "P1", days_ago=41)
    shop = shop_of()
    live(database, world, [2, 0], everybody=False, shop=shop)
    assert len(rows(database, messages)) == 1
    assert ("left-alone", None) in [(row[2], row[4]) for row in rows(database, members)]
    pipeline.rebuild(database, shop, SHOP, now=NOW)
    assert ("left-alone", NOW) in [(row[2], row[4]) for row in rows(database, members)]


@settings(max_examples=many(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=random_worlds(most=7), days=moments)
def test_a_rebuild_changes_nothing(database: Database, world: World, days: list[float]) -> None:
    # Twice at the last instant: what a run queues counts from the next one on.
    live(database, world, [*days, days[-1]], everybody=False, shop=KNOWN)
    before = {table.name: rows(database, table) for table in (members, stages, tags, visitors)}
    pipeline.rebuild(database, KNOWN, SHOP, now=NOW - timedelta(days=days[-1]))
    assert {table.name: rows(database, table) for table in (members, stages, tags, visitors)} == before


def test_a_changed_definition_is_asked_of_everybody(database: Database) -> None:
    world = World()
    world.product("P1", category="洁面")
    for name in ("ana", "ben"):
        world.customer(name)
    world.purchase("ana", "P1", days_ago=20)
    put(database, world)
    pipeline.run(
        database, shop_of("segments: {recent: {where: {last_purchase: {less_than: 10d}}}}"), SHOP, now=NOW
    )
    assert rows(database, members) == []
    changed = shop_of("segments: {recent: {where: {last_purchase: {less_than: 30d}}}}")
    pipeline.run(database, changed, SHOP, now=NOW + timedelta(hours=1))
    assert [row[1] for row in rows(database, members)] == ["ana"]


def test_a_clock_set_back_judges_everybody_again(database: Database) -> None:
    world = World()
    world.product("P1", category="洁面")
    world.customer("ana")
    world.purchase("ana", "P1", days_ago=5)
    put(database, world)
    shop = shop_of("segments: {recent: {where: {last_purchase: {less_than: 10d}}}}")
    pipeline.run(database, shop, SHOP, now=NOW + timedelta(days=20))
    assert rows(database, members) == []
    pipeline.run(database, shop, SHOP, now=NOW)
    true_now(database, NOW, shop)


def test_nobody_is_judged_again_where_nothing_can_have_changed(database: Database) -> None:
    from smr import segments

    world = World()
    world.product("P1", category="洁面")
    for number in range(30):
        world.customer(f"c{number}")
        world.purchase(f"c{number}", "P1", days_ago=number)
    put(database, world)
    shop = shop_of("segments: {recent: {where: {last_purchase: {less_than: 10d}}}}")
    pipeline.run(database, shop, SHOP, now=NOW)
    with database.write() as connection:
        judged = segments.refresh(connection, shop, SHOP, now=clock.seconds(NOW) + 1, low=0, high=4095)
        a_day_later = segments.refresh(
            connection, shop, SHOP, now=clock.seconds(NOW) + clock.DAY, low=0, high=4095
        )
    assert (judged, a_day_later) == (0, 1)
