"""What cannot arrive on one channel goes to the step's next one that may reach the customer, once each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from smr.channels import Accepted, Outgoing, Refused, Result
from smr.clock import seconds
from smr.database import Database
from smr.delivery import DeliveryReport, deliver
from smr.errors import Refusal
from smr.playbook import load_library
from smr.tables import addresses, bucket_of, consents
from tests.delivery.scripted import Scripted, use
from tests.delivery.shop import Guards, settings_for
from tests.outbox.rows import NOON, attempts, queue_for, states, the_message

PLAYBOOK = """
name: refill
trigger: {purchase: {}}
steps:
  - name: heads_up
    send: 1d after purchase
    via: [wecom, sms, email]
    message: 该补货啦
"""


def gone(batch: Sequence[Outgoing]) -> list[Result]:
    return [Refused(Refusal.UNREACHABLE, permanent=True, detail="not a friend any more") for _ in batch]


def reach(
    database: Database, customer_id: str, channel: str, *, granted: bool = True, address: str = ""
) -> None:
    owner = {"bucket": bucket_of(customer_id), "customer_id": customer_id, "channel": channel}
    said = {
        **owner,
        "purpose": "marketing",
        "decided_at": seconds(NOON - timedelta(days=1)),
        "granted": granted,
    }
    with database.write() as connection:
        there = address or f"{channel}:{customer_id}"
        connection.execute(sa.insert(addresses).values(**owner, address=there))
        connection.execute(sa.insert(consents).values(**said))


@pytest.fixture
def run(database: Database, tmp_path: Path) -> Any:
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "refill.yaml").write_text(PLAYBOOK)
    settings = settings_for(tmp_path / "out")
    library = load_library(tmp_path / "playbooks", settings)

    def one_round() -> DeliveryReport:
        return deliver(database, library, settings, now=NOON, owner="w", recheck=Guards())

    return one_round


def test_the_next_channel_that_may_reach_the_customer_gets_it(
    database: Database, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wecom, email = Scripted(gone), Scripted(name="email")
    use(monkeypatch, wecom, email, Scripted(name="sms"))
    queue_for(database, ["ana"])
    reach(database, "ana", "sms", granted=False)
    reach(database, "ana", "email")
    run()
    found = the_message(database, "ana")
    assert (found.state, found.channel, found.address) == ("queued", "email", "email:ana")
    run()
    assert states(database) == {"ana": "sent"}
    assert [message.address for call in email.calls for message in call] == ["email:ana"]
    assert attempts(database, "ana") == [(1, "refused"), (2, "sent")]


def test_each_channel_is_tried_once_and_then_it_has_failed(
    database: Database, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = [Scripted(gone, name=name) for name in ("wecom", "sms", "email")]
    use(monkeypatch, *tried)
    queue_for(database, ["ana"])
    for channel in ("wecom", "sms", "email"):
        reach(database, "ana", channel)
    for _ in range(5):
        run()
    assert [len(channel.calls) for channel in tried] == [1, 1, 1]
    assert states(database) == {"ana": "failed"}
    assert the_message(database, "ana").reason == "unreachable"


def test_a_text_that_is_refused_is_not_tried_elsewhere(
    database: Database, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Scripted(name="sms")
    use(monkeypatch, Scripted(lambda batch: [Refused(Refusal.REJECTED, True, "bad words")]), other)
    queue_for(database, ["ana"])
    reach(database, "ana", "sms")
    run()
    run()
    assert states(database) == {"ana": "failed"}
    assert other.calls == []


def test_without_another_channel_it_has_failed(
    database: Database, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Scripted(gone))
    queue_for(database, ["ana"])
    run()
    assert states(database) == {"ana": "failed"}


def test_only_a_message_that_surely_did_not_go_moves_on(
    database: Database, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sms = Scripted(name="sms")
    use(monkeypatch, Scripted(lambda batch: [Refused(Refusal.IN_DOUBT, False)]), sms)
    queue_for(database, ["ana", "ben"])
    reach(database, "ana", "sms")
    run()
    run()
    assert set(states(database).values()) == {"unknown"}
    assert sms.calls == []


def test_who_was_reached_is_not_asked_about_again(
    database: Database, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sms = Scripted(name="sms")
    use(monkeypatch, Scripted(lambda batch: [Accepted("p1") for _ in batch]), sms)
    queue_for(database, ["ana"])
    reach(database, "ana", "sms")
    run()
    run()
    assert states(database) == {"ana": "sent"}
    assert sms.calls == []
