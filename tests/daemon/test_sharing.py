"""Daemons on one PostgreSQL make a run together: whoever begins it, and whoever falls out."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from smr import clock, pipeline
from smr.playbook import load_library
from smr.report import RunReport
from smr.settings import load_settings
from smr.sharing import Place
from smr.tables import firings, run_slices, runs
from tests.daemon.conftest import MakeShop
from tests.daemon.shop import Shop, running, until

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
NEVER = "run: '0 0 1 1 *'"


class Cron:
    """`smr run --slice 1/2 --slot cron`, begun by this process, which waits until it may go on."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._go_on = threading.Event()
        self.report: Any = None
        self._thread = threading.Thread(target=self._share)

    def __enter__(self) -> Cron:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end()

    def end(self) -> None:
        """Go on, and wait for the end."""
        self._go_on.set()
        self._thread.join()

    def _share(self) -> None:
        settings = load_settings(self._shop.config)
        library = load_library(settings.playbooks, settings)
        asked: dict[str, Any] = {"now": clock.now(), "place": Place(1, 2), "slot": "cron"}
        self.report = pipeline.share(self._shop.database, library, settings, progress=self._wait, **asked)

    def _wait(self, _done: int, _total: int | None, _what: str | None) -> None:
        self._go_on.wait()


def begun(shop: Shop) -> Callable[[], bool]:
    """Whether a run has begun."""

    def asked() -> bool:
        with shop.database.read() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(runs)).scalar_one() > 0

    return asked


def workers(shop: Shop) -> set[str]:
    """Who did the slices of the last run."""
    with shop.database.read() as connection:
        return set(connection.execute(sa.select(run_slices.c.owner)).scalars())


def long_ago(shop: Shop) -> bool:
    """Have the last slot of the run be one of yesterday: the next daemon to start does what was missed."""
    yesterday = {"slot_at": clock.now() - timedelta(days=1)}
    earlier = sa.update(firings).where(firings.c.duty == "run").values(yesterday)
    with shop.database.write() as connection:
        return connection.execute(earlier).rowcount > 0


def test_a_daemon_joins_a_run_that_cron_has_begun_and_does_what_is_left(
    make_shop: MakeShop, tmp_path: Path
) -> None:
    shop = make_shop(daemon=f"{NEVER}, deliver: off")
    with Cron(shop) as cron:
        until(begun(shop), "cron's run")
        shop.folder = Path(shutil.copytree(shop.folder, tmp_path / "another machine's"))
        shop.config = shop.folder / "config.yaml"
        with running(shop, number=2) as daemon:  # that listens elsewhere, too
            until(lambda: daemon.said("run.shared", slot="cron"), "the daemon's share")
            assert not daemon.said("run.finished")
            assert daemon.stop() == 0
        cron.end()
        assert isinstance(cron.report, RunReport) or cron.report.done
    assert shop.states()["queued"] == 40
    assert shop.fired("run") == []


def test_what_a_joined_run_has_queued_is_sent_at_once(make_shop: MakeShop) -> None:
    shop = make_shop(daemon=f"{NEVER}, deliver: '0 0 1 1 *'")
    with Cron(shop):
        until(begun(shop), "cron's run")
        with running(shop):
            until(lambda: shop.states()["sent"] == 40, "the messages of cron's run")
    assert set(shop.received().values()) == {1}


def test_a_daemon_with_other_playbooks_leaves_a_shared_run_alone(make_shop: MakeShop) -> None:
    shop = make_shop(daemon=f"{NEVER}, deliver: off")
    with Cron(shop) as cron:
        until(begun(shop), "cron's run")
        time.sleep(0.5)  # cron has read its playbooks
        shop.playbook.write_text(shop.playbook.read_text() + "# another one\nnotes: changed\n")
        shop.playbook.write_text(shop.playbook.read_text().replace("notes: changed\n", "priority: 7\n"))
        with running(shop) as daemon:
            time.sleep(6)  # at its start, and at one beat
            assert not daemon.said("run.shared")
            assert not daemon.said("duty.failed")
            assert workers(shop) == {None}
            daemon.stop()
        cron.end()
    assert isinstance(cron.report, RunReport)
    assert cron.report.queued == 40


@pytest.mark.parametrize("point", ["in_supplies:1", "in_judging:1", "outbox_after_commit:1"])
def test_two_daemons_end_the_run_of_a_third_that_was_killed(make_shop: MakeShop, point: str) -> None:
    shop = make_shop(daemon="run: '0 * * * *'", people=200)
    with running(shop, number=2) as two, running(shop, number=3) as three:
        until(lambda: two.said("daemon.started") and three.said("daemon.started"), "two daemons")
        until(lambda: long_ago(shop), "the run is watched")
        with running(shop, crash=point, lease=2) as doomed:
            assert doomed.wait() == -signal.SIGKILL
            until(lambda: shop.states()["sent"] == 200, "all messages, by the others")
            until(lambda: shop.done("run"), "the run ended")
    with shop.database.read() as connection:
        found = connection.execute(sa.select(runs.c.state, runs.c.shared_by.is_not(None))).all()
    assert found == [("done", True)]
    assert set(shop.received().values()) == {1}
