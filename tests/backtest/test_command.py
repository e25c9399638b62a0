"""`smr backtest` as an operator types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from smr.cli.app import app
from smr.cli.say import facts
from smr.database import open_database
from smr.database.migrate import ensure_current
from tests.library import REFILL
from tests.worlds import World, put

Smr = Callable[..., Any]
CATALOG = "cycles: {categories: {洁面: {lasts: 15d, learn: false}}}\n"


@pytest.fixture
def smr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Smr:
    """`smr backtest` in the folder of a shop with four reminders, of which one was followed."""
    monkeypatch.chdir(tmp_path)
    books = tmp_path / "playbooks"
    books.mkdir()
    (tmp_path / "config.yaml").write_text("shop: {name: 暖心小铺, language: zh}\n", encoding="utf-8")
    (books / "catalog.yaml").write_text(CATALOG, encoding="utf-8")
    (books / "refill.yaml").write_text(REFILL, encoding="utf-8")
    opened = open_database("sqlite:///smr.db")
    ensure_current(opened)
    world = World()
    world.product("foam", category="洁面")
    for name in ("ana", "ben", "cleo", "dana"):
        world.customer(name, addresses={"wecom": "wm"}, consent=True)
        world.purchase(name, "foam", days_ago=20)
    world.purchase("ana", "foam", days_ago=7)
    world.purchase("eli", "foam", days_ago=0)
    put(opened, world)
    opened.close()
    return lambda *options: CliRunner().invoke(app, ["backtest", *options])


def test_it_tells_hits_and_precision(smr: Smr) -> None:
    told = smr()
    assert told.exit_code == 0, told.output
    assert "would have sent 4 messages to 4 customers" in told.stdout
    assert "25.0%" in told.stdout


def test_the_names_of_steps_are_whole_on_a_narrow_screen(
    smr: Smr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "_width", 72)
    long = REFILL.replace("name: refill", "name: napkins-and-tissues")
    (tmp_path / "playbooks" / "refill.yaml").write_text(long, encoding="utf-8")
    told = smr()
    assert told.exit_code == 0, told.output
    assert {"napkins-and-tissues/heads_up", "precision", "coverage", "25.0%"} <= {*told.stdout.split()}


def test_all_figures_are_there_as_json(smr: Smr) -> None:
    found = json.loads(smr("refill", "--json", "--within", "4d").stdout)
    book = found["playbooks"][0]
    assert (book["would_have_sent"], book["hits"], book["precision"]) == (4, 1, 0.25)
    assert (book["repurchases"], book["coverage"], book["staff_taps"]) == (1, 1.0, 0)
    assert book["timing_error"]["median_days"] == 2
    assert found["hit_within_days"] == 4


def test_two_versions_stand_side_by_side(smr: Smr, tmp_path: Path) -> None:
    later = tmp_path / "later.yaml"
    later.write_text(REFILL.replace("5d before due", "1d before due"), encoding="utf-8")
    told = smr("--compare", str(later), "--html", "report.html", "--json")
    first, second = json.loads(told.stdout)
    assert [one["playbooks"][0]["hits"] for one in (first, second)] == [1, 0]
    assert second["playbooks_from"] == str(later)
    assert "命中率" in Path("report.html").read_text(encoding="utf-8")


def test_another_catalog_is_another_version(smr: Smr, tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(CATALOG.replace("15d", "20d"), encoding="utf-8")
    _, second = json.loads(smr("--compare", str(catalog), "--json").stdout)
    assert second["playbooks"][0]["timing_error"]["median_days"] == 7


def test_each_version_may_be_a_folder(smr: Smr) -> None:
    first, second = json.loads(smr("--compare", "playbooks", "--json").stdout)
    assert first["playbooks"] == second["playbooks"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("refil",), "there is no playbook 'refil'; did you mean 'refill'?"),
        (("--from", "yesterday"), "--from yesterday: write a day such as 2026-11-23"),
        (("--at", "9"), "--at 9: write a time of day such as 09:00"),
        (("--within", "7h"), "--within 7h: write whole days, from 1d to 366d"),
        (("--export", "a.xlsx"), "--export a.xlsx: name a file that ends in .csv or .parquet"),
        (("--html", "no/such/a.html"), "/no/such does not exist; create it"),
        (("--compare", "nothing.yaml"), "--compare nothing.yaml: there is no such file or folder"),
    ],
)
def test_a_wrong_option_says_what_to_write(smr: Smr, options: tuple[str, ...], message: str) -> None:
    told = smr(*options)
    assert message in str(told.exception)
