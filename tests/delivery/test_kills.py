"""A worker is killed at each named point, another takes over: every customer gets each message once."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

import pytest

from smr import outbox
from smr.channels import open_channel
from smr.database import Database
from smr.delivery.send import send
from tests.delivery.processes import killed_at, start
from tests.delivery.shop import deliver_all, received, settings_for
from tests.outbox.rows import NOON, attempts, begin, claim, customers, end_leases, queue_for, states

POINTS = (
    "before_sending_commit",
    "before_send",
    "file_half_written",
    "after_write",
    "before_settle",
    "after_settle",
)
PEOPLE = customers(1200)


def queue_people(database: Database) -> None:
    """Two batches' worth, of two priorities."""
    queue_for(database, PEOPLE[:600], priority=80)
    queue_for(database, PEOPLE[600:], priority=20)


def assert_each_once(database: Database, folder: Path) -> None:
    # A server takes a moment to see that a client was killed; until then its rows stay locked.
    for _ in range(20):
        if set(states(database).values()) == {"sent"}:
            break
        time.sleep(0.3)
        deliver_all(database, folder)
    assert received(folder) == sorted(PEOPLE)
    assert Counter(states(database).values()) == {"sent": len(PEOPLE)}
    told = "".join(path.read_text() for path in folder.glob("*/*.txt"))
    assert len(re.findall(r"^id \w{32}$", told, re.MULTILINE)) == len(PEOPLE)


@pytest.mark.parametrize("hit", [1, 2])
@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_anywhere_loses_nothing_and_sends_nothing_twice(
    database: Database, database_url: str, tmp_path: Path, point: str, hit: int
) -> None:
    queue_people(database)
    killed_at(f"{point}:{hit}", "deliver", database_url, tmp_path / "out")
    end_leases(database)
    deliver_all(database, tmp_path / "out")
    assert_each_once(database, tmp_path / "out")


def test_a_worker_killed_after_its_claim_loses_nothing_and_leaves_nothing_unknown(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    queue_people(database)
    killed_at("after_claim:2", "claim", database_url, tmp_path / "out")
    assert Counter(states(database).values()) == {"claimed": 100, "queued": 1100}
    end_leases(database)
    report = deliver_all(database, tmp_path / "out")
    assert (report.rescued["queued"], report.rescued["unknown"]) == (100, 0)
    assert_each_once(database, tmp_path / "out")


def test_a_rescue_killed_three_times_ends_as_one_rescue(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    queue_people(database)
    killed_at("after_write:1", "deliver", database_url, tmp_path / "out")
    killed_at("after_claim:1", "claim", database_url, tmp_path / "out")
    end_leases(database)
    for hit in (1, 2, 3):
        killed_at(f"in_rescue:{hit}", "deliver", database_url, tmp_path / "out")
    deliver_all(database, tmp_path / "out")
    assert_each_once(database, tmp_path / "out")


def test_a_dead_workers_lease_runs_out_by_itself(sqlite_database: Database, tmp_path: Path) -> None:
    queue_people(sqlite_database)
    url = f"sqlite:///{tmp_path}/shop.db"
    start("deliver", url, tmp_path / "out", crash="before_send:1", lease=1).wait()
    deliver_all(sqlite_database, tmp_path / "out")
    held = Counter(states(sqlite_database).values())["sending"]
    assert 0 <= held <= 1000
    time.sleep(2.1)
    deliver_all(sqlite_database, tmp_path / "out")
    assert_each_once(sqlite_database, tmp_path / "out")


@pytest.mark.parametrize("point", ["outbox_put_row:1", "outbox_put_row:3", "outbox_after_put:2"])
def test_a_run_killed_while_it_queues_is_made_good_by_the_next(
    database: Database, database_url: str, tmp_path: Path, point: str
) -> None:
    killed_at(point, "put", database_url, tmp_path)
    assert len(states(database)) in (0, 100, 200)
    start("put", database_url, tmp_path).finished()
    assert Counter(states(database).values()) == {"queued": 300}


def test_four_workers_at_once_claim_every_message_once(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    queue_people(database)
    workers = [start("claim", database_url, tmp_path) for _ in range(4)]
    claimed = [line for worker in workers for line in worker.finished().split()]
    assert len(claimed) == len(set(claimed)) == len(PEOPLE)


def test_three_workers_at_once_write_every_message_once(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    queue_people(database)
    for worker in [start("deliver", database_url, tmp_path / "out") for _ in range(3)]:
        worker.finished()
    assert_each_once(database, tmp_path / "out")
    assert attempts(database, PEOPLE[0]) == [(1, "sent")]


def test_a_worker_that_slept_past_its_lease_cannot_settle_and_the_file_takes_its_message_once(
    database: Database, tmp_path: Path
) -> None:
    queue_for(database, ["ana"])
    asleep = begin(database, claim(database)).sending
    end_leases(database)
    report = deliver_all(database, tmp_path / "out")
    assert report.rescued["sent_again"] == 1
    channel = open_channel("wecom", settings_for(tmp_path / "out"))
    answer = send(channel, asleep, now=NOON)
    with database.write() as connection:
        assert outbox.settle(connection, answer.settlements, now=NOON) == []
    assert received(tmp_path / "out") == ["ana"]
    assert attempts(database, "ana") == [(1, "refused"), (2, "sent")]


def test_a_message_that_reached_the_file_before_the_kill_is_found_there_and_not_sent_again(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    queue_for(database, ["ana"])
    killed_at("after_write:1", "deliver", database_url, tmp_path / "out")
    end_leases(database)
    report = deliver_all(database, tmp_path / "out")
    assert report.rescued["found_sent"] == 1
    assert states(database) == {"ana": "sent"}
    assert attempts(database, "ana") == [(1, "sent")]
