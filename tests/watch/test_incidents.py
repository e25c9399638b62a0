"""What counts as wrong, opened once and closed once, and told once, over any number of lookers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from smr import clock
from smr.database import Database
from smr.delivery import DeliveryReport
from smr.events import Kind
from smr.outbox import put
from smr.settings import Settings
from smr.tables import incidents as table
from smr.tables import messages, runs
from smr.watch import alerts, incidents, tally
from smr.watch.incidents import Finding
from tests.delivery.shop import records, settings_for
from tests.outbox.rows import NOON, row

DOWN = Finding(Kind.CHANNEL_DOWN, "sms", "the channel sms takes no messages")


def found(database: Database, now: datetime = NOON, **settings: Any) -> dict[str, Finding]:
    with database.read() as connection:
        looked = incidents.find(connection, Settings.model_validate(settings), now=now)
    return {finding.kind.value: finding for finding in looked}


def ran(database: Database, *queued: int, hour: int = 9, every: timedelta = timedelta(days=1)) -> None:
    """Runs at nine o'clock on the days before, the last one today."""
    today = NOON.replace(hour=1)
    with database.write() as connection:
        for number, count in enumerate(queued):
            at = today - every * (len(queued) - 1 - number)
            counts = {"queued": count, "customers": 1000, "blast": None}
            ended = {"state": "done", "owner": "o", "lease_until": 0, "version": "v", "counts": counts}
            times = {"now_at": at, "started_at": at, "finished_at": at}
            connection.execute(sa.insert(runs).values(slot=f"{at}", **ended, **times))


def reported(database: Database, now: datetime = NOON, **states: int) -> None:
    """A round of delivery on sms."""
    report = DeliveryReport()
    for state, number in states.items():
        name, _, reason = state.partition("__")
        report.messages["sms", name, reason] = number
    tally.record(database, report, now=now)


def test_a_run_that_queues_nothing_where_many_are_usual_is_an_incident(database: Database) -> None:
    ran(database, 150, 160, 140, 155, 0)
    finding = found(database)["run_sends_nothing"]
    assert finding.detail == "the last run queued nothing; usual are 152"


def test_a_run_that_queues_far_more_than_usual_is_an_incident(database: Database) -> None:
    ran(database, 150, 160, 140, 155, 700)
    assert "usual are 152" in found(database)["run_sends_too_much"].detail
    assert "run_sends_too_much" not in found(database, alerts={"unusual": "10"})


def test_what_is_usual_is_told_by_runs_at_the_same_time_of_day(database: Database) -> None:
    ran(database, 150, 0, 0, 0, 0, 0, 0, 0, every=timedelta(hours=1))
    assert found(database) == {}


def test_few_runs_make_nothing_unusual(database: Database) -> None:
    ran(database, 150, 160, 0)
    assert found(database) == {}


def test_few_messages_make_nothing_unusual(database: Database) -> None:
    ran(database, 3, 2, 4, 2, 3, 12)
    assert found(database) == {}


def test_a_run_stopped_at_the_blast_limit_is_an_incident(database: Database) -> None:
    ran(database, 1)
    with database.write() as connection:
        connection.execute(sa.update(runs).values(counts={"blast": 900, "customers": 1000, "queued": 0}))
    assert "900 of 1,000 customers" in found(database)["run_stopped"].detail


def test_a_share_of_errors_above_the_limit_is_an_incident(database: Database) -> None:
    reported(database, sent=70, failed=20, queued__unavailable=10, cancelled__opted_out=500)
    finding = found(database)["error_share"]
    assert (finding.subject, finding.detail) == (
        "sms",
        "30 of the last hour's 100 attempts went wrong (30%)",
    )
    assert "error_share" not in found(database, alerts={"error_share": "40%"})
    assert "error_share" not in found(database, NOON + timedelta(hours=2))


def test_rounds_add_up_over_processes_and_few_attempts_tell_nothing(database: Database) -> None:
    reported(database, sent=5, failed=9)
    assert found(database) == {}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: reported(database, failed=1), range(8)))
    assert "17 of the last hour's 22 attempts" in found(database)["error_share"].detail


