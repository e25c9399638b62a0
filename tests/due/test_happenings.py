"""Playbooks that wait for something to happen: who is found, once, and who is not."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from smr import pipeline
from smr.database import Database
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import candidates
from tests.library import library
from tests.worlds import NOW, World, put

BOOK = """
name: book
status: live
trigger: %s
steps: [{name: one, send: %s, via: [wecom], message: 你好}]
"""
SEGMENTS = """
segments:
  recent: {where: {last_purchase: {less_than: 10d}}}
ladders:
  life:
    - {stage: asleep, where: {last_purchase: {more_than: 30d}}}
    - {stage: awake, where: {orders: {at_least: 1}}}
tags: [{tag: 常客, when: {orders: {at_least: 2}}}]
"""


def book(trigger: str, send: str = "1h after due") -> Library:
    return library(BOOK % (trigger, send), segments=SEGMENTS)


def people(*names: str) -> World:
    world = World()
    world.product("P1", category="洁面")
    world.product("P3", category="猫粮")
    for name in names:
        world.customer(name, addresses={"wecom": name}, consent=True)
    return world


def run(database: Database, shop: Library, hours: float) -> None:
    pipeline.run(database, shop, Settings(), now=NOW + timedelta(hours=hours))


def found(database: Database) -> list[tuple[str, int]]:
    """Who was found due, and how many hours after NOW the step was due; each anchor once."""
    question = sa.select(candidates.c.customer_id, candidates.c.due_at).order_by(*candidates.c)
    with database.read() as connection:
        return [(who, round((at - NOW).total_seconds() / 3600)) for who, at in connection.execute(question)]


def test_whoever_comes_into_a_segment_is_found_once_and_not_who_was_there_at_first(
    database: Database,
) -> None:
    world = people("ana", "ben")
    world.purchase("ana", "P1", days_ago=5)
    put(database, world)
    shop = book("{segment: {entered: recent}}")
    run(database, shop, 0)
    world.purchase("ben", "P1", days_ago=-0.05)
    put(database, world)
    for hours in (2, 3, 4):
        run(database, shop, hours)
    assert found(database) == [("ben", 3)]


def test_a_segment_changed_by_its_operator_is_nobodys_doing(database: Database) -> None:
    world = people("ana")
    world.purchase("ana", "P1", days_ago=12)
    put(database, world)
    run(database, book("{segment: {entered: recent}}"), 0)
    wider = library(
        BOOK % ("{segment: {entered: recent}}", "on due"), segments=SEGMENTS.replace("10d", "20d")
    )
    for hours in (1, 2):
        run(database, wider, hours)
    assert found(database) == []


def test_whoever_leaves_a_segment_is_found(database: Database) -> None:
    world = people("ana")
    world.purchase("ana", "P1", days_ago=9.9)
    put(database, world)
    shop = book("{segment: {left: recent}}")
    for hours in (0, 3, 5):
        run(database, shop, hours)
    assert found(database) == [("ana", 4)]


def test_whoever_comes_to_a_stage_from_another_is_found(database: Database) -> None:
    world = people("ana", "ben")
    world.purchase("ana", "P1", days_ago=29.9)
    put(database, world)
    shop = book("{stage: {ladder: life, to: asleep, from: awake}}")
    run(database, shop, 0)
    world.purchase("ben", "P1", days_ago=40)  # told late: asleep at once
    put(database, world)
    for hours in (3, 5):
        run(database, shop, hours)
    assert found(database) == [("ana", 4)]


def test_a_tag_is_found_whatever_set_it_and_once(database: Database) -> None:
    world = people("ana", "ben", "cleo")
    put(database, world)
    shop = book("{tag: [常客, 敏感肌, vip]}")
    run(database, shop, 0)
    for days in (-0.03, -0.04):
        world.purchase("ana", "P1", days_ago=days)
    world.interaction("ben", days_ago=-0.05, content="过敏了")
    world.tag("cleo", "vip", days_ago=-1 / 24)
    world.tag("cleo", "vip", days_ago=-1 / 24, source="staff")
    put(database, world)
    for hours in (2, 3, 4):
        run(database, shop, hours)
    assert found(database) == [("ana", 3), ("ben", 2), ("cleo", 2)]


def test_an_interaction_is_found_by_kind_channel_and_topic(database: Database) -> None:
    world = people("ana", "ben", "cleo")
    world.interaction("ana", days_ago=-1 / 24, kind="friend_added")
    world.interaction("ben", days_ago=-1 / 24, content="多少钱")
    world.interaction("cleo", days_ago=-1 / 24, kind="answer", content="多少钱")
    put(database, world)
    run(database, book("{interaction: {what: friend_added, channel: wecom}}"), 2)
    assert found(database) == [("ana", 2)]
    run(database, book("{interaction: {topic: 询价}}"), 3)
    assert ("ben", 2) in found(database)
    assert all(who != "cleo" for who, _ in found(database))


def test_silence_counts_from_the_last_purchase_or_deed_and_ends_with_the_next(database: Database) -> None:
    world = people("ana", "ben", "cleo", "dana")
    world.purchase("ana", "P1", days_ago=30)
    world.purchase("ben", "P1", days_ago=40)
    world.interaction("ben", days_ago=30, kind="click")
    world.interaction("cleo", days_ago=30, kind="moments_like")
    world.purchase("dana", "P1", days_ago=30)
    world.interaction("dana", days_ago=2, kind="click")
    put(database, world)
    for hours in (0, 1):
        run(database, book("{silence: {for: 30d}}", "on due"), hours)
    assert found(database) == [("ana", 0), ("ben", 0), ("cleo", 0)]


def test_a_refund_is_found_once_whatever_its_lines(database: Database) -> None:
    world = people("ana", "ben")
    first = world.purchase("ana", "P1", days_ago=5)
    second = world.purchase("ana", "P1", days_ago=5, line_no=2, order_id=first.order_id)
    world.refund(first, days_ago=0.1)
    world.refunds.append(world.refunds[0].__class__("ana", "r1", second.order_id, "P1", world.ago(0.1), 2))
    world.refund(world.purchase("ben", "P3", days_ago=5), days_ago=0.1)
    put(database, world)
    for hours in (0, 1):
        run(database, book("{refund: {category: 洁面}}", "2h after due"), hours)
    assert found(database) == [("ana", 0)]
