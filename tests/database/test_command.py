"""`smr db` as an operator types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from smr.cli.app import app
from smr.database.migrate import HEAD
from smr.errors import OperatorError, StateError


@pytest.fixture
def smr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls smr in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMR_DATABASE_URL", "sqlite:///shop.db")
    return lambda *words: CliRunner().invoke(app, list(words))


def test_a_new_database_is_upgraded_checked_and_copied(smr: Any, tmp_path: Path) -> None:
    assert smr("db", "upgrade").stdout == f"schema version {HEAD} (empty → {HEAD})\n"
    assert smr("db", "upgrade").stdout == f"schema version {HEAD} (current already)\n"
    checked = smr("db", "check")
    assert checked.exit_code == 0
    assert checked.stdout.endswith(f"schema version {HEAD}: all is well\n")
    assert smr("db", "backup", "copy.db").exit_code == 0
    assert (tmp_path / "copy.db").exists()


def test_json_holds_the_same(smr: Any) -> None:
    assert json.loads(smr("db", "upgrade", "--json").stdout) == {
        "before": None,
        "after": HEAD,
        "backup": None,
    }
    health = json.loads(smr("db", "check", "--json").stdout)
    assert health["sound"] is True
    assert health["rows"]["customers"] == 0
    copied = json.loads(smr("db", "backup", "copy.db", "--json").stdout)
    assert copied["file"] == "copy.db"
    assert copied["bytes"] > 0


def test_a_database_without_tables_is_not_sound(smr: Any) -> None:
    checked = smr("db", "check")
    assert checked.exit_code == 1
    assert checked.stdout.endswith(f"schema version none; this smr needs {HEAD}. Run: smr db upgrade\n")


def test_refusals_are_expected_errors(smr: Any, tmp_path: Path) -> None:
    smr("db", "upgrade")
    assert isinstance(smr("db", "backup", "shop.db").exception, OperatorError)
    (tmp_path / "shop.db").write_text("no database at all " * 100)
    assert isinstance(smr("db", "upgrade").exception, StateError)
