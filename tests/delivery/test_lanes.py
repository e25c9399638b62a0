"""Two lanes on one channel: as many calls as it takes, each message once, and none where others are at it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from threading import Barrier, BrokenBarrierError, Lock
from typing import Any

import pytest
import sqlalchemy as sa

from smr import outbox
from smr.channels import Accepted, Outgoing, Result
from smr.database import Database
from smr.delivery.round import Budget, Round
from smr.delivery.work import lanes
from smr.notation import Rate
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import messages
from tests.delivery.scripted import Scripted, ScriptedForMany, use
from tests.delivery.shop import Guards, deliver_all
from tests.outbox.rows import NOON, customers, queue_for, states

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def shares(database: Database, channel: Any) -> list[int]:
    """How many calls at once each lane of a channel may have."""
    this = Round(database, Library(Path()), Settings(), NOON, "worker-1", 60, Guards(), lambda: False)
    return [lane.parallel for lane in lanes(this, channel, Budget(None), lambda: None)]


def test_two_lanes_share_the_calls_of_a_channel_where_the_database_takes_two_writers(
    database: Database, sqlite_database: Database
) -> None:
    assert shares(database, Scripted(parallel=8)) == [4, 4]
    assert shares(database, Scripted(parallel=3)) == [2, 1]
    assert shares(sqlite_database, Scripted(parallel=8)) == [8]


def test_one_lane_is_enough_where_two_would_wait_for_each_other(database: Database) -> None:
    assert shares(database, Scripted(parallel=1)) == [1]
    assert shares(database, Scripted(parallel=8, rate=Rate(20, 1))) == [8]
    assert shares(database, ScriptedForMany(parallel=8)) == [8]


def test_two_lanes_send_each_message_once_with_no_more_calls_than_the_channel_takes(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, flying, most = Lock(), 0, 0

    def slow(batch: Sequence[Outgoing]) -> list[Result]:
        nonlocal flying, most
        with lock:
            flying += 1
            most = max(most, flying)
        time.sleep(0.01)
        with lock:
            flying -= 1
        return [Accepted() for _ in batch]

    channel = Scripted(slow, max_batch=3, parallel=4)
    use(monkeypatch, channel)
    people = customers(200)
    queue_for(database, people)
    report = deliver_all(database, tmp_path)
    assert sorted(channel.got) == sorted(people)
    assert report.count("sent") == 200
    assert 2 < most <= 4


def test_both_lanes_are_at_work_at_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = Barrier(2)

    def together(batch: Sequence[Outgoing]) -> list[Result]:
        both.wait(20)
        return [Accepted() for _ in batch]

    use(monkeypatch, Scripted(together, max_batch=1, parallel=2))
    queue_for(database, ["ana", "ben"])
    deliver_all(database, tmp_path)
    assert set(states(database).values()) == {"sent"}


def test_a_limit_is_kept_by_both_together(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Scripted(max_batch=2, parallel=4)
    use(monkeypatch, channel)
    queue_for(database, customers(40))
    report = deliver_all(database, tmp_path, limit=7)
    assert (report.done, len(channel.got)) == (7, 7)


def held_by(database: Database, owner: str, lease: timedelta) -> None:
    """Have another worker hold cleo's message, for so long from now."""
    until = sa.func.floor(sa.extract("epoch", sa.func.clock_timestamp())) + int(lease.total_seconds())
    with database.write() as connection:
        taken = {"state": "sending", "owner": owner, "token": "t", "lease_until": until}
        connection.execute(
            sa.update(messages).where(messages.c.customer_id == "cleo").values(**taken, attempts=1)
        )


def test_the_second_lane_leaves_the_channel_to_other_workers(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = Barrier(2)

    def alone(batch: Sequence[Outgoing]) -> list[Result]:
        with pytest.raises(BrokenBarrierError):
            both.wait(0.05)
        both.reset()
        return [Accepted() for _ in batch]

    channel = Scripted(alone, max_batch=1, parallel=2)
    use(monkeypatch, channel)
    queue_for(database, ["ana", "ben", "cleo", "dora"])
    held_by(database, "worker-2", timedelta(minutes=5))
    deliver_all(database, tmp_path)
    assert sorted(channel.got) == ["ana", "ben", "dora"]


@pytest.mark.parametrize(
    ("owner", "lease", "others"),
    [
        ("worker-2", timedelta(minutes=5), True),
        ("worker-1", timedelta(minutes=5), False),
        ("worker-2", timedelta(minutes=-5), False),
    ],
)
def test_others_are_at_it_as_long_as_their_lease_lasts(
    database: Database, owner: str, lease: timedelta, others: bool
) -> None:
    queue_for(database, ["cleo"])
    held_by(database, owner, lease)
    with database.read() as connection:
        assert outbox.others_at_it(connection, "wecom", owner="worker-1") is others
        assert outbox.others_at_it(connection, "sms", owner="worker-1") is False
