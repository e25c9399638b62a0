"""Each file in tests/bad_playbooks holds one fault; the text beside it is what `smr check` says of it.

`segments.*`, `catalog.*` and `config.*` stand in for the file of that name; any other file is a playbook. All
are checked in the same small shop.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smr.cli.app import app

CASES = Path(__file__).parents[1] / "bad_playbooks"
NAMES = sorted(path.stem for path in CASES.glob("*.yaml"))

SEGMENTS = """
segments:
  loyal: {where: {orders: {at_least: 3}}}
ladders:
  lifecycle:
    - {stage: 成长期, where: {orders: {at_least: 1}}}
    - {stage: 新客}
"""
CATALOG = "cycles: {categories: {洁面: {lasts: 45d}}, default: {lasts: 30d}}\n"
OTHER = """
name: other
status: live
trigger: {purchase: {}}
steps:
  - {name: thanks, send: on purchase, message: 谢谢}
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """A small shop with one of the cases in it; calling it gives what `smr check` says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMR_EMPTY", "")
    monkeypatch.setenv("SMR_SECRET", "hunter2")
    folder = tmp_path / "playbooks"
    (folder / "texts").mkdir(parents=True)
    (folder / "offer.txt").write_text("再来一支", encoding="utf-8")
    (folder / "segments.yaml").write_text(SEGMENTS, encoding="utf-8")
    (folder / "catalog.yaml").write_text(CATALOG, encoding="utf-8")
    (folder / "another.yaml").write_text(OTHER, encoding="utf-8")

    def put(case: str) -> str:
        kind = case.split(".")[0]
        target = tmp_path / "config.yaml" if kind == "config" else folder / f"{kind}.yaml"
        target.write_bytes((CASES / f"{case}.yaml").read_bytes())
        return str(CliRunner().invoke(app, ["check"]).stdout)

    return put


@pytest.mark.parametrize("case", NAMES)
def test_a_bad_file_is_told_with_its_place_and_what_to_do(shop: Callable[[str], str], case: str) -> None:
    said = shop(case)
    assert said == (CASES / f"{case}.txt").read_text(encoding="utf-8")
    assert "hunter2" not in said


def test_there_are_many_cases() -> None:
    assert len(NAMES) >= 60
    assert {path.stem for path in CASES.glob("*.txt")} == set(NAMES)


def test_a_shop_with_none_of_these_has_no_faults(shop: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "playbooks" / "offer.txt").write_text("再来两支", encoding="utf-8")
    said = str(CliRunner().invoke(app, ["check"]).stdout)
    assert said == "1 playbook, 1 segment, 1 template, 0 errors, 0 warnings, caps 1 per 1d, 8 per 30d\n"
