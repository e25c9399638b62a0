"""`smr test`: which scenarios it runs, what it prints, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from smr.cli.app import main
from tests.scenarios.shop import ScenarioShop

PASSES = "- {at: 2026-02-10 10:00, messages: [{customer: lin, step: heads_up}]}"
FAILS = "- {at: 2026-02-10 10:00, messages: [{customer: lin, step: heads_up, text: 好}]}"


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


Smr = Callable[..., Done]


@pytest.fixture
def smr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Smr:
    """`smr test` in a shop's folder."""
    (tmp_path / "config.yaml").write_text("playbooks: playbooks\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["smr", "test", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return call


def shop_in(tmp_path: Path) -> ScenarioShop:
    folder = tmp_path / "playbooks"
    folder.mkdir()
    return ScenarioShop(folder)


def test_a_passing_scenario_is_ticked(tmp_path: Path, smr: Smr) -> None:
    shop_in(tmp_path).story(PASSES)
    done = smr()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "✓ playbooks/refill.scenarios.yaml:2 一个故事\n1 passed, 0 failed\n"


def test_a_failing_scenario_shows_place_expectation_truth_and_diff(tmp_path: Path, smr: Smr) -> None:
    shop_in(tmp_path).story(FAILS)
    done = smr()
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "✗ playbooks/refill.scenarios.yaml:2 一个故事",
        "  playbooks/refill.scenarios.yaml:13:43 at 2026-02-10 10:00",
        "    expected another text of heads_up to lin",
        "    instead: it was sent with this one",
        "      - 好",
        "      + 小林,洁面乳快用完了。",
        "      + 要给您留一支吗?",
        "0 passed, 1 failed",
    ]


def test_json_says_the_same(tmp_path: Path, smr: Smr) -> None:
    shop_in(tmp_path).story(FAILS)
    done = smr("--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "passed": 0,
        "failed": 1,
        "scenarios": [
            {
                "file": "playbooks/refill.scenarios.yaml",
                "line": 2,
                "name": "一个故事",
                "passed": False,
                "failures": [
                    {
                        "file": "playbooks/refill.scenarios.yaml",
                        "line": 13,
                        "column": 43,
                        "path": "scenarios[1] → expect[1] → messages[1]",
                        "at": "2026-02-10 10:00",
                        "code": "text",
                        "expected": "another text of heads_up to lin",
                        "instead": ["it was sent with this one"],
                        "diff": ["- 好", "+ 小林,洁面乳快用完了。", "+ 要给您留一支吗?"],
                    }
                ],
            }
        ],
    }


def test_a_fault_in_a_file_ends_with_2_and_runs_nothing(tmp_path: Path, smr: Smr) -> None:
    shop = shop_in(tmp_path)
    shop.story(PASSES)
    shop.scenarios("scenarios: []", "empty.scenarios.yaml")
    done = smr()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: playbooks/empty.scenarios.yaml:1:12 → scenarios → needs at least 1  [range]\n"
    )


def test_named_files_are_run_alone(tmp_path: Path, smr: Smr) -> None:
    shop = shop_in(tmp_path)
    shop.story(FAILS)
    other = shop.story(PASSES).rename(tmp_path / "elsewhere.yaml")
    done = smr(other.name)
    assert done.stdout == "✓ elsewhere.yaml:2 一个故事\n1 passed, 0 failed\n"


def test_scenarios_about_a_playbook_are_those_beside_it_and_those_that_name_it(
    tmp_path: Path, smr: Smr
) -> None:
    shop = shop_in(tmp_path)
    shop.story(PASSES)
    nothing = "- {at: 2026-02-10 10:00, messages: []}"
    shop.story(nothing, more="playbooks: [tuesday, welcome]").rename(shop.folder / "a.scenarios.yaml")
    shop.story("- {at: 2026-02-09 10:00, messages: []}").rename(shop.folder / "b.scenarios.yaml")
    shop.story(PASSES)
    beside = smr("--playbook", "refill")
    assert beside.stdout == "✓ playbooks/refill.scenarios.yaml:2 一个故事\n1 passed, 0 failed\n"
    naming = smr("-p", "welcome")
    assert naming.stdout == "✓ playbooks/a.scenarios.yaml:2 一个故事\n1 passed, 0 failed\n"
    unknown = smr("-p", "refil")
    assert unknown.returncode == 2
    assert unknown.stderr == "error: --playbook: there is no playbook 'refil'; did you mean 'refill'?\n"


def test_a_folder_without_scenarios_is_told_how_to_begin(tmp_path: Path, smr: Smr) -> None:
    shop_in(tmp_path)
    done = smr()
    assert (done.returncode, done.stdout) == (0, "0 passed, 0 failed\n")
    assert done.stderr == "There are no scenarios. Write one beside a playbook: NAME.scenarios.yaml\n"


def test_the_shop_s_own_database_is_not_made(tmp_path: Path, smr: Smr) -> None:
    shop_in(tmp_path).story(PASSES)
    smr()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "playbooks"]


def test_it_is_a_command_of_its_own_process_too(tmp_path: Path) -> None:
    shop_in(tmp_path).story(FAILS)
    command = [sys.executable, "-c", "from smr.cli.app import main; main()", "test"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "0 passed, 1 failed")
