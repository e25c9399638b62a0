"""The database goes away under working daemons, and comes back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import start_postgres, stop_postgres
from tests.daemon.shop import Shop, running, until


class Server:
    """A PostgreSQL of its own, that a test may stop and start."""

    def __init__(self, server: Any, folder: str) -> None:
        self.url = str(server.get_uri())
        self._server = server
        self._folder = folder

    def stop(self, how: str) -> None:
        """Stop it, `fast` or `immediate` (as if its machine had lost power)."""
        self._control("-m", how, "stop")

    def start(self) -> None:
        """Start it at the same address."""
        place = f"-h '' -k {self._folder}"
        self._control("-o", place, "-l", str(Path(self._folder) / "again.log"), "start")

    def _control(self, *what: str) -> None:
        command = [self._server.bin_path / "pg_ctl", "-D", self._folder, "-w", *what]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, user=self._server.system_user, check=True, cwd="/", **quiet)

    def kill_a_backend(self) -> None:
        """SIGKILL to one server process: the server drops all connections and recovers."""
        admin = sa.create_engine(self.url.replace("postgresql://", "postgresql+psycopg://"))
        with admin.connect() as connection:
            of_smr = sa.text("SELECT pid FROM pg_stat_activity WHERE application_name = 'smr' LIMIT 1")
            pid = connection.execute(of_smr).scalar_one()
        admin.dispose()
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    folder = tempfile.mkdtemp(prefix="smr-pg-")
    started = start_postgres(Path(folder))
    yield Server(started, folder)
    stop_postgres(started, folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def shop(server: Server, tmp_path: Path) -> Iterator[Shop]:
    admin = sa.create_engine(
        server.url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    name = f"t_{time.time_ns():x}"
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    admin.dispose()
    url = sa.make_url(server.url).set(database=name).render_as_string(hide_password=False)
    made = Shop(
        tmp_path,
        url,
        people=120,
        daemon="run: '0 * * * *'",
        more="alerts: {to: [{channel: sms, to: '13900000000'}], database: 1s}",
    )
    yield made
    made.close()


def settled(shop: Shop) -> bool:
    try:
        states = shop.states()
        return states["sent"] + states["unknown"] == 120
    except Exception:
        return False


def nothing_lost_nothing_twice(shop: Shop) -> None:
    """Every message ended; whatever may have gone out twice or not at all shows as unknown."""
    states = shop.states()
    assert states["sent"] + states["unknown"] == 120
    assert states["unknown"] <= 20, "at most what was in flight in two daemons"
    assert set(shop.received().values()) == {1}
    assert sum(shop.received().values()) >= states["sent"]


def test_two_daemons_survive_a_restart_of_the_database_under_load(server: Server, shop: Shop) -> None:
    shop.missed("run")
    with running(shop, slow=0.1, lease=3) as one, running(shop, number=2, slow=0.1, lease=3) as two:
        until(lambda: sum(shop.received().values()) > 20, "under load")
        server.stop("immediate")
        until(lambda: one.said("database.lost") and two.said("database.lost"), "the outage seen")
        live, ready = shop.ask("/health/live"), shop.ask("/health/ready")
        assert (live[0], ready[0]) == (200, 503)
        assert "cannot be reached" in json.loads(ready[1])["database"]
        until(lambda: "[smr] The database cannot be reached" in shop.alerts(), "told without a database")
        server.start()
        until(lambda: one.said("database.back") and two.said("database.back"), "back")
        until(lambda: shop.ask("/health/ready")[0] == 200, "ready")
        until(lambda: settled(shop), "all settled")
        until(lambda: "[smr] The database cannot be reached: over" in shop.alerts(), "told that it is over")
        assert (one.stop(), two.stop()) == (0, 0)
    nothing_lost_nothing_twice(shop)


def test_a_killed_backend_drops_all_connections_and_nothing_is_lost(server: Server, shop: Shop) -> None:
    shop.missed("run")
    with running(shop, slow=0.05, lease=3) as daemon:
        until(lambda: sum(shop.received().values()) > 20, "under load")
        for _ in range(3):
            server.kill_a_backend()
            time.sleep(2)
        until(lambda: settled(shop), "all settled")
        assert daemon.stop() == 0
    nothing_lost_nothing_twice(shop)


def test_a_daemon_that_starts_before_its_database_waits_for_it(server: Server, shop: Shop) -> None:
    shop.missed("run")
    shop.database.close()
    server.stop("fast")
    with running(shop) as daemon:
        until(lambda: daemon.said("daemon.waiting"), "waiting")
        assert shop.ask("/health/live")[0] == 200
        assert shop.ask("/health/ready")[0] == 503
        server.start()
        until(lambda: daemon.said("daemon.started"), "started")
        until(lambda: settled(shop), "all sent")
        assert daemon.stop() == 0
    nothing_lost_nothing_twice(shop)
