"""What a backtest tells of small shops whose past is known.

It works in a SQLite copy, whatever the shop's own database is: a few tests copy from both.
"""

from __future__ import annotations

import csv
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from smr import clock
from smr.backtest import Days, Findings, backtest, chosen, days_to_walk, page
from smr.database import Database
from smr.errors import OperatorError
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import metadata
from tests.library import REFILL, library
from tests.worlds import NOW, World, put

SHOP = Settings()
TODAY = clock.local_day(NOW, SHOP.shop.tz)
BOTH = {"wecom": "wm", "sms": "138"}
TWO_STEPS = """
name: refill
status: live
trigger: {runs_out: {category: 洁面}}
steps:
  - {name: heads_up, send: 5d before due, via: [wecom, sms], message: "soon"}
  - {name: last_call, send: 3d after due, via: [wecom, sms], message: "now"}
"""


@pytest.fixture
def shop() -> World:
    """Foam lasts 45 days: whoever bought 100 days ago is reminded 60 and 52 days ago."""
    world = World()
    world.product("foam", category="洁面")
    world.product("fish", category="猫粮")
    for name in ("ana", "ben", "cleo", "dana"):
        world.customer(name, addresses=BOTH, consent=True)
        world.purchase(name, "foam", days_ago=100)
    world.purchase("somebody", "fish", days_ago=0)
    return world


@pytest.fixture
def sqlite(sqlite_database: Database) -> Database:
    """The shop's own database, where it makes no difference of what kind it is."""
    return sqlite_database


def look(
    database: Database, books: Library, first: int = 62, last: int = 46, within: int = 7, **options: Any
) -> Findings:
    """A backtest from so many to so many days ago."""
    days = Days(TODAY - timedelta(days=first), TODAY - timedelta(days=last), time(9))
    return backtest(database, books, options.pop("shop", SHOP), days, within=within, **options)


def test_three_of_four_reminders_are_followed_by_a_purchase(database: Database, shop: World) -> None:
    shop.purchase("ana", "foam", days_ago=58)
    shop.purchase("ben", "foam", days_ago=54)
    shop.purchase("cleo", "foam", days_ago=53)
    shop.purchase("dana", "foam", days_ago=52)  # the eighth day
    put(database, shop)
    book = look(database, library(REFILL)).playbooks[0]
    assert (book.whole.sent, book.whole.hits) == (4, 3)
    assert book.whole.precision == 0.75
    assert (book.repurchases, book.covered) == (4, 3)
    assert book.whole.days == {2: 1, 6: 1, 7: 1}


def test_who_bought_before_the_day_is_counted_apart(sqlite: Database, shop: World) -> None:
    shop.purchase("ana", "foam", days_ago=63)
    put(sqlite, shop)
    step = look(sqlite, library(REFILL), first=70).playbooks[0].steps[0]
    assert (step.sent, step.bought_before, step.hits) == (3, 1, 0)


def test_a_purchase_of_other_goods_is_no_hit_unless_it_is_the_goal(sqlite: Database, shop: World) -> None:
    shop.purchase("ana", "fish", days_ago=58)
    put(sqlite, shop)
    assert look(sqlite, library(REFILL)).playbooks[0].whole.hits == 0
    goal = f"{REFILL}goal: {{purchase: {{category: 猫粮}}}}\n"
    assert look(sqlite, library(goal)).playbooks[0].whole.hits == 1


def test_a_refunded_purchase_is_no_hit(sqlite: Database, shop: World) -> None:
    line = shop.purchase("ana", "foam", days_ago=58)
    shop.refund(line, days_ago=57)
    put(sqlite, shop)
    assert look(sqlite, library(REFILL)).playbooks[0].whole.hits == 0


def test_the_date_error_is_told_over_all_repurchases(sqlite: Database, shop: World) -> None:
    shop.purchase("ana", "foam", days_ago=60)  # foreseen for 55 days ago
    shop.purchase("ben", "foam", days_ago=48)
    put(sqlite, shop)
    assert look(sqlite, library(REFILL)).playbooks[0].errors == {-5: 1, 7: 1}


def test_reminders_too_near_the_end_of_the_data_are_open(sqlite: Database, shop: World) -> None:
    put(sqlite, shop)
    shop.customer("eli", addresses=BOTH, consent=True)
    shop.purchase("eli", "foam", days_ago=43)
    put(sqlite, shop)
    step = look(sqlite, library(REFILL), first=6, last=1).playbooks[0].steps[0]
    assert (step.sent, step.open, step.judged, step.precision) == (1, 1, 0, None)


def test_contacts_are_counted_per_customer(database: Database, shop: World) -> None:
    shop.purchase("ana", "foam", days_ago=58)
    put(database, shop)
    found = look(database, library(TWO_STEPS))
    assert found.contacts == {1: 1, 2: 3}
    assert [step.sent for step in found.playbooks[0].steps] == [4, 3]


