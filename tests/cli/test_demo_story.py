"""`smr demo --private-domain`: one customer's story, told from what the program really did."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from smr.cli.app import app
from smr.cli.demo_people import DAYS, FIRST, HEROINE, People
from smr.cli.demo_story import set_up
from smr.errors import OperatorError
from smr.settings import load_settings

ROOT = Path(__file__).parents[2]


def demo(folder: Path, *options: str) -> str:
    asked = ["demo", "--private-domain", "--folder", str(folder), *options]
    found = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert found.exit_code == 0
    return found.stdout


def test_the_story_is_told_once_and_in_the_language_of_the_shop(tmp_path: Path) -> None:
    folder = tmp_path / "demo-private"
    chinese = demo(folder)
    again = json.loads(demo(folder, "--json"))
    it_goes_from_the_first_purchase_to_peace(again["timeline"])
    assert again["sent_now"] == 0
    assert again["sent"] > 30
    written = (folder / "outbox").rglob("*.jsonl")
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in written) == again["sent"]

    config = folder / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("language: zh", "language: en"), encoding="utf-8")
    english = demo(folder)
    assert "Nothing new was sent" in english
    shown_in_the_readme("README.zh-CN.md", "小林的故事", chinese)
    shown_in_the_readme("README.md", "The story of 小林", english)


def it_goes_from_the_first_purchase_to_peace(timeline: list[dict[str, Any]]) -> None:
    told = [(entry["kind"], entry["words"], entry["beside"]) for entry in timeline]
    kinds = [kind for kind, _, _ in told]
    bought = [place for place, kind in enumerate(kinds) if kind == "bought"]
    reminded = [
        place for place, (kind, _, beside) in enumerate(told) if kind == "sent" and "洁面到期" in beside
    ]
    assert len(bought) == 2
    assert bought[0] < kinds.index("heard") < reminded[0] < bought[1]
    assert [told[place][2].partition(" · ")[0] for place in reminded] == ["wecom", "wecom_moments"]
    assert "敏感肌" in [words for kind, words, _ in told if kind == "tagged"]
    assert ("stage", "成长期", "lifecycle") in told
    assert "皮肤敏感" in told[reminded[0]][1]
    assert "泛红" in told[reminded[1]][1]
    assert "sent" not in kinds[bought[1] + 1 :]


def shown_in_the_readme(page: str, head: str, told: str) -> None:
    printed = {line.rstrip() for line in told.splitlines()}
    shown = (ROOT / page).read_text(encoding="utf-8").split(f"```\n{head}")[1].split("```")[0]
    assert [line for line in shown.splitlines() if line and line not in printed] == []


def test_people_are_the_same_each_time_and_their_day_is_their_own() -> None:
    one, other = People(), People()
    days = [FIRST + timedelta(days=number) for number in range(10)]
    assert [one.day(day, {}, read=False) for day in days] == [other.day(day, {}, read=False) for day in days]
    assert one.before() == other.before()
    assert People(seed=8).before() != one.before()


def test_what_people_do_is_what_their_habits_say() -> None:
    people = People()
    days = [people.day(FIRST + timedelta(days=number), {}, read=False) for number in range(DAYS)]
    deeds = [row["kind"] for day in days for row in day.get("interactions", [])]
    reads = deeds.count("moments_read")
    assert 0.2 < reads / (DAYS * len(people.everybody)) < 0.3
    assert 0.08 < deeds.count("moments_like") / reads < 0.22
    buyers = {row["customer_id"] for day in days for row in day.get("purchases", [])}
    assert 0.45 < len(buyers) / len(people.everybody) < 0.75
    assert HEROINE in buyers


def test_invented_addresses_cannot_belong_to_anybody() -> None:
    for person in People().everybody:
        assert person.row["address.wecom"].startswith("wm_demo_")
        assert person.row["address.sms"].startswith("1990000")


def test_the_demo_does_not_touch_the_folder_of_a_real_shop(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("shop: {name: 小林的店}\n", encoding="utf-8")
    with pytest.raises(OperatorError, match="is not this demo's"):
        set_up(tmp_path, None)


def test_its_language_may_be_chosen(tmp_path: Path) -> None:
    assert load_settings(set_up(tmp_path / "a", "en"), {}).shop.language == "en"
    assert load_settings(set_up(tmp_path / "b", None), {}).shop.language == "zh"


def test_a_story_told_in_one_language_is_not_told_in_another_in_the_same_folder(tmp_path: Path) -> None:
    folder = tmp_path / "story"
    set_up(folder, "zh")

    with pytest.raises(OperatorError, match=r"another language.*--folder .*story-en"):
        set_up(folder, "en")
    assert set_up(folder, None) == set_up(folder, "zh")
