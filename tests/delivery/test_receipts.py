"""Receipts settle messages, never backwards; they are kept; opt-outs take effect at once."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from smr import outbox
from smr.channels import Receipt, ReceiptKind
from smr.database import Database
from smr.delivery import receipts
from smr.events import MessageState as S
from smr.playbook import load_library
from smr.settings import Settings
from smr.tables import addresses, changed_customers, consents, messages
from smr.tables import receipts as table
from tests.delivery.test_ladder import PLAYBOOK, reach
from tests.examples import many
from tests.outbox.rows import NOON, begin, claim, end_leases, message_id, queue_for, the_message

K = ReceiptKind


def go(database: Database, customer_id: str, state: S, provider_id: str | None = None) -> None:
    """Bring a queued message to a state."""
    begun = begin(database, claim(database)).sending
    if state is S.UNKNOWN:
        end_leases(database)
        outbox.rescue(database, now=NOON)
        return
    with database.write() as connection:
        done = [outbox.Settlement(one, state, provider_id=provider_id) for one in begun]
        outbox.settle(connection, done, now=NOON)


@pytest.fixture
def tell(database: Database, tmp_path: Path) -> Any:
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "refill.yaml").write_text(PLAYBOOK)
    settings = Settings()
    library = load_library(tmp_path / "playbooks", settings)

    def told(*some: Receipt, now: datetime = NOON) -> Counter[str]:
        return receipts.take(database, library, settings, "wecom", some, now=now)

    def again(now: datetime = NOON) -> int:
        return receipts.try_again(database, library, settings, now=now)

    told.again = again  # type: ignore[attr-defined]
    return told


def about(customer_id: str, kind: K, receipt_id: str = "", **more: Any) -> Receipt:
    given: dict[str, Any] = {"message_id": message_id(customer_id), "at": NOON} | more
    return Receipt(receipt_id or kind.value, kind, **given)


@pytest.mark.parametrize("state", [S.SENT, S.UNKNOWN, S.WITH_STAFF])
@pytest.mark.parametrize("kind", [K.DELIVERED, K.UNDELIVERED])
def test_a_receipt_settles_what_was_sent_what_is_unknown_and_what_is_with_staff(
    database: Database, tell: Any, state: S, kind: K
) -> None:
    queue_for(database, ["ana"])
    go(database, "ana", state)
    assert tell(about("ana", kind)) == {"applied": 1}
    assert the_message(database, "ana").state == kind.value
    assert the_message(database, "ana").sent_at == NOON


def test_staff_confirm_or_decline(database: Database, tell: Any) -> None:
    queue_for(database, ["ana", "ben"])
    go(database, "", S.WITH_STAFF)
    tell(about("ana", K.SENT, "1"), about("ben", K.NOT_SENT, "2"))
    assert the_message(database, "ana").state == "sent"
    assert (the_message(database, "ben").state, the_message(database, "ben").reason) == (
        "cancelled",
        "not_sent",
    )


def test_told_twice_is_told_once(database: Database, tell: Any) -> None:
    queue_for(database, ["ana"])
    go(database, "ana", S.SENT)
    assert tell(about("ana", K.DELIVERED), about("ana", K.DELIVERED)) == {"applied": 1, "told_before": 1}
    assert tell(about("ana", K.DELIVERED)) == {"told_before": 1}


def test_of_one_receipt_id_the_first_word_counts(database: Database, tell: Any) -> None:
    queue_for(database, ["ana"])
    go(database, "ana", S.SENT)
    assert tell(about("ana", K.DELIVERED, "r1"), about("ana", K.OPTED_OUT, "r1")) == {
        "applied": 1,
        "told_before": 1,
    }
    assert the_message(database, "ana").state == "delivered"


@pytest.mark.parametrize("order", list(permutations([K.SENT, K.DELIVERED, K.UNDELIVERED])))
def test_whatever_the_order_nothing_goes_backwards(
    database: Database, tell: Any, order: tuple[K, ...]
) -> None:
    queue_for(database, ["ana"])
    go(database, "ana", S.SENT)
    final = next(kind for kind in order if kind is not K.SENT)
    for kind in order:
        tell(about("ana", kind))
    assert the_message(database, "ana").state == final.value


def test_the_provider_may_name_the_message_by_its_own_id(database: Database, tell: Any) -> None:
    queue_for(database, ["ana"])
    go(database, "ana", S.SENT, provider_id="p-77")
    tell(Receipt("r", K.DELIVERED, NOON, provider_id="p-77"))
    assert the_message(database, "ana").state == "delivered"


def test_a_receipt_that_came_before_the_answer_was_recorded_waits_for_it(
    database: Database, tell: Any
) -> None:
    queue_for(database, ["ana"])
    begun = begin(database, claim(database)).sending
    assert tell(about("ana", K.DELIVERED)) == {"unknown_message": 1}
    with database.write() as connection:
        outbox.settle(connection, [outbox.Settlement(begun[0], S.SENT)], now=NOON)
    assert tell.again() == 1
    assert the_message(database, "ana").state == "delivered"
    assert tell.again() == 0


@pytest.mark.parametrize("named", ["0" * 32, "no id", "zzz", ""])
def test_a_receipt_about_nobody_is_kept(database: Database, tell: Any, named: str) -> None:
    assert tell(Receipt("r", K.DELIVERED, NOON, message_id=named)) == {"unknown_message": 1}
    with database.read() as connection:
        assert connection.scalar(sa.select(table.c.outcome)) == "unknown_message"


def test_an_opt_out_is_the_customers_word_from_that_instant(database: Database, tell: Any) -> None:
    queue_for(database, ["ana"])
    reach(database, "ana", "wecom")
    go(database, "ana", S.SENT)
    tell(about("ana", K.OPTED_OUT, at=NOON - timedelta(days=3)))
    with database.read() as connection:
        words = connection.execute(sa.select(consents).order_by(consents.c.decided_at)).all()
    assert [(word.granted, word.purpose, word.decided_at) for word in words][-1] == (False, "*", NOON)
    assert the_message(database, "ana").state == "sent"


def test_an_opt_out_by_address_alone_finds_who_has_it(database: Database, tell: Any) -> None:
    reach(database, "ana", "wecom")
    gone = Receipt("r", K.OPTED_OUT, NOON, address="wecom:ana", dead_address=True)
    assert tell(gone) == {"applied": 1}
    with database.read() as connection:
        assert connection.scalar(sa.select(addresses.c.undeliverable_since)) == NOON


def buried(database: Database) -> datetime | None:
    with database.read() as connection:
        found: datetime | None = connection.scalar(sa.select(addresses.c.undeliverable_since))
        return found


def marked(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.scalars(sa.select(changed_customers.c.customer_id)))


def test_an_address_that_is_dead_is_not_written_to_and_its_customer_is_judged_again(
    database: Database, tell: Any
) -> None:
    queue_for(database, ["ana"])
    reach(database, "ana", "wecom", address="wx_ana")
    go(database, "ana", S.SENT)
    tell(about("ana", K.UNDELIVERED, dead_address=True))
    assert buried(database) == NOON
    assert marked(database) == ["ana"]


def test_an_address_that_ana_has_taken_meanwhile_is_not_taken_for_dead(database: Database, tell: Any) -> None:
    queue_for(database, ["ana"])
    reach(database, "ana", "wecom", address="wx_ana_new")
    go(database, "ana", S.SENT)
    tell(about("ana", K.UNDELIVERED, dead_address=True))
    assert the_message(database, "ana").state == "undelivered"
    assert buried(database) is None
    assert marked(database) == []


def waiting_addresses(database: Database) -> list[str | None]:
    with database.read() as connection:
        return list(connection.scalars(sa.select(table.c.address)))


def test_a_refusal_by_an_address_that_nobody_has_yet_holds_for_whoever_brings_it(
    database: Database, tell: Any
) -> None:
    gone = Receipt("r", K.OPTED_OUT, NOON, address="wecom:ana", dead_address=True)
    assert tell(gone) == {"unknown_message": 1}
    reach(database, "ana", "wecom")
    assert tell.again() == 1
    with database.read() as connection:
        refused = sa.select(consents.c.customer_id).where(consents.c.granted.is_(False))
        assert connection.scalars(refused).all() == ["ana"]
    assert buried(database) == NOON
    assert waiting_addresses(database) == [None]


def test_a_dead_address_that_is_told_before_its_message_is_known_is_not_forgotten(
    database: Database, tell: Any
) -> None:
    reach(database, "ana", "wecom", address="wx_ana")
    assert tell(about("ana", K.UNDELIVERED, dead_address=True)) == {"unknown_message": 1}
    queue_for(database, ["ana"])
    go(database, "ana", S.SENT)
    assert tell.again() == 1
    assert buried(database) == NOON


def test_an_address_that_nobody_brings_is_forgotten_after_a_day(database: Database, tell: Any) -> None:
    tell(Receipt("r", K.OPTED_OUT, NOON, address="wx_nobody"))
    assert tell.again() == 0
    assert waiting_addresses(database) == ["wx_nobody"]
    assert tell.again(NOON + timedelta(days=1)) == 0
    assert waiting_addresses(database) == [None]


def test_what_was_not_delivered_goes_to_the_next_channel_once(database: Database, tell: Any) -> None:
    queue_for(database, ["ana"])
    reach(database, "ana", "sms")
    go(database, "ana", S.SENT)
    tell(about("ana", K.UNDELIVERED))
    found = the_message(database, "ana")
    assert (found.state, found.channel, found.address) == ("queued", "sms", "sms:ana")
    assert found.sent_at is None
    assert tell(about("ana", K.DELIVERED, "late")) == {"nothing_new": 1}


EVENTS = st.lists(st.sampled_from([K.SENT, K.DELIVERED, K.UNDELIVERED]), min_size=1, max_size=6)


@given(events=EVENTS)
@tried(max_examples=many(60), deadline=None, suppress_health_check=list(HealthCheck))
def test_after_any_receipts_an_end_stays_an_end(sqlite_database: Database, events: list[K]) -> None:
    with sqlite_database.write() as connection:
        connection.execute(sa.delete(messages))
        connection.execute(sa.delete(table))
    queue_for(sqlite_database, ["ana"])
    go(sqlite_database, "ana", S.UNKNOWN)
    library = load_library(Path("playbooks"), Settings())
    ended = ""
    for number, kind in enumerate(events):
        told = [about("ana", kind, str(number))]
        receipts.take(sqlite_database, library, Settings(), "wecom", told, now=NOON)
        state = the_message(sqlite_database, "ana").state
        assert not ended or state == ended
        ended = state if state in ("delivered", "undelivered") else ""
