"""`smr policy` in the demo's shop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smr.cli.app import app

EVER = ("--from", "2000-01-01", "--to", "2035-12-31")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a shop in which the demo was run once."""
    folder = tmp_path_factory.mktemp("once") / "demo"
    found = CliRunner().invoke(app, ["demo", "--folder", str(folder), "--json"], catch_exceptions=False)
    assert found.exit_code == 0
    return folder / "config.yaml"


def policy(config: Path, *words: str) -> tuple[int, str]:
    """What the command says, and its exit code."""
    told = CliRunner().invoke(app, ["policy", "--config", str(config), *words])
    return told.exit_code, told.output


def test_how_the_policy_acted_is_told_as_tables_and_as_a_document(config: Path) -> None:
    code, told = policy(config, *EVER)
    assert code == 0
    for word in ("superseded", "complaint_open", "all personal channels", "made way"):
        assert word in told
    code, told = policy(config, *EVER, "--json")
    document = json.loads(told)
    people = document["contacts"]["personal"]["customers"]
    assert code == 0
    assert people["1"] > 0
    assert sum(people.values()) == document["customers"] == 2153
    assert sum(one["candidates"] for one in document["superseded"]) > 0


def test_a_time_in_which_nothing_happened_is_told_as_such(config: Path) -> None:
    code, told = policy(config, "--from", "2001-01-01", "--to", "2001-01-02")
    assert code == 0
    for line in ("No rule of the contact policy held anything back.", "Nobody was written to."):
        assert line in told


def test_a_period_that_ends_before_it_begins_is_a_slip(config: Path) -> None:
    told = CliRunner().invoke(
        app, ["policy", "--config", str(config), "--from", "2026-11-02", "--to", "2026-11-01"]
    )
    assert told.exit_code == 1
    assert "write the earlier day first" in str(told.exception)