def test_what_is_not_sent_has_its_reason(database: Database, shop: World) -> None:
    shop.customer("fred")
    shop.purchase("fred", "foam", days_ago=100)
    shop.tag("ana", "投诉中", days_ago=90)
    put(database, shop)
    step = look(database, library(REFILL)).playbooks[0].steps[0]
    assert sum(step.stopped.values()) == 2
    assert step.sent == 3


def test_the_holdout_is_counted_apart(sqlite: Database, shop: World) -> None:
    put(sqlite, shop)
    step = look(sqlite, library(f"{REFILL}holdout: 100%\n")).playbooks[0].steps[0]
    assert (step.sent, step.held_out) == (0, 4)


def test_the_last_point_of_the_curve_is_the_present_setting(sqlite: Database, shop: World) -> None:
    shop.purchase("ana", "foam", days_ago=150)
    shop.purchase("ana", "foam", days_ago=58)
    put(sqlite, shop)
    curve = look(sqlite, library(REFILL)).playbooks[0].curve
    assert [(point.volume, point.precision) for point in curve] == [(1, 1.0), (4, 0.25)]


def test_nothing_is_written_to_the_shop(database: Database, shop: World) -> None:
    put(database, shop)
    before = _everything(database)
    look(database, library(TWO_STEPS))
    assert _everything(database) == before


def test_a_later_fact_changes_nothing_that_was_decided_before_it(sqlite: Database, shop: World) -> None:
    put(sqlite, shop)
    before = look(sqlite, library(TWO_STEPS), last=50).by_day
    shop.purchase("ana", "foam", days_ago=49.5)
    shop.customer("gus", addresses=BOTH, consent=True, first_seen_at=shop.ago(20))
    put(sqlite, shop)
    assert look(sqlite, library(TWO_STEPS), last=50).by_day == before


def test_a_day_of_unusually_many_is_stopped_and_named(sqlite: Database, shop: World) -> None:
    put(sqlite, shop)
    limited = Settings.model_validate({"policy": {"blast_limit": "50%"}})
    found = look(sqlite, library(REFILL), shop=limited)
    assert (found.playbooks[0].whole.sent, len(found.blast_days)) == (0, 3)
    assert look(sqlite, library(REFILL), shop=limited, allow_blast=True).playbooks[0].whole.sent == 4


def test_a_draft_that_is_named_is_walked(sqlite: Database, shop: World) -> None:
    put(sqlite, shop)
    drafts = library(REFILL.replace("status: live", "status: draft"))
    assert look(sqlite, chosen(drafts, ["refill"])).playbooks[0].whole.sent == 4
    with pytest.raises(OperatorError, match="is live; name the ones to walk, such as refill"):
        chosen(drafts, [])
    with pytest.raises(OperatorError, match="there is no playbook 'refil'; did you mean 'refill'"):
        chosen(drafts, ["refil"])


def test_the_days_are_those_of_which_it_is_known_what_followed(database: Database, shop: World) -> None:
    with pytest.raises(OperatorError, match="no purchases to walk over"):
        days_to_walk(database, SHOP, first=None, last=None, at=time(9), within=7)
    put(database, shop)
    days = days_to_walk(database, SHOP, first=None, last=None, at=time(9), within=7)
    assert (days.last, len(days)) == (TODAY - timedelta(days=7), 90)
    with pytest.raises(OperatorError, match="is after --to"):
        days_to_walk(database, SHOP, first=date(2026, 2, 2), last=date(2026, 2, 1), at=time(9), within=7)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_each_reminder_can_be_exported(sqlite: Database, shop: World, tmp_path: Path, suffix: str) -> None:
    shop.purchase("ana", "foam", days_ago=58)
    put(sqlite, shop)
    file = tmp_path / f"reminders.{suffix}"
    look(sqlite, library(REFILL), export=file)
    rows: list[dict[str, Any]]
    if suffix == "csv":
        with file.open(encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
    else:
        rows = pq.read_table(file).to_pylist()
    hits = {row["customer"]: int(row["hit"]) for row in rows}
    assert hits == {"ana": 1, "ben": 0, "cleo": 0, "dana": 0}
    assert {(row["key"], row["day"]) for row in rows} == {("洁面", f"{TODAY - timedelta(days=60)}")}


@pytest.mark.parametrize(("language", "word"), [("en", "hit rate"), ("zh", "命中率")])
def test_the_page_stands_by_itself_in_both_languages(
    sqlite: Database, shop: World, language: str, word: str
) -> None:
    shop.purchase("ana", "foam", days_ago=58)
    put(sqlite, shop)
    found = look(sqlite, library(TWO_STEPS))
    text = page([found, found], language, "Zoë & <Söhne>")
    assert word in text
    assert "Zoë &amp; &lt;Söhne&gt;" in text
    assert "<script" not in text and "http" not in text and "src=" not in text


def _everything(database: Database) -> dict[str, list[Any]]:
    with database.read() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(sa.select(table))))
            for table in metadata.sorted_tables
        }
