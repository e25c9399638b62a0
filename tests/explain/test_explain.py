"""`smr explain`: what it says of a customer agrees with what the conditions and the playbook say."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from smr import pipeline
from smr.database import Database
from smr.events import Reason
from smr.explain import explain, tell
from smr.settings import Settings
from smr.tables import messages
from tests.library import library
from tests.worlds import NOW, World, put

CARE = """
name: care
status: live
trigger: {purchase: {}}
who: {orders: {at_least: 1}}
steps: [{name: tip, send: 7d after purchase, message: 您好}]
"""


def test_orders_are_counted_as_the_conditions_count_them(database: Database) -> None:
    put(database, world_of_ana())

    told = explain(database, library(CARE), Settings(), "ana", now=NOW)

    assert told.orders == 1
    assert told.playbooks[0].who[0].value == 1


def test_a_step_is_named_as_the_playbook_writes_it(database: Database) -> None:
    put(database, world_of_ana())

    settings = Settings()
    told = explain(database, library(CARE), settings, "ana", now=NOW)
    english = list(tell(told, settings.shop.tz, "en"))
    chinese = list(tell(told, settings.shop.tz, "zh"))

    assert english[0].startswith("ana Ana: orders 1; segments: none")
    assert any(line.startswith("  tip (7d after purchase): not due yet") for line in english)
    assert any("would not be sent as things stand: unreachable" in line for line in english)
    assert chinese[0].startswith("ana Ana：1 个订单；人群：无")


def world_of_ana() -> World:
    """Ana kept what she bought three days ago, gave back another order, and buys again tomorrow."""
    world = World(now=NOW)
    world.product("P1", category="洁面")
    world.customer("ana")
    world.purchase("ana", "P1", days_ago=3)
    world.refund(world.purchase("ana", "P1", days_ago=2), days_ago=1)
    world.purchase("ana", "P1", days_ago=-1)
    return world


CALENDAR = """
name: %s
status: live
trigger: %s
steps: [{name: one, send: %s, message: 您好}]
"""


def test_the_next_day_of_the_calendar_is_told(database: Database) -> None:
    world = World(now=NOW)  # 2026-11-23, a Monday
    world.customer("ana", birthday="1990-01-02", lunar_birthday="0000-11-08")
    put(database, world)
    books = {
        "festival": ("{festival: [春节, 双十二]}", "2d before due"),
        "own": ("{date: {field: birthday, calendar: own}}", "on due"),
        "solar": ("{date: {field: birthday}}", "on due"),
        "day_off": ('{schedule: {every: [mon, sat], at: "09:30", only: days_off}}', "on due"),
    }
    shop = library(*(CALENDAR % (name, *said) for name, said in books.items()))
    told = explain(database, shop, Settings(), "ana", now=NOW)
    zone = Settings().shop.tz
    days = {
        book.name: str(view.next_at.astimezone(zone).date())
        for book in told.playbooks
        for view in book.steps
        if view.next_at is not None
    }
    assert days == {
        "festival": "2026-12-10",
        "own": "2026-12-16",
        "solar": "2027-01-02",
        "day_off": "2026-11-28",
    }


ROUNDS = """
name: care
status: live
trigger: {purchase: {}}
steps:
  - {name: tip, send: 1h after purchase, message: 您好}
  - {name: review, send: 5h after purchase, message: 请评价, useful_for: 2d}
