"""`smr init`, `smr check` and `smr schema` as an operator meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from smr.cli.app import app
from smr.cli.init import NOW
from smr.errors import OperatorError
from smr.playbook import load_library
from smr.settings import load_settings


def smr(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_new_folder_is_without_a_fault(tmp_path: Path, language: str) -> None:
    made = smr("init", str(tmp_path / "shop"), "--lang", language)
    assert made.exit_code == 0
    checked = smr("check", "--config", str(tmp_path / "shop/config.yaml"))
    assert checked.exit_code == 0
    assert (
        checked.stdout
        == "1 playbook, 1 segment, 2 templates, 0 errors, 0 warnings, caps 1 per 1d, 8 per 30d\n"
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_new_folder_runs(tmp_path: Path, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    smr("init", str(tmp_path), "--lang", language)
    monkeypatch.chdir(tmp_path)
    assert smr("test").exit_code == 0
    for kind in ("customers", "products", "consents", "purchases"):
        assert smr("import", kind, f"data/{kind}.csv").exit_code == 0
    assert smr("run", "--now", NOW).exit_code == 0
    assert smr("deliver", "--now", NOW).exit_code == 0
    (written,) = tmp_path.glob("outbox/wecom/*.txt")
    assert ("小林" if language == "zh" else "Ana") in written.read_text(encoding="utf-8")


def test_a_new_folder_says_what_to_do_next(tmp_path: Path) -> None:
    made = smr("init", str(tmp_path / "new shop"))
    assert f"{tmp_path}/new shop/config.yaml" in made.stdout
    assert f"cd '{tmp_path}/new shop'" in made.stderr
    assert "smr import purchases data/purchases.csv" in made.stderr


def test_the_editor_finds_the_schema_of_every_file(tmp_path: Path) -> None:
    smr("init", str(tmp_path))
    for file in [tmp_path / "config.yaml", *(tmp_path / "playbooks").glob("*[a-z].yaml")]:
        first = file.read_text(encoding="utf-8").splitlines()[0]
        if not file.name.endswith(".scenarios.yaml"):
            assert first.startswith("# yaml-language-server: $schema=")
            assert (file.parent / first.partition("$schema=")[2]).is_file()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_sample_rows_name_what_the_playbooks_name(tmp_path: Path, language: str) -> None:
    smr("init", str(tmp_path), "--lang", language)
    settings = load_settings(tmp_path / "config.yaml", {})
    categories = load_library(settings.playbooks, settings).catalog.cycles.categories
    rows = (tmp_path / "data/purchases.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert {row.split(",")[3] for row in rows} == set(categories)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks/catalog.yaml").write_text("mine", encoding="utf-8")
    refused = smr("init", str(tmp_path))
    assert isinstance(refused.exception, OperatorError)
    assert "playbooks/catalog.yaml already" in str(refused.exception)
    assert (tmp_path / "playbooks/catalog.yaml").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "config.yaml").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    refused = smr("init", str(tmp_path / "file"))
    assert isinstance(refused.exception, OperatorError)


def test_faults_are_told_as_json(tmp_path: Path) -> None:
    smr("init", str(tmp_path))
    (tmp_path / "playbooks/b.yaml").write_text("name: b\nprority: 1\n", encoding="utf-8")
    checked = smr("check", "--json", "--config", str(tmp_path / "config.yaml"))
    assert checked.exit_code == 2
    told = json.loads(checked.stdout)
    assert [(fault["code"], fault["line"], fault["path"]) for fault in told["errors"]] == [
        ("missing_key", 1, ""),
        ("unknown_key", 2, "prority"),
    ]
    assert told["errors"][1]["fix"] == "did you mean 'priority'?"


def test_faults_of_templates_are_told_too(tmp_path: Path) -> None:
    smr("init", str(tmp_path), "--lang", "en")
    offer = tmp_path / "playbooks/cleanser/offer.txt"
    offer.write_text("Hello {{ custmer.name }}", encoding="utf-8")
    checked = smr("check", "--config", str(tmp_path / "config.yaml"))
    assert checked.exit_code == 2
    assert f"error: {offer}:1" in checked.stdout


def test_schemas_are_printed_and_written(tmp_path: Path) -> None:
    assert json.loads(smr("schema").stdout)["title"] == "smr playbook"
    assert json.loads(smr("schema", "catalog").stdout)["title"] == "smr catalog"
    smr("schema", "--out", str(tmp_path / "s"))
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == [
        "catalog.json",
        "config.json",
        "playbook.json",
        "segments.json",
    ]
    assert smr("schema", "playbok").exit_code == 2
