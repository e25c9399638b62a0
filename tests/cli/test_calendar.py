"""`smr calendar` shows what comes, with what the shop imported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smr.cli.app import app


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("shop: {language: zh}\n", encoding="utf-8")
    (tmp_path / "days.csv").write_text("day,kind,name\n2026-10-18,节日,店庆\n", encoding="utf-8")
    runner = CliRunner()
    assert runner.invoke(app, ["import", "calendar", "days.csv"]).exit_code == 0
    return runner


def test_the_days_ahead_are_told_with_their_lunar_dates(shop: CliRunner) -> None:
    told = shop.invoke(app, ["calendar", "--now", "2026-09-20", "--days", "30"])
    assert told.exit_code == 0
    lines = [line.split() for line in told.stdout.splitlines()]
    assert lines[0] == ["2026-09-20", "日", "八月初十", "班", "国庆"]
    assert ["2026-09-25", "五", "八月十五", "休", "中秋", "中秋"] in lines
    assert ["2026-10-18", "日", "九月初九", "店庆", "重阳"] in lines


def test_it_says_from_when_on_the_holidays_are_not_arranged(shop: CliRunner) -> None:
    told = shop.invoke(app, ["calendar", "--now", "2026-12-20", "--days", "60", "--json"])
    assert "法定节假日" not in told.stdout
    spring = [day for day in json.loads(told.stdout) if day["day"] == "2027-02-06"]
    assert [(day["lunar"], day["kind"], day["festivals"]) for day in spring] == [
        ("正月初一", "holiday", ["春节"])
    ]
    told = shop.invoke(app, ["calendar", "--now", "2026-12-20", "--days", "60"])
    assert "之后只知道法定节假日" in told.output
    told = shop.invoke(app, ["calendar", "--now", "2026-11-20", "--days", "30"])
    assert "法定节假日" not in told.output
