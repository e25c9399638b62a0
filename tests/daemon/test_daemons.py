"""Real daemons, real signals: each slot fires once, a stop loses nothing, a kill is taken over."""

from __future__ import annotations

import signal
from collections import Counter

import pytest
import sqlalchemy as sa

from smr.tables import runs
from tests.daemon.conftest import MakeShop
from tests.daemon.shop import running, until

OFTEN = "run: '* * * * *'"


def test_three_daemons_at_once_do_each_missed_duty_once(make_shop: MakeShop) -> None:
    shop = make_shop(daemon="run: '0 * * * *', rescue: '0 * * * *'")
    shop.missed("run", "rescue", hours=24 * 7)
    with running(shop) as one, running(shop, number=2) as two, running(shop, number=3) as three:
        until(lambda: shop.states()["sent"] == 40, "all messages sent")
        until(lambda: shop.done("run") and shop.done("rescue"), "both done")
        assert [daemon.stop() for daemon in (one, two, three)] == [0, 0, 0]
    for duty in ("run", "rescue"):
        [firing] = shop.fired(duty)
        assert (firing.state, firing.attempts) == ("done", 1)
    started = Counter(
        (line["duty"], line["slot"]) for daemon in (one, two, three) for line in daemon.log("duty.started")
    )
    assert set(started.values()) == {1}
    with shop.database.read() as connection:
        assert len(connection.execute(sa.select(runs.c.slot)).all()) == 1
    assert set(shop.received().values()) == {1}
    assert len(shop.received()) == 40


def test_each_minute_is_one_slot_for_two_daemons(make_shop: MakeShop) -> None:
    shop = make_shop(daemon=OFTEN)
    with running(shop, tick=None) as one, running(shop, number=2, tick=None) as two:
        until(lambda: any(firing.state == "done" for firing in shop.fired("run")), "a slot of the clock")
        assert (one.stop(), two.stop()) == (0, 0)
    slots = [firing.slot_at for firing in shop.fired("run")]
    assert all(slot.second == 0 for slot in slots)
    began = Counter(line["slot"] for daemon in (one, two) for line in daemon.log("run.finished"))
    assert set(began.values()) == {1}
    assert set(shop.received().values()) <= {1}


def test_a_stop_in_the_middle_of_a_slow_delivery_leaves_nothing_unknown(make_shop: MakeShop) -> None:
    shop = make_shop(daemon="run: '0 * * * *'", people=60)
    shop.missed("run")
    with running(shop, slow=0.1) as daemon:
        until(lambda: 5 < sum(shop.received().values()) < 50, "in the middle")
        assert daemon.stop() == 0
    states = shop.states()
    assert set(states) <= {"sent", "queued"}
    assert states["queued"] > 0
    assert states["sent"] == sum(shop.received().values())
    with running(shop, number=2):
        until(lambda: shop.states()["sent"] == 60, "the rest, by another daemon")
    assert set(shop.received().values()) == {1}


def test_a_second_signal_ends_at_once(make_shop: MakeShop) -> None:
    shop = make_shop(daemon="run: '0 * * * *'")
    shop.missed("run")
    with running(shop, slow=5) as daemon:
        until(lambda: shop.states()["sending"], "a call under way")
        daemon.signal(signal.SIGTERM)
        until(lambda: daemon.said("daemon.draining"), "draining")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == -signal.SIGTERM
    assert not daemon.said("daemon.stopped")
    assert shop.states()["sending"] > 0


def test_what_does_not_end_within_the_grace_time_is_left(make_shop: MakeShop) -> None:
    shop = make_shop(daemon="grace: 1s, run: '0 * * * *'")
    shop.missed("run")
    with running(shop, slow=30) as daemon:
        until(lambda: shop.states()["sending"], "a call under way")
        assert daemon.stop() == 1
    assert daemon.said("daemon.stopped_hard", active=["deliver"])


def test_a_run_is_broken_off_by_a_stop_and_ended_by_the_next_daemon(make_shop: MakeShop) -> None:
    shop = make_shop(daemon="run: '0 * * * *', deliver: off")
    shop.missed("run")
    with running(shop, crash="") as daemon:
        until(lambda: daemon.said("duty.started", duty="run"), "a run under way")
        assert daemon.stop() == 0
    with running(shop, number=2):
        until(lambda: shop.done("run"), "the run ended")
    assert len(shop.fired("run")) == 1
    assert shop.states()["queued"] == 40
    with shop.database.read() as connection:
        assert connection.execute(sa.select(runs.c.state)).scalars().all() == ["done"]


@pytest.mark.parametrize("point", ["in_judging:1", "outbox_after_commit:1", "before_sending_commit:1"])
def test_a_killed_daemon_is_replaced_by_another_that_runs_already(make_shop: MakeShop, point: str) -> None:
    shop = make_shop(daemon="run: '0 * * * *'")
    shop.missed("run")
    with running(shop, crash=point, lease=2) as doomed:
        assert doomed.wait() == -signal.SIGKILL
        with running(shop, number=2, lease=2):
            until(lambda: shop.states()["sent"] == 40, "all messages, by the other one")
            until(lambda: shop.done("run"), "the run ended")
    assert set(shop.received().values()) == {1}


def test_a_daemon_that_is_killed_in_a_call_leaves_what_it_was_sending_unknown(make_shop: MakeShop) -> None:
    shop = make_shop(daemon="run: '0 * * * *'")
    shop.missed("run")
    with running(shop, slow=0.2, lease=2) as doomed:
        until(lambda: sum(shop.received().values()) > 3, "a call under way")
        doomed.signal(signal.SIGKILL)
        doomed.wait()
    with running(shop, number=2, lease=2):
        until(lambda: not {"queued", "claimed", "sending"} & set(shop.states()), "all settled")
    states = shop.states()
    assert states["sent"] + states["unknown"] == 40
    assert 0 < states["unknown"] <= 10
    assert set(shop.received().values()) == {1}
