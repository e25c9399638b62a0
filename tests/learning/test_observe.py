"""What purchases say of how long lines last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from smr.cli.app import app
from smr.database import Database, open_database
from smr.database.migrate import ensure_current
from smr.learning import Observed, changes_of, observe
from smr.settings import Settings
from tests.library import REFILL, library
from tests.worlds import NOW, World, put

SHOP = Settings()
CATALOG = "cycles: {categories: {洁面: {lasts: 45d}, 猫粮: {lasts: 12d}}}"
BOTH = {"wecom": "wm", "sms": "138"}


@pytest.fixture
def shop() -> World:
    """Twelve buy foam every 30 days, and a bag of 2 kg of fish every 24; the catalog says 45 and 12."""
    world = World()
    world.product("foam", category="洁面")
    world.product("fish", category="猫粮", units=2.0)
    for number in range(12):
        name = f"c{number}"
        world.customer(name, addresses=BOTH, consent=True)
        for turn in range(8):
            world.purchase(name, "foam", days_ago=5 + number + 30 * turn)
            world.purchase(name, "fish", days_ago=5 + number + 24 * turn)
    return world


def look(database: Database, catalog: str | None = None) -> dict[str, Observed]:
    """What is observed, by line."""
    books = library(REFILL, catalog=catalog or CATALOG)
    return {one.line: one for one in observe(database, books, SHOP, now=NOW)}


def test_a_cycle_that_purchases_contradict_is_told_with_its_samples(database: Database, shop: World) -> None:
    put(database, shop)
    found = look(database)
    foam = found["洁面"]
    assert (foam.stated, foam.days, foam.low, foam.high) == (45, 30, 30, 30)
    assert (foam.gaps, foam.customers, foam.contradicts) == (84, 12, True)
    assert not found["猫粮"].contradicts  # 2 units in 24 days


def test_changes_are_proposed_for_contradictions_only(database: Database, shop: World) -> None:
    put(database, shop)
    (change,) = changes_of(list(look(database).values()))
    assert (change.kind, change.line, change.days) == ("category", "洁面", 30)


def test_a_final_word_is_shown_and_left_alone(database: Database, shop: World) -> None:
    put(database, shop)
    found = look(database, "cycles: {categories: {洁面: {lasts: 45d, learn: false}, 猫粮: {lasts: 12d}}}")
    assert found["洁面"].contradicts and found["洁面"].final
    assert changes_of(list(found.values())) == []
    assert len(changes_of(list(found.values()), final=True)) == 1


def test_what_came_back_or_was_given_away_is_no_purchase(database: Database, shop: World) -> None:
    put(database, shop)
    before = look(database)
    for number in range(12):
        line = shop.purchase(f"c{number}", "foam", days_ago=20 + number)
        shop.refund(line, days_ago=19 + number)
        shop.purchase(f"c{number}", "foam", days_ago=21 + number, kind="sample")
    put(database, shop)
    assert look(database) == before


def test_a_product_leans_on_its_category(database: Database, shop: World) -> None:
    put(database, shop)
    catalog = "track: both\ncycles: {default: {lasts: 30d}, categories: {洁面: {lasts: 45d}}}"
    found = look(database, catalog)
    assert (found["foam"].stated, found["foam"].stated_by, found["foam"].contradicts) == (
        45,
        "category",
        True,
    )
    assert (found["猫粮"].stated, found["猫粮"].stated_by) == (30, "default")


def test_a_few_purchases_propose_nothing(database: Database) -> None:
    world = World()
    world.product("foam", category="洁面")
    world.customer("ana")
    for turn in range(20):
        world.purchase("ana", "foam", days_ago=5 + 3 * turn)
    put(database, world)
    assert (look(database)["洁面"].gaps, look(database)["洁面"].contradicts) == (19, False)


def test_where_nothing_was_bought_for_years_the_command_says_so(
    shop: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "config.yaml").write_text("shop: {language: zh}\n", encoding="utf-8")
    opened = open_database("sqlite:///smr.db")
    ensure_current(opened)
    put(opened, shop)
    opened.close()
    told = CliRunner().invoke(app, ["learn", "--now", "2036-11-23T09:00"], catch_exceptions=False)
    assert told.exit_code == 0
    assert "Nothing was bought in the 2 years before 2036-11-23" in " ".join(told.stdout.split())


def test_the_command_proposes_writes_and_then_agrees(
    shop: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    books = tmp_path / "playbooks"
    books.mkdir()
    (tmp_path / "config.yaml").write_text("shop: {language: zh}\n", encoding="utf-8")
    catalog = books / "catalog.yaml"
    catalog.write_text(
        "cycles:\n  categories:\n    洁面: {lasts: 45d}   # 一支\n    猫粮: {lasts: 12d}\n", encoding="utf-8"
    )
    (books / "refill.yaml").write_text(REFILL, encoding="utf-8")
    opened = open_database("sqlite:///smr.db")
    ensure_current(opened)
    put(opened, shop)
    opened.close()

    def smr(*words: str) -> Any:
        told = CliRunner().invoke(app, ["learn", "--now", "2026-11-23T09:00", *words], catch_exceptions=False)
        assert told.exit_code == 0
        return told

    told = smr("--json")
    found = json.loads(told.stdout)
    assert "+    洁面: {lasts: 30d}   # 一支" in found["diff"]
    before, after = found["backtest"]
    # What is learned meets the day either way; the stated days alone would not.
    assert before["bought_before"] == after["bought_before"] == 0
    assert after["precision"] >= (before["precision"] or 0)
    assert "45d" in catalog.read_text(encoding="utf-8")
    assert "What it would have changed" in smr("--write").stdout
    assert "洁面: {lasts: 30d}   # 一支" in catalog.read_text(encoding="utf-8")
    assert "nothing to change" in smr("--no-backtest").stdout
