"""Whoever asks for a person becomes a case that somebody closes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smr.cli.app import app

CHAT = """customer_id,happened_at,kind,channel,content,interaction_id
ana,2026-03-02T09:28,chat,wecom,在吗,m0
ana,2026-03-02T09:29,answer,wecom,在的亲,m1
ana,2026-03-02T09:30,chat,wecom,我要投诉,m2
ben,2026-03-02T09:31,chat,wecom,转人工,m3
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("shop: {name: 小店}\n", encoding="utf-8")
    (tmp_path / "staff.csv").write_text("customer_id,staff_id\nana,lin\n", encoding="utf-8")
    (tmp_path / "chat.csv").write_text(CHAT, encoding="utf-8")
    runner = CliRunner()
    for kind, file in (("customers", "staff.csv"), ("interactions", "chat.csv")):
        done = runner.invoke(app, ["import", kind, file, "--now", "2026-03-02T10:00"])
        assert done.exit_code == 0, done.output
    return runner


def test_a_case_shows_the_conversation_of_both_sides_and_is_closed(shop: CliRunner) -> None:
    told = shop.invoke(app, ["handovers", "list", "--staff", "lin", "--now", "2026-03-02T10:00"])
    assert told.stdout == (
        "ana/chat/m2  2026-03-02 09:30  投诉: 投诉 → lin\n"
        "    03-02 09:28 ana: 在吗\n"
        "    03-02 09:29 staff: 在的亲\n"
        "    03-02 09:30 ana: 我要投诉\n"
    )
    assert shop.invoke(app, ["handovers", "close", "ana/chat/m2", "--now", "2026-03-02T10:05"]).exit_code == 0
    left = json.loads(shop.invoke(app, ["handovers", "list", "--json", "--now", "2026-03-02T10:10"]).stdout)
    assert [case["key"] for case in left] == ["ben/chat/m3"]
    again = shop.invoke(app, ["handovers", "close", "ana/chat/m2"])
    assert again.exception is not None and "no open case" in str(again.exception)


def test_a_faulty_file_of_topics_stops_the_import_of_chat_and_of_nothing_else(
    shop: CliRunner, tmp_path: Path
) -> None:
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "segments.yaml").write_text("topics: {礼盒: {tag: 送礼}}\n", encoding="utf-8")
    refused = shop.invoke(app, ["import", "interactions", "chat.csv"])
    assert "topic_without_words" in str(refused.exception)
    assert shop.invoke(app, ["import", "customers", "staff.csv"]).exit_code == 0


SERUM = """name: serum
status: live
trigger: {runs_out: {category: 精华}}
hand_over: {price_from: 500}
steps: [{name: heads_up, send: 5d before due, message: 快用完了}]
"""
CONFIG = "shop: {name: 小店}\nchannels: {wecom: {consent: opt_out, address: customer_id}}\n"
BOUGHT = "customer_id,product_id,purchased_at,order_id\nben,S1,2026-01-25,A-1\n"


def test_a_case_of_a_playbook_tells_why_and_what_it_is_about(shop: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "playbooks").mkdir()
    catalog = "cycles: {categories: {精华: {lasts: 40d, learn: false}}}\n"
    for name, text in (("catalog.yaml", catalog), ("serum.yaml", SERUM)):
        (tmp_path / "playbooks" / name).write_text(text, encoding="utf-8")
    told = "product_id,name,category,price\nS1,鱼子精华,精华,1280\n"
    for kind, text in (("products", told), ("purchases", BOUGHT)):
        (tmp_path / f"{kind}.csv").write_text(text, encoding="utf-8")
        done = shop.invoke(app, ["import", kind, f"{kind}.csv", "--now", "2026-03-02T10:00"])
        assert done.exit_code == 0, done.output
    ran = shop.invoke(app, ["run", "--now", "2026-03-02T10:00", "--json"])
    assert json.loads(ran.stdout)["blocked"] == {"handed_over": 1}

    listed = shop.invoke(app, ["handovers", "list", "--now", "2026-03-02T10:00"]).stdout.splitlines()
    first = next(number for number, line in enumerate(listed) if line.startswith("ben/playbook"))
    assert listed[first:] == [
        "ben/playbook/serum/A-1/精华  2026-03-02 10:00  price_from: 500",
        "    serum, step heads_up; ben, orders 1",
        "    鱼子精华 × 1 bought 2026-01-25, runs out 2026-03-06, now ¥1,280.00",
        "    03-02 09:31 ben: 转人工",
    ]
