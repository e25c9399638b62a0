"""How the contact policy acted, told of a shop in which somebody lived through some days."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from smr import delivery
from smr.database import Database
from smr.events import Reason
from smr.tables import candidates
from smr.watch.policy import PERSONAL, PolicyReport, policy_report
from tests.guards.test_policy import Shop, each_day
from tests.library import library
from tests.worlds import NOW, World, put


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Shop:
    """Ana and Ben, to whom two playbooks want to write each day; nobody writes to Cleo."""
    world = World()
    for name in ("ana", "ben"):
        world.customer(name)
    world.customer("cleo", consent=False)
    put(database, world)
    books = library(
        each_day("offer", priority=90, useful_for="2d"), each_day("care", "useful", useful_for="1d")
    )
    return Shop(database, tmp_path, {"policy": {"caps": ["1 per 1d"]}}, books)


def told(shop: Shop, *, days: int, begin: datetime = NOW) -> PolicyReport:
    """The report of so many days, at their end."""
    end = begin + timedelta(days=days)
    with shop.database.read() as connection:
        return policy_report(connection, shop.settings, begin=begin - timedelta(hours=1), end=end, now=end)


def test_what_a_rule_held_back_is_followed_to_its_end(shop: Shop) -> None:
    shop.days(2)
    report = told(shop, days=2)
    assert report.rules.keys() == {Reason.SUPERSEDED}
    acted = report.rules[Reason.SUPERSEDED]
    assert (acted.held, acted.became, acted.playbooks) == (4, {"expired": 4}, {"care": 4})
    assert report.lost == {("care", "offer"): 4}


def test_what_was_held_back_may_go_later(shop: Shop) -> None:
    shop.said = {"policy": {"caps": [], "gap": "20h"}}
    shop.books = library(each_day("offer"))
    for hours in (0, 16, 21, 43):
        shop.run(NOW + timedelta(hours=hours))
    acted = told(shop, days=2).rules[Reason.TOO_SOON]
    assert (acted.held, acted.became) == (2, {"sent": 2})


def test_what_waits_for_the_end_of_quiet_hours_is_seen(shop: Shop) -> None:
    shop.said = {"policy": {"caps": [], "quiet_hours": {"from": "21:00", "to": "09:30"}}}
    shop.books = library(each_day("offer", useful_for="2d"))
    shop.run(NOW - timedelta(minutes=30))
    acted = told(shop, days=1).rules[Reason.QUIET_HOURS]
    assert (acted.held, acted.became) == (2, {"waiting": 2})


def test_what_a_rule_holds_back_when_sending_is_seen(shop: Shop) -> None:
    shop.books = library(each_day("offer", useful_for="3d"))
    for day in (0, 1):
        shop.run(NOW + timedelta(days=day), deliver=False)
    at = NOW + timedelta(days=1)
    delivery.deliver(shop.database, shop.books, shop.settings, now=at, owner="test")
    acted = told(shop, days=1, begin=NOW + timedelta(hours=2)).rules[Reason.FREQUENCY_CAP]
    assert (acted.held, acted.became) == (2, {"waiting": 2})


def test_a_candidate_counts_under_each_rule_that_held_it_since(shop: Shop) -> None:
    shop.said = {"policy": {"caps": ["1 per day"]}}
    shop.books = library(each_day("offer", useful_for="3d"))
    shop.run(NOW)
    shop.run(NOW + timedelta(days=1), deliver=False)
    shop.said = {"policy": {"caps": ["1 per 9d"]}}
    shop.books = library(each_day("offer", useful_for="3d"), each_day("care", useful_for="3d"))
    shop.run(NOW + timedelta(days=1, hours=1))
    shop.said = {"policy": {"caps": [], "gap": "9d"}}
    shop.run(NOW + timedelta(days=1, hours=2))
    with shop.database.read() as connection:
        asked = sa.select(candidates.c.held_by).where(candidates.c.playbook == "care").distinct()
        held = asked.where(candidates.c.held_at.is_not(None))
        assert connection.execute(held).scalars().all() == ["frequency_cap too_soon"]


def test_customers_are_counted_by_how_often_they_were_written_to(shop: Shop) -> None:
    shop.said = {"policy": {"caps": []}, "channels": {"sms": {"cap": "1 per 9d"}}}
    shop.books = library(each_day("offer", useful_for="1d"), each_day("news", via="sms", useful_for="1d"))
    shop.days(2)
    report = told(shop, days=2)
    assert report.customers == 3
    assert report.contacts == {PERSONAL: {0: 1, 3: 2}, "sms": {0: 1, 1: 2}, "wecom": {0: 1, 2: 2}}
    assert report.messages == {PERSONAL: 6, "sms": 2, "wecom": 4}
    assert told(shop, days=1, begin=NOW + timedelta(days=5)).contacts == {}
