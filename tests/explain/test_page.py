"""The page of an explanation: the same sentences, a picture of each learned curve, nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from smr import pipeline
from smr.cli.app import app
from smr.database import Database, open_database
from smr.database.migrate import ensure_current
from smr.due import AskedDay, Rhythm
from smr.explain import Explanation, explain, page, tell
from smr.explain.tell import Teller
from smr.settings import Settings
from tests.library import library
from tests.worlds import NOW, World, put

SHOP = Settings.model_validate({"shop": {"zone": "Asia/Shanghai"}})
CATALOG = "cycles: {categories: {洁面: {lasts: 45d}, 猫粮: {lasts: 12d}, 面膜: {lasts: 9d, learn: false}}}"
REFILL = """
name: refill
title: Foam & more
status: live
trigger: {runs_out: {category: 洁面}, likely: 20%, quiet: 12d}
who: {customer: {field: gender, is: f}}
steps: [{name: again, send: on due, via: [wecom], message: again, useful_for: 9d}]
"""
LATE = """
name: late
status: live
trigger: {runs_out: {category: 洁面}}
steps: [{name: late, send: on due at 75%, via: [wecom], message: late, useful_for: 3d}]
"""
NEVER = (
    REFILL.replace("name: refill", "name: surest").replace("20%", "95%").replace("name: again", "name: sure")
)
BOOKS = (REFILL, LATE, NEVER)


def world() -> World:
    """Twenty who buy foam about every 45 days, and cat food every 12; Ana bought a mask, too."""
    made = World()
    for product, category in (("foam", "洁面"), ("fish", "猫粮"), ("mask", "面膜")):
        made.product(product, category=category)
    for number in range(20):
        name = f"c{number}"
        made.customer(name, addresses={"wecom": name}, consent=True)
        for back in range(6):
            made.purchase(name, "foam", days_ago=10 + number % 3 + back * (40 + number % 11))
            made.purchase(name, "fish", days_ago=8 + number % 2 + back * (10 + number % 5))
    made.customer("ana", name="<b>Ana</b> & co", addresses={"wecom": "wm"}, consent=True, gender="f")
    made.tag("ana", "<i>vip")
    made.purchase("ana", "mask", days_ago=2)
    for back in range(8):
        made.purchase("ana", "foam", days_ago=19 + 23 * back)
    return made


def told_of_ana(database: Database) -> Explanation:
    """What is told of Ana after a run."""
    put(database, world())
    pipeline.run(database, library(*BOOKS, catalog=CATALOG), SHOP, now=NOW)
    return explain(database, library(*BOOKS, catalog=CATALOG), SHOP, "ana", now=NOW)


@pytest.fixture
def ana(sqlite_database: Database) -> Explanation:
    """The same, for what is made of it in Python alone."""
    return told_of_ana(sqlite_database)


def rhythm_of(told: Explanation, line: str = "洁面") -> Rhythm:
    """The rhythm of one line."""
    (found,) = (one.rhythm for one in told.supplies if one.line == line)
    assert found is not None
    return found


def asked_of(told: Explanation) -> dict[str, AskedDay]:
    """What is asked of Ana's foam, by its words."""
    return {one.written: one for one in rhythm_of(told).asked}


