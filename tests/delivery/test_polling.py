"""Providers that do not call are asked: each in its turn, by one process, from where the last one stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from smr.channels import Polled, Receipt, ReceiptKind
from smr.database import Database
from smr.delivery import DeliveryReport
from smr.errors import ChannelError, Refusal
from smr.tables import channels
from tests.delivery.scripted import Scripted, use
from tests.delivery.shop import deliver_all, settings_for
from tests.outbox.rows import NOON, message_id, queue_for, states


@dataclass
class Asked(Scripted):
    """A provider that tells one page after another; the cursor is the number of the next."""

    pages: list[list[Receipt]] = field(default_factory=list)
    cursors: list[str] = field(default_factory=list)
    poll_seconds: int = 600
    down: bool = False

    def poll(self, cursor: str, now: datetime) -> Polled:
        if self.down:
            raise ChannelError(Refusal.UNAVAILABLE, "the provider is down", permanent=False)
        self.cursors.append(cursor)
        page = int(cursor or 0)
        if page >= len(self.pages):
            return Polled((), cursor)
        return Polled(self.pages[page], str(page + 1))


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Asked:
    wecom = Asked()
    use(monkeypatch, wecom)
    return wecom


@pytest.fixture
def rounds(database: Database, tmp_path: Path) -> Callable[[], DeliveryReport]:
    settings = settings_for(tmp_path, channels={"wecom": {}})
    return lambda: deliver_all(database, tmp_path, settings=settings)


def delivered(customer_id: str) -> Receipt:
    return Receipt(f"of {customer_id}", ReceiptKind.DELIVERED, NOON, message_id=message_id(customer_id))


def its_turn_comes(database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.update(channels).values(poll_after=0))


def test_all_pages_are_taken_and_the_next_turn_goes_on_from_there(
    database: Database, provider: Asked, rounds: Callable[[], DeliveryReport]
) -> None:
    queue_for(database, ["ana", "ben"])
    rounds()
    provider.pages = [[delivered("ana")], [delivered("ben")]]
    its_turn_comes(database)
    rounds()
    assert states(database) == {"ana": "delivered", "ben": "delivered"}
    its_turn_comes(database)
    rounds()
    assert provider.cursors == ["", "", "1", "2", "2"]


def test_it_is_not_asked_before_its_time(
    database: Database, provider: Asked, rounds: Callable[[], DeliveryReport]
) -> None:
    for _ in range(3):
        rounds()
    assert provider.cursors == [""]


def test_a_failure_is_told_and_asked_again_from_the_same_place(
    database: Database, provider: Asked, rounds: Callable[[], DeliveryReport]
) -> None:
    queue_for(database, ["ana"])
    rounds()
    provider.pages, provider.down = [[delivered("ana")]], True
    its_turn_comes(database)
    assert "the provider is down" in rounds().troubles["wecom"]
    provider.down = False
    its_turn_comes(database)
    rounds()
    assert states(database) == {"ana": "delivered"}
