"""What would go out in the days to come, and days that left it."""

from __future__ import annotations

import json
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from smr import clock, pipeline
from smr.alarms import alarms
from smr.backtest import past
from smr.cli.app import app
from smr.database import Database, open_database
from smr.database.migrate import ensure_current
from smr.settings import Settings
from smr.simulation import Outlook, keep, page, simulate
from smr.tables import candidates, messages, metadata, runs
from tests.library import CATALOG, REFILL, library
from tests.worlds import NOW, World, put

SHOP = Settings()
TODAY = clock.local_day(NOW, SHOP.shop.tz)
BOTH = {"wecom": "wm", "sms": "138"}
PEOPLE = ("ana", "ben", "cleo", "dana")


@pytest.fixture
def shop() -> World:
    """Foam lasts 45 days; the four are due in 0, 1, 2 and 3 days."""
    world = World()
    world.product("foam", category="洁面")
    for number, name in enumerate(PEOPLE):
        world.customer(name, addresses=BOTH, consent=True)
        world.purchase(name, "foam", days_ago=40 - number)
    return world


def ahead(database: Database, days: int = 7, **options: Any) -> Outlook:
    """A simulation from now."""
    return simulate(database, library(REFILL), SHOP, now=NOW, days=days, at=time(9), **options)


def counted(outlook: Outlook) -> dict[int, int]:
    """Messages by number of days from today."""
    return {(row.day - TODAY).days: row.counted for row in outlook.rows}


def test_each_goes_out_on_its_day(database: Database, shop: World) -> None:
    put(database, shop)
    assert counted(ahead(database)) == {0: 1, 1: 1, 2: 1, 3: 1}


def test_what_was_sent_already_does_not_go_out_again(database: Database, shop: World) -> None:
    put(database, shop)
    pipeline.run(database, library(REFILL), SHOP, now=NOW)
    with database.write() as connection:
        connection.execute(sa.update(messages).values(state="sent", sent_at=NOW))
    assert counted(ahead(database)) == {1: 1, 2: 1, 3: 1}


def test_what_waits_in_the_outbox_goes_out_today(database: Database, shop: World) -> None:
    put(database, shop)
    pipeline.run(database, library(REFILL), SHOP, now=NOW)
    assert counted(ahead(database)) == {0: 1, 1: 1, 2: 1, 3: 1}


def test_nothing_is_decided_for_real(database: Database, shop: World) -> None:
    put(database, shop)
    ahead(database)
    with database.read() as connection:
        for table in (candidates, messages, runs):
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0


def test_facts_later_than_now_are_not_known(database: Database, shop: World) -> None:
    shop.purchase("ana", "foam", days_ago=-1)
    put(database, shop)
    assert counted(ahead(database))[0] == 1


def test_the_past_of_the_shop_says_how_sure_it_is(database: Database, shop: World) -> None:
    put(database, shop)
    guessed = ahead(database, days=21)
    shop.purchase("ana", "foam", days_ago=200)
    put(database, shop)
    checked = ahead(database, days=21)
    assert (guessed.checked_on, checked.checked_on) == (0, 21)
    for row in (*guessed.rows, *checked.rows):
        assert 0 <= row.low <= row.expected <= row.high


def test_a_day_within_its_range_raises_no_alarm(database: Database, shop: World) -> None:
    put(database, shop)
    keep(database, ahead(database))
    pipeline.run(database, library(REFILL), SHOP, now=NOW)
    assert alarms(database, SHOP, now=NOW) == []


def test_far_more_than_expected_raises_an_alarm_at_once(database: Database, shop: World) -> None:
    put(database, shop)
    keep(database, ahead(database))
    for number in range(12):
        shop.customer(f"new{number}", addresses=BOTH, consent=True)
        shop.purchase(f"new{number}", "foam", days_ago=40)
    put(database, shop)
    pipeline.run(database, library(REFILL), SHOP, now=NOW)
    (alarm,) = alarms(database, SHOP, now=NOW)
    assert (alarm.day, alarm.playbook, alarm.channel, alarm.messages) == (TODAY, "refill", "wecom", 13)
    assert "13 messages of refill by wecom, more than expected (0 to " in alarm.sentence


def test_far_fewer_are_told_once_when_the_day_is_over(database: Database, shop: World) -> None:
    for number in range(60):
        shop.customer(f"new{number}", addresses=BOTH, consent=True)
        shop.purchase(f"new{number}", "foam", days_ago=40)
    put(database, shop)
    books = library(REFILL)
    keep(database, ahead(database))
    tomorrow = NOW + timedelta(days=1)
    paused = library(REFILL.replace("status: live", "status: paused"))
    for now, known, told in (
        (NOW, paused, []),
        (tomorrow, books, [TODAY]),
        (tomorrow + timedelta(hours=1), books, []),
    ):
        pipeline.run(database, known, SHOP, now=now)
        assert [alarm.day for alarm in alarms(database, SHOP, now=now) if alarm.messages == 0] == told


def test_a_new_simulation_replaces_what_was_expected(database: Database, shop: World) -> None:
    put(database, shop)
    keep(database, ahead(database))
    keep(database, ahead(database, days=3))
    keep(database, ahead(database))


def test_every_table_has_its_way_into_a_copy() -> None:
    placed = [
        *(
            table.name
            for table in (*past.AS_THEY_ARE, *past.AS_TOLD, *past.LET_IN_BY_DAY, *past.MADE_BY_RUNS)
        ),
        *past.NOT_DECIDED_BY,
    ]
    assert sorted(placed) == sorted(metadata.tables)


@pytest.mark.parametrize(("language", "word"), [("en", "What will go out"), ("zh", "未来会发多少")])
def test_the_page_stands_by_itself(database: Database, shop: World, language: str, word: str) -> None:
    put(database, shop)
    text = page(ahead(database), language, "<Zoë>", "2026-11-23 09:00")
    assert word in text and "&lt;Zoë&gt;" in text and "http" not in text


def test_the_command_simulates_and_the_run_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    books = tmp_path / "playbooks"
    books.mkdir()
    (tmp_path / "config.yaml").write_text("shop: {language: zh}\n", encoding="utf-8")
    (books / "catalog.yaml").write_text(CATALOG, encoding="utf-8")
    (books / "refill.yaml").write_text(REFILL, encoding="utf-8")
    opened = open_database("sqlite:///smr.db")
    ensure_current(opened)
    world = World()
    world.product("foam", category="洁面")
    world.customer("ana", addresses=BOTH, consent=True)
    world.purchase("ana", "foam", days_ago=40)
    put(opened, world)

    def smr(*words: str) -> Any:
        return CliRunner().invoke(app, [*words, "--now", "2026-11-23T09:00"], catch_exceptions=False)

    found = json.loads(smr("simulate", "--days", "3", "--html", "ahead.html", "--json").stdout)
    assert [(row["day"], row["counted"]) for row in found["days"]] == [("2026-11-23", 1)]
    assert Path("ahead.html").exists()
    assert "2026-11-23 Mon" in smr("simulate", "--days", "3").stdout
    for number in range(20):
        world.customer(f"new{number}", addresses=BOTH, consent=True)
        world.purchase(f"new{number}", "foam", days_ago=40)
    put(opened, world)
    done = json.loads(smr("run", "--json").stdout)
    assert [alarm["messages"] for alarm in done["alarms"]] == [21]
    opened.close()