class Texts(HTMLParser):
    """The texts of a page, and its tags with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, Any]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(text: str) -> Texts:
    parsed = Texts()
    parsed.feed(text)
    return parsed


def sentences(told: Explanation, teller: Teller) -> Iterator[str]:
    """What is said of supplies and steps."""
    yield teller.next_at(told)
    for supply in told.supplies:
        yield teller.supply(supply)
        if supply.rhythm is not None:
            yield teller.rhythm(supply.rhythm)
            yield from map(teller.asked, supply.rhythm.asked)
    for view in (view for book in told.playbooks for view in book.steps):
        yield teller.head(view)
        yield from teller.outcome(view)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_says_what_the_sentences_say(ana: Explanation, language: str) -> None:
    shown = read(page(ana, SHOP.shop.tz, language, "Shop")).texts
    said = list(tell(ana, SHOP.shop.tz, language))
    for sentence in sentences(ana, Teller(SHOP.shop.tz, language)):
        assert sentence in shown
        assert any(line.strip() == sentence for line in said)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_needs_no_other_file_and_runs_nothing(ana: Explanation, language: str) -> None:
    text = page(ana, SHOP.shop.tz, language, "")
    parsed = read(text)
    assert {"script", "link", "img", "iframe", "object", "image", "use"}.isdisjoint(
        tag for tag, _ in parsed.tags
    )
    assert {"src", "href", "xlink:href", "srcset"}.isdisjoint(key for _, keys in parsed.tags for key in keys)
    assert not re.search(r"url\(|@import|://", text)


def test_what_people_wrote_is_text_and_nothing_else(ana: Explanation) -> None:
    text = page(ana, SHOP.shop.tz, "en", "A <shop> & sons")
    assert "<b>Ana" not in text
    assert "<i>vip" not in text
    assert "Foam &amp; more" in text
    assert "A &lt;shop&gt; &amp; sons" in text


def pictures(text: str) -> list[ElementTree.Element]:
    """The drawings of a page; each has to be sound XML."""
    return [ElementTree.fromstring(one) for one in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]  # noqa: S314


def labels(drawing: ElementTree.Element) -> list[str]:
    return ["".join(one.itertext()) for one in drawing.iter("text")]


def test_each_learned_supply_has_a_picture_and_what_is_stated_has_none(ana: Explanation) -> None:
    assert [one.line for one in ana.supplies if one.rhythm is None] == ["面膜"]
    text = page(ana, SHOP.shop.tz, "en", "")
    (foam,) = pictures(text)
    assert "Nothing is learned of this line" in text
    drawn = labels(foam)
    rhythm, asked = rhythm_of(ana), asked_of(ana)
    assert f"today, day 19: {rhythm.within_week:.0%}" in drawn
    assert f"likely 20% after 12d: day {asked['likely 20% after 12d'].day}" in drawn
    assert f"due at 75%: day {asked['due at 75%'].day}" in drawn
    assert "likely 95% after 12d: never" in drawn
    assert "quiet 12 d" in drawn


def test_nothing_is_drawn_outside_the_picture(ana: Explanation) -> None:
    (foam,) = pictures(page(ana, SHOP.shop.tz, "zh", ""))
    _, _, width, height = (float(part) for part in foam.attrib["viewBox"].split())
    for line in foam.iter("polyline"):
        spots = [tuple(map(float, spot.split(","))) for spot in line.attrib["points"].split()]
        assert spots
        assert all(0 <= x <= width and 0 <= y <= height for x, y in spots)
    for text in foam.iter("text"):
        assert 0 <= float(text.attrib["x"]) <= width
        assert 0 <= float(text.attrib["y"]) <= height


def test_the_day_asked_for_is_the_day_on_which_its_step_is_due(database: Database) -> None:
    ana = told_of_ana(database)
    due = {view.step: view.due_at for book in ana.playbooks for view in book.steps}
    asked = asked_of(ana)
    assert due["late"] == asked["due at 75%"].at
    assert asked["likely 20% after 12d"].playbooks == ("refill",)
    assert due["again"] == asked["likely 20% after 12d"].at
    assert asked["likely 95% after 12d"].day is None


def test_the_curve_reaches_the_share_on_the_asked_day_and_not_before(database: Database) -> None:
    ana = told_of_ana(database)
    rhythm, asked = rhythm_of(ana), asked_of(ana)["likely 20% after 12d"]
    assert asked.day is not None
    on = dict(rhythm.curve)
    assert on[asked.day] >= 0.2
    assert [day for day, chance in rhythm.curve if 12 <= day < asked.day and chance >= 0.2] == []
    assert on[rhythm.days_ago] == pytest.approx(rhythm.within_week)


def test_whoever_has_been_silent_for_years_is_still_drawn(sqlite_database: Database) -> None:
    put(sqlite_database, world())
    books = library(*BOOKS, catalog=CATALOG)
    pipeline.run(sqlite_database, books, SHOP, now=NOW)
    later = NOW.replace(year=NOW.year + 3)
    told = explain(sqlite_database, books, SHOP, "ana", now=later)
    (foam,) = pictures(page(told, SHOP.shop.tz, "en", ""))
    assert any(re.fullmatch(r"today, day 111\d: \d+% →", label) for label in labels(foam))
    _, _, width, _ = (float(part) for part in foam.attrib["viewBox"].split())
    assert all(0 <= float(one.attrib["x"]) <= width for one in foam.iter("text"))


def test_the_command_writes_the_page_in_the_language_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMR_DATABASE_URL", raising=False)
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "config.yaml").write_text("shop: {name: 小店, language: zh}\n", encoding="utf-8")
    (tmp_path / "playbooks" / "catalog.yaml").write_text(CATALOG, encoding="utf-8")
    (tmp_path / "playbooks" / "refill.yaml").write_text(REFILL, encoding="utf-8")
    shop = open_database(Settings().database.url)
    ensure_current(shop)
    put(shop, world())
    shop.close()
    now = ("--now", f"{NOW:%Y-%m-%dT%H:%M}Z")
    told = CliRunner().invoke(app, ["explain", "ana", "--html", "ana.html", *now])
    assert told.exit_code == 0, told.output
    assert "小店 · " in Path("ana.html").read_text(encoding="utf-8")
    assert "什么时候用完" in Path("ana.html").read_text(encoding="utf-8")
    CliRunner().invoke(app, ["explain", "ana", "--html", "ana.html", "--lang", "en", *now])
    assert "When supplies run out" in Path("ana.html").read_text(encoding="utf-8")
    refused = CliRunner().invoke(app, ["explain", "ana", "--html", "ana.txt", *now])
    assert "name a file that ends in .html or .htm" in str(refused.exception)
