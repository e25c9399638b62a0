"""Who is in what, why, how it moves, and what an edit would change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from smr.cli.app import app

SEGMENTS = """
segments:
  fresh: {title: 刚买过, where: {last_purchase: {less_than: 30d}}}
  steady: {where: {orders: {at_least: 2}}}
ladders:
  life: [{stage: 买过, where: {orders: {at_least: 1}}}, {stage: 没买过}]
tags: [{tag: 两单, when: {orders: {at_least: 2}}, title: 买过两单}]
"""
BOUGHT = """customer_id,product_id,purchased_at,order_id
ana,foam,2026-02-20,A1
ana,foam,2026-03-01,A2
ben,foam,2026-03-02,B1
"""


def smr(*words: str) -> Any:
    done = CliRunner().invoke(app, [*words])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ana bought twice, Ben once, Cleo only said that her skin stings; two runs a month apart."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "segments.yaml").write_text(SEGMENTS, encoding="utf-8")
    (tmp_path / "config.yaml").write_text("shop: {name: 小店}\n", encoding="utf-8")
    (tmp_path / "bought.csv").write_text(BOUGHT, encoding="utf-8")
    chat = "customer_id,happened_at,kind,content,interaction_id\ncleo,2026-03-01,chat,有点刺痛,m1\n"
    (tmp_path / "chat.csv").write_text(chat, encoding="utf-8")
    smr("import", "purchases", "bought.csv", "--now", "2026-03-03T08:00")
    smr("import", "interactions", "chat.csv", "--now", "2026-03-03T08:00")
    smr("run", "--now", "2026-03-03T09:00")
    smr("run", "--now", "2026-04-01T09:00")
    return tmp_path


def test_sizes_of_segments_stages_and_tags(shop: Path) -> None:
    told = json.loads(smr("segments", "list", "--json", "--now", "2026-04-01T10:00"))
    assert [(one["kind"], one["name"], one["customers"]) for one in told] == [
        ("segment", "fresh", 0),
        ("segment", "steady", 1),
        ("stage", "买过", 2),
        ("stage", "没买过", 1),
        ("tag", "两单", 1),
        ("tag", "敏感肌", 1),
    ]
    assert "刚买过" in smr("segments", "list")


def test_a_segment_is_charted_day_by_day(shop: Path) -> None:
    told = smr("segments", "moves", "fresh", "--days", "31", "--now", "2026-04-01T10:00")
    assert told.splitlines()[0].startswith("fresh: 0 → 0 customers")
    days = json.loads(
        smr("segments", "moves", "fresh", "--days", "31", "--now", "2026-04-01T10:00", "--json")
    )
    moved = [
        (one["day"], one["came"], one["went"], one["size"]) for one in days if one["came"] or one["went"]
    ]
    assert moved == [("2026-03-03", 2, 0, 2), ("2026-04-01", 0, 2, 0)]


def test_overlap_counts_customers_in_both(shop: Path) -> None:
    smr("run", "--now", "2026-03-10T09:00")  # the clock set back: they are fresh again
    (told,) = json.loads(smr("segments", "overlap", "--json"))
    assert (told["one"], told["other"], told["both"], told["of_one"], told["of_other"]) == (
        "fresh", "steady", 1, 0.5, 1.0,
    )  # fmt: skip


def test_why_ana_is_where_she_is(shop: Path) -> None:
    told = smr("segments", "why", "ana", "--now", "2026-04-01T10:00")
    assert told == (
        "✗ segment fresh\n"
        "    ✗ {last_purchase: {less_than: 30d}}  (2026-03-01)\n"
        "✓ segment steady since 2026-03-03\n"
        "    ✓ {orders: {at_least: 2}}  (2)\n"
        "✓ stage life: 买过 since 2026-03-03\n"
        "    ✓ {orders: {at_least: 1}}  (2)\n"
        "✓ tag 两单 since 2026-03-03  (rule: 买过两单)\n"
    )
    assert "✓ tag 敏感肌 since 2026-03-01 until 2026-08-28  (chat: 皮肤问题: 刺痛 (m1))" in smr(
        "segments", "why", "cleo", "--now", "2026-04-01T10:00"
    )


def test_an_edit_is_tried_and_nothing_is_kept(shop: Path) -> None:
    edited = shop / "edited.yaml"
    edited.write_text(
        SEGMENTS.replace("30d", "31d").replace("at_least: 2}}}", "at_least: 1}}}"), encoding="utf-8"
    )
    told = smr("segments", "try", "edited.yaml", "--now", "2026-04-01T12:00")
    assert told == ("segment fresh: 0 → 1\n    +1  ben\nsegment steady: 1 → 2\n    +1  ben\n3 unchanged\n")
    assert "try" not in (shop / "playbooks" / "segments.yaml").read_text(encoding="utf-8")
    again = json.loads(smr("segments", "list", "--json", "--now", "2026-04-01T13:00"))
    assert [one["customers"] for one in again] == [0, 1, 2, 1, 1, 1]


def test_a_faulty_edit_is_told_with_its_place(shop: Path) -> None:
    (shop / "edited.yaml").write_text("segments: {a: {where: {order: {}}}}\n", encoding="utf-8")
    done = CliRunner().invoke(app, ["segments", "try", "edited.yaml"])
    assert "edited.yaml:1:23" in str(done.exception)


def test_a_segment_there_is_not_is_asked_back(shop: Path) -> None:
    done = CliRunner().invoke(app, ["segments", "moves", "frehs"])
    assert "did you mean 'fresh'" in str(done.exception)


def test_a_stage_that_two_ladders_have_is_charted_by_its_ladder(shop: Path) -> None:
    loyal = SEGMENTS.replace(
        "tags:", "  loyal: [{stage: 买过, where: {orders: {at_least: 2}}}, {stage: 新客}]\ntags:"
    )
    (shop / "playbooks" / "segments.yaml").write_text(loyal, encoding="utf-8")
    smr("run", "--now", "2026-04-02T09:00")
    done = CliRunner().invoke(app, ["segments", "moves", "买过"])
    assert "several ladders have a stage '买过'; name one of life/买过, loyal/买过" in str(done.exception)
    sizes = {
        name: json.loads(smr("segments", "moves", name, "--days", "1", "--now", "2026-04-02T10:00", "--json"))
        for name in ("life/买过", "loyal/买过", "没买过")
    }
    assert {name: day["size"] for name, (day,) in sizes.items()} == {
        "life/买过": 2,
        "loyal/买过": 1,
        "没买过": 1,
    }