limits: {per_customer: 1 per 30d}
"""


def test_a_new_round_beyond_the_playbooks_own_limit_is_told_and_a_round_under_way_goes_on(
    database: Database,
) -> None:
    """Ana heard of her first order; of the second one the run says no, and so does the explanation."""
    world = World(now=NOW)
    world.product("P1")
    world.customer("ana", addresses={"wecom": "wm_ana"}, consent=True)
    world.purchase("ana", "P1", days_ago=0.2, order_id="first")
    world.purchase("ana", "P1", days_ago=-0.1, order_id="second")
    put(database, world)
    books, settings = library(ROUNDS), Settings.model_validate({"policy": {"caps": []}})
    pipeline.run(database, books, settings, now=NOW - timedelta(hours=1))
    later = NOW + timedelta(hours=6)

    told = explain(database, books, settings, "ana", now=later)
    pipeline.run(database, books, settings, now=later)

    views = {(view.step, view.order_id): view for book in told.playbooks for view in book.steps}
    second, under_way = views["tip", "second"], views["review", "first"]
    assert second.blocks == (Reason.FREQUENCY_CAP,)
    assert second.rounds == {"used": 1, "rate": "1 per 30d"}
    assert under_way.blocks == () and under_way.rounds is None
    chinese = list(tell(told, settings.shop.tz, "zh"))
    assert "      本剧本近期已提醒 1 轮（上限 1 per 30d）" in chinese
    with database.read() as connection:
        went = connection.execute(sa.select(messages.c.step, messages.c.anchor)).all()
    assert sorted(step for step, _ in went) == ["review", "tip"]
    assert len({anchor for _, anchor in went}) == 1


def test_whoever_was_never_written_to_has_no_last_message_to_wait_after(database: Database) -> None:
    """A cap of one channel and one over all stand apart, and a gap after nothing is no gap."""
    world = World(now=NOW)
    world.customer("ana")
    put(database, world)
    said = {"policy": {"caps": ["1 per day"], "gap": "20h"}, "channels": {"sms": {"cap": "2 per month"}}}
    settings = Settings.model_validate(said)
    told = explain(database, library(CARE), settings, "ana", now=NOW)

    lines = {language: list(tell(told, settings.shop.tz, language))[2].strip() for language in ("en", "zh")}
    assert lines == {
        "en": "written to so far: by sms 0 of 2 per month, gap 20h (nothing sent yet), in all 0 of 1 per 1d",
        "zh": "近期已触达：sms 0 次（上限 2 per month），间隔 20h（还没发过），合计 0 次（上限 1 per 1d）",
    }


def test_scores_are_told_beside_the_condition_that_asks_for_them(database: Database) -> None:
    """Ana bought three times, ten days ago at last; Ben never did and has no scores."""
    world = World(now=NOW)
    world.customer("ana")
    world.customer("ben")
    for days in (10, 100, 200):
        world.purchase("ana", "P1", days_ago=days)
    put(database, world)
    cuts = "rfm: {recency: [365d, 180d, 90d, 30d], frequency: [2, 3, 5, 8]}"
    book = CARE.replace("{orders: {at_least: 1}}", "{rfm: {recency: {at_least: 4}, frequency: {at_most: 2}}}")
    known = library(book, segments=cuts)
    pipeline.run(database, known, Settings(), now=NOW)

    def told(who: str) -> tuple[bool, object]:
        (leaf,) = explain(database, known, Settings(), who, now=NOW).playbooks[0].who
        return leaf.holds, leaf.value

    assert told("ana") == (False, "recency 5, frequency 3")
    assert told("ben") == (False, None)


def test_who_refused_or_complains_is_told_with_the_fact_behind_it(database: Database) -> None:
    """Ana opted out of everything two days ago; Ben's complaint of yesterday is open for a week."""
    world = World(now=NOW)
    world.product("P1", category="洁面")
    for who in ("ana", "ben"):
        world.customer(who, addresses={"wecom": f"wm_{who}"}, consent=True)
        world.purchase(who, "P1", days_ago=8)
    world.consent("ana", days_ago=2, channel="*", purpose="*", granted=False, source="chat: 别再发了")
    tag = {"source": "chat", "reason": "“退钱”", "expires_at": NOW + timedelta(days=6)}
    world.tag("ben", "投诉中", days_ago=1, **tag)
    put(database, world)
    settings = Settings()

    def told(who: str, language: str) -> str:
        explanation = explain(database, library(CARE), settings, who, now=NOW)
        lines = [line.strip() for line in tell(explanation, settings.shop.tz, language)]
        (place,) = (number for number, line in enumerate(lines) if line.startswith("✗ "))
        return lines[place + 1]

    assert told("ana", "en") == "refused all channels on 2026-11-21 09:00 (chat: 别再发了)"
    assert told("ana", "zh") == "2026-11-21 09:00 拒收所有渠道（chat: 别再发了）"
    assert told("ben", "en") == "tag 投诉中 since 2026-11-22 09:00 until 2026-11-29 09:00 (“退钱”)"
    assert told("ben", "zh") == "2026-11-22 09:00 起带有标签 投诉中，到 2026-11-29 09:00 为止（“退钱”）"
