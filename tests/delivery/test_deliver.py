from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from smr.database import Database
from smr.events import Reason
from smr.guards import Verdict
from tests.delivery.shop import Guards, deliver_all, received, records, settings_for
from tests.outbox.rows import (
    NOON,
    attempts,
    customers,
    message_id,
    queue,
    queue_for,
    row,
    states,
    the_message,
)


def ended(database: Database, customer_id: str) -> tuple[str, str]:
    found = the_message(database, customer_id)
    return found.state, found.reason


def test_what_waits_is_written_once_and_recorded_as_sent(database: Database, tmp_path: Path) -> None:
    queue_for(database, ["ana", "ben"])
    queue_for(database, ["小林"], channel="sms")
    report = deliver_all(database, tmp_path / "out")
    assert received(tmp_path / "out") == ["ana", "ben", "小林"]
    assert set(states(database).values()) == {"sent"}
    assert report.count("sent") == 3
    assert attempts(database, "ana") == [(1, "sent")]
    assert the_message(database, "ana").sent_at == NOON
    assert deliver_all(database, tmp_path / "out").done == 0
    assert received(tmp_path / "out") == ["ana", "ben", "小林"]


def test_the_record_holds_what_was_rendered(database: Database, tmp_path: Path) -> None:
    link = [{"link": {"title": "再来一支", "url": "https://shop.example/x"}}]
    queue(database, row("小林", body="亲,\n洁面快用完了", attachments=link))
    deliver_all(database, tmp_path / "out")
    assert records(tmp_path / "out") == [
        {
            "message_id": message_id("小林"),
            "channel": "wecom",
            "address": "wx_小林",
            "customer_id": "小林",
            "playbook": "refill",
            "step": "heads_up",
            "subject": None,
            "text": "亲,\n洁面快用完了",
            "html": None,
            "attachments": link,
            "sent_at": "2026-11-23T04:00:00Z",
        }
    ]


def test_many_portions_reach_everybody_once(database: Database, tmp_path: Path) -> None:
    people = customers(1_300)
    queue_for(database, people)
    seen: list[int] = []
    report = deliver_all(database, tmp_path / "out", progress=lambda done, total: seen.append(done))
    assert received(tmp_path / "out") == sorted(people)
    assert report.count("sent") == 1_300
    assert seen == sorted(seen)
    assert seen[-1] == 1_300


def test_a_limit_stops_after_so_many_and_the_highest_priority_went_first(
    database: Database, tmp_path: Path
) -> None:
    queue_for(database, customers(20), priority=10)
    queue_for(database, ["ana", "ben"], priority=90)
    deliver_all(database, tmp_path / "out", limit=2)
    assert received(tmp_path / "out") == ["ana", "ben"]


def test_only_the_named_channels_are_served(database: Database, tmp_path: Path) -> None:
    queue_for(database, ["ana"], channel="wecom")
    queue_for(database, ["ben"], channel="sms")
    deliver_all(database, tmp_path / "out", channels=["sms"])
    assert states(database) == {"ana": "queued", "ben": "sent"}


def test_a_customer_who_bought_meanwhile_is_not_written_to(database: Database, tmp_path: Path) -> None:
    queue_for(database, ["ana", "ben"])
    guards = Guards({message_id("ana"): Verdict(Reason.BOUGHT_ALREADY)})
    report = deliver_all(database, tmp_path / "out", recheck=guards)
    assert received(tmp_path / "out") == ["ben"]
    assert ended(database, "ana") == ("cancelled", "bought_already")
    assert report.messages["wecom", "cancelled", "bought_already"] == 1
    assert attempts(database, "ana") == []


def test_quiet_hours_put_a_message_off_and_do_not_lose_it(database: Database, tmp_path: Path) -> None:
    queue_for(database, ["ana"])
    morning = NOON + timedelta(hours=20)
    quiet = Guards({message_id("ana"): Verdict(Reason.QUIET_HOURS, morning)})
    deliver_all(database, tmp_path / "out", recheck=quiet)
    assert the_message(database, "ana").state == "queued"
    assert the_message(database, "ana").send_after == morning
    deliver_all(database, tmp_path / "out", now=morning - timedelta(seconds=1))
    assert received(tmp_path / "out") == []
    deliver_all(database, tmp_path / "out", now=morning)
    assert received(tmp_path / "out") == ["ana"]