def test_a_message_that_waits_for_too_long_is_an_incident(database: Database) -> None:
    with database.write() as connection:
        put(connection, [row("ana"), row("ben", send_after=NOON + timedelta(hours=2))])
    assert found(database, NOON + timedelta(minutes=20)) == {}
    finding = found(database, NOON + timedelta(minutes=40))["late_messages"]
    assert (finding.subject, finding.detail) == ("wecom", "1 due; one of them has waited for 40 minutes")


def test_messages_of_unknown_fate_are_an_incident(database: Database) -> None:
    with database.write() as connection:
        put(connection, [row("ana")])
        connection.execute(sa.update(messages).values(state="unknown"))
    assert "1 that may have gone out" in found(database)["unknown_messages"].detail
    assert "unknown_messages" not in found(database, alerts={"unknown": "2"})


def settle(database: Database, findings: Sequence[Finding], now: datetime = NOON) -> None:
    with database.write() as connection:
        incidents.settle(connection, findings, [Kind.CHANNEL_DOWN], now=now)


def rows(database: Database) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(sa.select(table).order_by(table.c.incident_id)))


def test_an_incident_is_opened_once_however_many_look(database: Database) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: settle(database, [DOWN]), range(12)))
    assert len(rows(database)) == 1
    settle(database, [], NOON + timedelta(minutes=5))
    assert rows(database)[0].closed_at == NOON + timedelta(minutes=5)
    settle(database, [DOWN], NOON + timedelta(minutes=9))
    assert [one.closed_at is None for one in rows(database)] == [False, True]


def test_an_incident_of_a_kind_that_was_not_looked_for_goes_on(database: Database) -> None:
    settle(database, [DOWN])
    with database.write() as connection:
        incidents.settle(connection, [], incidents.FOUND_IN_TABLES, now=NOON)
    assert rows(database)[0].closed_at is None


def told(database: Database, folder: Path, now: datetime = NOON, owner: str = "ana/1/1") -> int:
    receivers = {"to": [{"channel": "ops", "to": "ops@shop.example"}]}
    shop = {"name": "Corner Shop", "language": "zh"}
    settings = settings_for(folder, channels={"ops": {}}, alerts=receivers, shop=shop)
    return alerts.tell(database, settings, now=now, owner=owner)


def test_each_incident_is_told_once_when_it_begins_and_once_when_it_is_over(
    database: Database, tmp_path: Path
) -> None:
    settle(database, [DOWN])
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: told(database, tmp_path, owner=f"w{number}/1/1"), range(12)))
    settle(database, [], NOON + timedelta(minutes=5))
    assert told(database, tmp_path, NOON + timedelta(minutes=6)) == 1
    assert told(database, tmp_path, NOON + timedelta(minutes=7)) == 0
    assert [line["subject"] for line in records(tmp_path)] == [
        "[Corner Shop] 渠道发不出去 (sms)",
        "[Corner Shop] 渠道发不出去 (sms): 已恢复",
    ]


def test_what_was_over_before_anybody_was_told_is_not_told(database: Database, tmp_path: Path) -> None:
    settle(database, [DOWN])
    settle(database, [])
    assert told(database, tmp_path) == 0


def test_where_nobody_is_to_be_told_nothing_is_marked_as_told(database: Database, tmp_path: Path) -> None:
    settle(database, [DOWN])
    assert alerts.tell(database, Settings(), now=NOON, owner="ana/1/1") == 0
    assert told(database, tmp_path) == 1


def test_an_alert_that_could_not_be_sent_is_sent_later_under_the_same_id(
    database: Database, tmp_path: Path
) -> None:
    settle(database, [DOWN])
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    assert told(database, blocked) == 0
    assert told(database, tmp_path / "ok") == 0, "another process may be at it"
    with database.write() as connection:
        connection.execute(sa.update(table).values(tell_after=clock.moment(1)))
    assert told(database, tmp_path / "ok") == 1
    [line] = records(tmp_path / "ok")
    assert len(line["message_id"]) == 32


def test_what_is_a_day_old_is_no_news(database: Database, tmp_path: Path) -> None:
    settle(database, [DOWN], NOON - timedelta(days=2))
    assert told(database, tmp_path) == 0
