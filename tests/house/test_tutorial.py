"""The tutorials, followed to the letter: the files they name are written, their commands are run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smr.cli.app import app
from smr.scenarios.model import ScenarioFile
from smr.strict_yaml import read_yaml

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"(.*?)^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`([\w/-]+\.(?:yaml|csv))`")


def follow(page: Path) -> list[str]:
    """Do in this folder what the page says; returns what each `smr` command printed."""
    printed = []
    for before, kind, body in BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind or body.startswith("customer_id"):
            file = Path(FILE.findall(before)[-1])
            file.parent.mkdir(exist_ok=True)
            file.write_text(body, encoding="utf-8")
            continue
        for line in body.splitlines():
            if line.startswith("smr "):
                found = CliRunner().invoke(app, shlex.split(line)[1:], catch_exceptions=False)
                assert found.exit_code == 0, f"{line}: {found.output}"
                printed.append(found.stdout)
    return printed


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("first-reminder.md", "Hello Ana, your coffee lasts until about 2026-03-25. A new bag?"),
        ("first-reminder.zh-CN.md", "小林，您的咖啡豆大约喝到3月25日，要给您留一包吗？"),
    ],
)
def test_who_follows_the_tutorial_has_the_reminder_it_speaks_of(
    page: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    *_, planned, run, _ = follow(DOCS / "tutorial" / page)
    assert text in planned
    assert "accepted 1 " in run
    (written,) = (tmp_path / "outbox" / "wecom").glob("*.txt")
    assert written.read_text(encoding="utf-8").count(text) == 1


def test_the_scenario_of_the_documentation_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DOCS / "how-to" / "test-a-playbook.md").read_text(encoding="utf-8")
    block = text.split("```yaml scenarios\n")[1].split("```")[0]
    ScenarioFile.model_validate(read_yaml(block, "test-a-playbook.md").data)
    file = tmp_path / "said.scenarios.yaml"
    file.write_text(block, encoding="utf-8")
    monkeypatch.setenv("SMR_PLAYBOOKS", str(DOCS.parent / "playbooks"))
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(app, ["test", str(file)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
