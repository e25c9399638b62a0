"""Processes that share a run: killed anywhere, the others do their part, and each message is made once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from smr import pipeline
from smr.cli.processes import others, place_of
from smr.database import open_database
from smr.errors import OperatorError
from smr.playbook import load_library
from smr.report import RunReport
from smr.settings import load_settings
from smr.sharing import Place
from smr.tables import runs
from tests.acceptance.test_runs import NOW, open_shop, outbox, run, shop, start, undisturbed

__all__ = ["shop", "undisturbed"]

POINTS = [
    "in_supplies:1",
    "in_segments:1",
    "in_judging:1",
    "in_judging:2",
    "after_judging:1",
    "after_settling:1",
    "outbox_put_row:1",
    "outbox_before_mark:1",
    "outbox_after_commit:1",
    "before_finish:1",
]
AT = datetime(2026, 11, 23, 1, tzinfo=UTC)


def share(folder: Path, url: str, *arguments: str, crash: str = "") -> subprocess.Popen[str]:
    """`smr run` in a process of its own, with those arguments."""
    environ = {**os.environ, "SMR_DATABASE_URL": url}
    if crash:
        environ["SMR_TEST_CRASH"] = crash
    config = str(folder / "config.yaml")
    command = [sys.executable, "-m", "smr", "run", "--config", config, "--now", NOW, *arguments]
    return subprocess.Popen(
        command,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


def end_group(pid: int) -> None:
    """Kill what a process has started, and wait until all of it is gone."""
    with suppress(ProcessLookupError):
        while True:
            os.killpg(pid, signal.SIGKILL)
            time.sleep(0.02)


def ran(url: str) -> list[str]:
    """The states of all runs."""
    opened = open_database(url)
    with opened.read() as connection:
        states = list(connection.execute(sa.select(runs.c.state)).scalars())
    opened.close()
    return states


@pytest.mark.parametrize("point", POINTS)
def test_what_a_killed_process_had_in_hand_is_done_by_the_other(
    shop: Path,
    database_url: str,
    undisturbed: list[tuple[Any, ...]],
    point: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """This process begins the run, lets another one join and die, and then goes on."""
    monkeypatch.setenv("SMR_DATABASE_URL", database_url)
    monkeypatch.chdir(shop)
    settings = load_settings(shop / "config.yaml")
    died: list[int] = []

    def let_it_die(*_: Any) -> None:
        if not died:
            process = share(shop, database_url, "--slice", "2/2", crash=point)
            process.communicate(timeout=120)
            died.append(process.returncode)

    opened = open_database(database_url)
    report = pipeline.share(
        opened,
        load_library(settings.playbooks, settings),
        settings,
        now=AT,
        place=Place(1, 2),
        progress=let_it_die,
    )
    opened.close()
    assert died == [-signal.SIGKILL]
    assert isinstance(report, RunReport)
    assert report.accepted == len(undisturbed)
    assert outbox(database_url) == undisturbed
    assert ran(database_url) == ["done"]


def test_a_run_of_which_all_processes_were_killed_is_made_anew(
    shop: Path, database_url: str, undisturbed: list[tuple[Any, ...]]
) -> None:
    process = share(shop, database_url, "--slices", "2", crash="in_judging:1")
    process.communicate(timeout=120)
    end_group(process.pid)
    run(shop, database_url)
    assert outbox(database_url) == undisturbed


def test_slices_start_the_other_processes_and_give_one_report(
    shop: Path, database_url: str, undisturbed: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    process = share(shop, database_url, "--slices", "3")
    printed, talk = process.communicate(timeout=120)
    assert process.returncode == 0, talk
    assert "warning" not in talk
    url = f"sqlite:///{tmp_path}/alone.db"
    assert printed == run(open_shop(tmp_path / "alone", url), url)
    assert outbox(database_url) == undisturbed
    assert ran(database_url) == ["done"]


def test_jobs_started_together_share_one_run(
    shop: Path, database_url: str, undisturbed: list[tuple[Any, ...]]
) -> None:
    together = [share(shop, database_url, "--slot", "morning", "--slice", f"{n}/3") for n in (1, 2, 3)]
    for process in together:
        _, talk = process.communicate(timeout=240)
        assert process.returncode == 0, talk
    assert outbox(database_url) == undisturbed
    assert ran(database_url) == ["done"]


def test_shared_and_single_runs_started_together_make_the_same_messages(
    shop: Path, database_url: str, undisturbed: list[tuple[Any, ...]]
) -> None:
    shared, single = share(shop, database_url, "--slices", "2"), start(shop, database_url)
    single.finished()
    _, talk = shared.communicate(timeout=240)
    assert shared.returncode == 0, talk
    assert outbox(database_url) == undisturbed


def test_a_further_process_that_cannot_run_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    with others() as started:
        started.start(["--config", "nowhere.yaml"], 2)
    started.end(expected=0)
    assert "a further process ended early (exit code 2)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("slices", "part", "place"),
    [(None, None, None), (1, None, None), (4, None, Place(1, 4)), (None, "2/3", Place(2, 3))],
)
def test_which_process_one_is(slices: int | None, part: str | None, place: Place | None) -> None:
    assert place_of(slices, part) == place


@pytest.mark.parametrize(
    ("slices", "part"), [(2, "1/2"), (0, None), (65, None), (None, "0/2"), (None, "3/2"), (None, "2")]
)
def test_a_place_that_is_none_is_refused(slices: int | None, part: str | None) -> None:
    with pytest.raises(OperatorError, match="--slice"):
        place_of(slices, part)
