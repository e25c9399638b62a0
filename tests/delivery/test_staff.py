"""What waits with staff is taken back when it must not be sent, and goes another way when they forget it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from smr.channels import Accepted, Outgoing, Result
from smr.database import Database
from smr.delivery import DeliveryReport, deliver
from smr.errors import ChannelError, Refusal
from smr.events import Reason
from smr.guards import Verdict
from smr.playbook import load_library
from smr.tables import messages
from tests.delivery.scripted import Scripted, use
from tests.delivery.shop import Guards, settings_for
from tests.delivery.test_ladder import PLAYBOOK, reach
from tests.outbox.rows import NOON, message_id, queue_for, the_message

Rounds = Callable[..., DeliveryReport]


def tasks(batch: Sequence[Outgoing]) -> list[Result]:
    return [Accepted(f"task of {message.customer_id}") for message in batch]


@dataclass
class Staff(Scripted):
    """A channel whose tasks can be taken back, save those that staff have done."""

    done: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    down: bool = False

    def withdraw(self, provider_ids: Sequence[str]) -> dict[str, bool]:
        if self.down:
            raise ChannelError(Refusal.UNAVAILABLE, "the provider is down", permanent=False)
        self.asked += provider_ids
        return {one: one not in self.done for one in provider_ids}


@pytest.fixture
def staff(monkeypatch: pytest.MonkeyPatch) -> Staff:
    wecom = Staff(tasks, staff=True)
    use(monkeypatch, wecom, Scripted(name="sms"), Scripted(name="email"))
    return wecom


@pytest.fixture
def rounds(database: Database, tmp_path: Path) -> Rounds:
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "refill.yaml").write_text(PLAYBOOK)
    settings = settings_for(tmp_path / "out", channels={"wecom": {"confirm_within": "2h"}})
    library = load_library(tmp_path / "playbooks", settings)

    def one(hours: float = 0, **stops: Reason) -> DeliveryReport:
        guards = Guards({message_id(name): Verdict(reason) for name, reason in stops.items()})
        now: datetime = NOON + timedelta(hours=hours)
        return deliver(database, library, settings, now=now, owner="w", recheck=guards)

    return one


def state(database: Database, customer_id: str) -> tuple[str, str | None, str]:
    found: Any = the_message(database, customer_id)
    return found.state, found.reason, found.channel


def test_what_staff_forget_goes_to_the_next_channel_once_it_is_taken_back(
    database: Database, staff: Staff, rounds: Rounds
) -> None:
    queue_for(database, ["ana"])
    reach(database, "ana", "sms")
    rounds()
    rounds(hours=1.9)
    assert state(database, "ana") == ("with_staff", None, "wecom")
    rounds(hours=2)
    assert staff.asked == ["task of ana"]
    rounds(hours=2.1)
    assert state(database, "ana") == ("sent", None, "sms")


def test_what_staff_may_still_send_is_never_sent_another_way(
    database: Database, staff: Staff, rounds: Rounds
) -> None:
    queue_for(database, ["ana"])
    reach(database, "ana", "sms")
    staff.done.add("task of ana")
    rounds()
    rounds(hours=3)
    assert state(database, "ana") == ("with_staff", None, "wecom")


def test_without_another_channel_it_stays_with_staff(
    database: Database, staff: Staff, rounds: Rounds
) -> None:
    queue_for(database, ["ana"])
    rounds()
    rounds(hours=3)
    assert staff.asked == []
    assert state(database, "ana") == ("with_staff", None, "wecom")


def test_whoever_bought_meanwhile_is_not_written_to_by_staff(
    database: Database, staff: Staff, rounds: Rounds
) -> None:
    queue_for(database, ["ana", "ben"])
    rounds()
    rounds(hours=1, ana=Reason.BOUGHT_ALREADY)
    assert state(database, "ana") == ("cancelled", "bought_already", "wecom")
    assert state(database, "ben")[0] == "with_staff"


def test_what_comes_too_late_is_over_even_where_nothing_can_be_taken_back(
    database: Database, staff: Staff, rounds: Rounds
) -> None:
    queue_for(database, ["ana"])
    rounds()
    staff.done.add("task of ana")
    with database.write() as connection:
        connection.execute(sa.update(messages).values(expires_at=NOON + timedelta(hours=1)))
    rounds(hours=1)
    assert state(database, "ana") == ("expired", "expired", "wecom")


def test_a_provider_that_is_down_changes_nothing(database: Database, staff: Staff, rounds: Rounds) -> None:
    queue_for(database, ["ana"])
    reach(database, "ana", "sms")
    rounds()
    staff.down = True
    report = rounds(hours=3)
    assert "the provider is down" in report.troubles["wecom"]
    assert state(database, "ana") == ("with_staff", None, "wecom")
