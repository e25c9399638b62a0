"""Changed files are taken up while the daemon works; broken ones change nothing and are shown."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from functools import partial

import sqlalchemy as sa

from smr.tables import incidents
from tests.daemon.conftest import MakeShop
from tests.daemon.shop import PLAYBOOK, ROOT, Running, Shop, running, until

BROKEN = PLAYBOOK.replace("send: on due", "sned: on due")


def status(shop: Shop) -> dict[str, object]:
    """What `smr status --json` tells."""
    command = [sys.executable, "-m", "smr", "status", "--json", "-c", str(shop.config)]
    environ = {"SMR_DATABASE_URL": shop.url, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


def loaded(daemon: Running, times: int) -> bool:
    """Whether files were taken up more often than that."""
    return len(daemon.log("configuration.loaded")) > times


def open_kinds(shop: Shop) -> list[str]:
    with shop.database.read() as connection:
        going_on = sa.select(incidents.c.kind).where(incidents.c.closed_at.is_(None))
        return sorted(connection.execute(going_on).scalars())


def test_a_broken_playbook_leaves_the_last_good_one_at_work(make_shop: MakeShop) -> None:
    shop = make_shop(daemon="run: '* * * * *'")
    with running(shop) as daemon:
        until(lambda: daemon.said("daemon.started"), "started")
        shop.playbook.write_text(BROKEN)
        until(lambda: daemon.said("configuration.refused"), "the fault in the log")
        places = daemon.log("configuration.refused")[0]["places"]
        assert any("cats.yaml:7 unknown_key" in place for place in places)
        until(lambda: open_kinds(shop) == ["configuration"], "an incident")
        ready, health = shop.ask("/health/ready")
        assert ready == 200
        assert any("unknown key 'sned'" in fault for fault in json.loads(health)["configuration"])
        told = status(shop)
        assert told["well"] is False
        assert "sned" in str(told["faults"])
        until(lambda: shop.states()["sent"] == 40, "messages by the last good version")
        shop.playbook.write_text(PLAYBOOK + "# mended\n")
        until(lambda: daemon.said("configuration.loaded"), "the mended file")
        until(lambda: not open_kinds(shop), "the incident over")
        assert json.loads(shop.ask("/health/ready")[1])["configuration"] == "ok"
        assert daemon.stop() == 0
    assert set(shop.received().values()) == {1}


def test_a_reload_in_the_middle_of_a_delivery_loses_no_claim(make_shop: MakeShop) -> None:
    shop = make_shop(daemon="run: '0 * * * *'", people=60)
    shop.missed("run")
    with running(shop, slow=0.05) as daemon:
        until(lambda: sum(shop.received().values()) > 5, "in the middle")
        for number in range(5):
            shop.playbook.write_text(f"{PLAYBOOK}\npriority: {60 + number}\n")
            daemon.signal(signal.SIGHUP)
            until(partial(loaded, daemon, number), "taken up")
        until(lambda: shop.states()["sent"] == 60, "all sent")
        assert daemon.stop() == 0
    assert set(shop.received().values()) == {1}


def test_a_paused_playbook_stops_what_waits(make_shop: MakeShop) -> None:
    shop = make_shop(daemon="run: '* * * * *', deliver: off")
    shop.missed("run")
    with running(shop) as daemon:
        until(lambda: shop.states()["queued"] == 40, "queued")
        shop.playbook.write_text(PLAYBOOK.replace("status: live", "status: paused"))
        daemon.signal(signal.SIGHUP)
        until(lambda: shop.states()["cancelled"] == 40, "cancelled by the next run")
        assert daemon.stop() == 0


def test_a_broken_configuration_keeps_the_old_one_and_a_schedule_may_change(make_shop: MakeShop) -> None:
    shop = make_shop(daemon="run: off")
    shop.missed("run")
    good = shop.config.read_text()
    with running(shop) as daemon:
        until(lambda: daemon.said("daemon.started"), "started")
        shop.config.write_text(good.replace("run: off", "run: '61 * * * *'"))
        until(lambda: daemon.said("configuration.refused"), "refused")
        shop.config.write_text(good.replace("run: off", "run: '* * * * *'"))
        until(lambda: daemon.said("run.finished"), "the new schedule at work")
        other = good.replace(str(shop.port), "1").replace("run: off", "run: '* * * * *'")
        shop.config.write_text(other)
        until(lambda: daemon.said("configuration.needs_restart", settings=["daemon.listen"]), "told")
        assert shop.ask("/health/live")[0] == 200
        assert daemon.stop() == 0


def test_a_daemon_does_not_start_with_broken_files(make_shop: MakeShop) -> None:
    shop = make_shop()
    shop.playbook.write_text(BROKEN)
    with running(shop) as daemon:
        assert daemon.wait() == 2
    assert "unknown key 'sned'" in daemon.said_all