def test_a_message_put_off_beyond_its_use_expires_with_the_reason(database: Database, tmp_path: Path) -> None:
    queue(database, row("ana", expires_at=NOON + timedelta(hours=2)))
    later = Verdict(Reason.QUIET_HOURS, NOON + timedelta(hours=2))
    deliver_all(database, tmp_path / "out", recheck=Guards({message_id("ana"): later}))
    assert ended(database, "ana") == ("expired", "quiet_hours")


def test_a_cap_without_an_instant_is_asked_again_later(database: Database, tmp_path: Path) -> None:
    queue_for(database, ["ana"])
    capped = Guards({message_id("ana"): Verdict(Reason.FREQUENCY_CAP)})
    deliver_all(database, tmp_path / "out", recheck=capped)
    assert the_message(database, "ana").state == "queued"
    assert the_message(database, "ana").send_after > NOON


def test_expired_and_cancelled_messages_are_never_sent(database: Database, tmp_path: Path) -> None:
    queue(database, row("ana", expires_at=NOON))
    report = deliver_all(database, tmp_path / "out")
    assert report.expired == 1
    assert states(database) == {"ana": "expired"}
    assert received(tmp_path / "out") == []


def test_a_call_that_may_take_longer_than_messages_are_held_is_a_fault_and_nothing_is_sent(
    database: Database, tmp_path: Path
) -> None:
    queue_for(database, ["ana"])
    slow = settings_for(tmp_path / "out", channels={"wecom": {"timeout": "120"}})
    report = deliver_all(database, tmp_path / "out", settings=slow)
    assert states(database) == {"ana": "queued"}
    assert "must be shorter than the 120 s for which a message is held" in report.troubles["wecom"]


def test_messages_of_a_channel_that_is_not_configured_wait_and_are_reported(
    database: Database, tmp_path: Path
) -> None:
    queue_for(database, ["ana"], channel="pigeon")
    queue_for(database, ["ben"])
    report = deliver_all(database, tmp_path / "out")
    assert states(database) == {"ana": "queued", "ben": "sent"}
    assert "there is no channel 'pigeon'" in report.troubles["pigeon"]


def test_a_folder_that_cannot_be_written_leaves_everything_queued_for_later(
    database: Database, tmp_path: Path
) -> None:
    queue_for(database, ["ana"])
    (tmp_path / "out").write_text("a file, where the folder should be")
    report = deliver_all(database, tmp_path / "out")
    found = the_message(database, "ana")
    assert (found.state, found.reason, found.attempts) == ("queued", "unavailable", 1)
    assert found.send_after > NOON
    assert attempts(database, "ana") == [(1, "refused")]
    assert "cannot be used" in report.troubles["wecom"]
    (tmp_path / "out").unlink()
    deliver_all(database, tmp_path / "out", now=found.send_after)
    assert received(tmp_path / "out") == ["ana"]


def test_a_text_too_long_for_its_channel_fails_alone(database: Database, tmp_path: Path) -> None:
    queue(database, row("ana", body="长" * 71), row("ben", body="长" * 70))
    settings = settings_for(tmp_path / "out", channels={"wecom": {"max_length": 70}})
    deliver_all(database, tmp_path / "out", settings=settings)
    assert states(database) == {"ana": "failed", "ben": "sent"}


def test_a_stop_between_batches_leaves_the_rest_queued(database: Database, tmp_path: Path) -> None:
    queue_for(database, customers(1_300))
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 1

    report = deliver_all(database, tmp_path / "out", stop=stop)
    left = [state for state in states(database).values() if state == "queued"]
    assert 0 < report.count("sent") < 1_300
    assert len(left) == 1_300 - report.count("sent")


def test_a_judge_that_breaks_puts_the_claimed_messages_back(database: Database, tmp_path: Path) -> None:
    queue_for(database, ["ana"])

    def broken(*_: object, **__: object) -> dict[str, Verdict]:
        raise RuntimeError("a guard broke")

    with pytest.raises(RuntimeError):
        deliver_all(database, tmp_path / "out", recheck=broken)
    assert states(database) == {"ana": "queued"}


def test_a_round_ends_when_its_time_is_over_and_says_that_there_is_more(
    sqlite_database: Database, tmp_path: Path
) -> None:
    queue_for(sqlite_database, ["ana"])
    report = deliver_all(sqlite_database, tmp_path, seconds=0)
    assert (report.done, report.more) == (0, True)
    report = deliver_all(sqlite_database, tmp_path, seconds=60)
    assert (report.done, report.more) == (1, False)
