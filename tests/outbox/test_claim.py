from __future__ import annotations

from datetime import timedelta

import pytest

from smr import outbox
from smr.database import Database
from smr.events import MessageState
from smr.outbox.states import ARROWS, check_arrow
from tests.outbox.rows import (
    NOON,
    attempts,
    begin,
    claim,
    customers,
    end_leases,
    queue,
    queue_for,
    row,
    states,
    the_message,
)


def test_a_claimed_message_is_not_claimed_again(database: Database) -> None:
    queue_for(database, ["ana", "ben", "cleo"])
    first, second = claim(database, limit=2), claim(database, limit=2)
    assert len(first) == 2
    assert len(second) == 1
    assert {m.customer_id for m in (*first, *second)} == {"ana", "ben", "cleo"}
    assert set(states(database).values()) == {"claimed"}


def test_the_higher_priority_goes_first_then_what_was_due_earlier(database: Database) -> None:
    queue(
        database,
        row("ana", priority=10),
        row("ben", priority=90, due_at=NOON),
        row("cleo", priority=90, due_at=NOON - timedelta(hours=1)),
    )
    assert [m.customer_id for m in claim(database)] == ["cleo", "ben", "ana"]


def test_the_order_is_over_all_buckets(database: Database) -> None:
    queue(
        database,
        *(
            row(one, priority=20, due_at=NOON - timedelta(minutes=number))
            for number, one in enumerate("abcdef")
        ),
        *(row(one, priority=80, step="offer") for one in customers(3)),
    )
    with database.read() as connection:
        places = outbox.in_order(connection, "wecom", now=NOON, most=8)
    claimed = claim(database, wanted=places)
    assert [message.step for message in claimed] == ["offer"] * 3 + ["heads_up"] * 5
    assert [message.customer_id for message in claimed[3:]] == list("fedcb")


def test_what_is_not_due_or_too_late_or_on_another_channel_is_not_claimed(database: Database) -> None:
    queue(
        database,
        row("ana", send_after=NOON + timedelta(seconds=1)),
        row("ben", expires_at=NOON),
        row("cleo", channel="sms"),
        row("小林", send_after=NOON),
    )
    assert [m.customer_id for m in claim(database)] == ["小林"]


def test_begun_messages_have_an_attempt_before_the_channel_is_called(database: Database) -> None:
    queue_for(database, ["ana"])
    begun = begin(database, claim(database))
    assert [m.attempt for m in begun.sending] == [1]
    assert the_message(database, "ana").state == "sending"
    assert attempts(database, "ana") == [(1, "sending")]


def test_a_lease_runs_by_the_databases_clock_and_a_dead_one_gives_the_message_back(
    database: Database,
) -> None:
    queue_for(database, ["ana"])
    claim(database, lease_seconds=3600)
    assert outbox.rescue(database, now=NOON + timedelta(days=365)).queued == 0
    end_leases(database)
    assert outbox.rescue(database, now=NOON).queued == 1
    assert states(database) == {"ana": "queued"}
    assert len(claim(database)) == 1


def test_a_worker_whose_claim_was_taken_over_cannot_begin(database: Database) -> None:
    queue_for(database, ["ana"])
    stale = claim(database, owner="sleeper")
    end_leases(database)
    outbox.rescue(database, now=NOON)
    fresh = claim(database, owner="other")
    assert begin(database, stale).sending == ()
    assert [m.customer_id for m in begin(database, fresh).sending] == ["ana"]
    assert attempts(database, "ana") == [(1, "sending")]


def settled(database: Database, begun: outbox.Begun) -> int:
    """How many of these a worker that comes back can still settle as sent."""
    with database.write() as connection:
        done = [outbox.Settlement(message, MessageState.SENT) for message in begun.sending]
        return len(outbox.settle(connection, done, now=NOON))


def test_who_comes_back_late_settles_nothing_that_another_is_sending(database: Database) -> None:
    queue_for(database, ["ana"])
    late = begin(database, claim(database))
    end_leases(database)
    outbox.rescue(database, now=NOON)
    with database.read() as connection:
        unknown = outbox.unknown_messages(connection)
    outbox.send_again(database, unknown)
    other = begin(database, claim(database, owner="worker-2"))
    assert settled(database, late) == 0
    assert attempts(database, "ana") == [(1, "unknown"), (2, "sending")]
    assert settled(database, other) == 1
    assert states(database) == {"ana": "sent"}


def test_who_comes_back_late_begins_nothing_that_another_has_claimed(database: Database) -> None:
    queue_for(database, ["ana"])
    late = claim(database)
    end_leases(database)
    outbox.rescue(database, now=NOON)
    other = claim(database, owner="worker-2")
    assert begin(database, late) == outbox.Begun((), ())
    assert attempts(database, "ana") == []
    assert len(begin(database, other).sending) == 1


def test_who_claims_anew_what_it_lost_in_its_sleep_sends_it_once(database: Database) -> None:
    queue_for(database, ["ana", "ben"])
    lost = claim(database)
    end_leases(database)
    outbox.rescue(database, now=NOON)
    anew = claim(database)
    for hands in ([*lost, *anew], [*anew, *lost]):
        sending = begin(database, hands).sending
        begun = sorted(message.customer_id for message in sending)
        assert begun == (["ana", "ben"] if hands[0] in lost else [])
    assert attempts(database, "ana") == [(1, "sending")]
    assert settled(database, outbox.Begun((*anew, *lost), ())) == 2


def test_released_messages_wait_again(database: Database) -> None:
    queue_for(database, ["ana", "ben"])
    claimed = claim(database)
    with database.write() as connection:
        assert outbox.release(connection, claimed) == 2
        assert outbox.release(connection, claimed) == 0
    assert set(states(database).values()) == {"queued"}


def test_a_lease_can_be_renewed_by_who_holds_it_alone(database: Database) -> None:
    queue_for(database, ["ana"])
    claimed = claim(database)
    end_leases(database)
    with database.write() as connection:
        assert outbox.renew(connection, claimed, lease_seconds=60) == 1
    assert outbox.rescue(database, now=NOON).queued == 0
    end_leases(database)
    outbox.rescue(database, now=NOON)
    with database.write() as connection:
        assert outbox.renew(connection, claimed, lease_seconds=60) == 0


def test_every_state_has_its_arrows_and_ends_are_ends() -> None:
    assert set(ARROWS) == set(MessageState)
    assert {state for state, targets in ARROWS.items() if not targets} == {
        "expired",
        "delivered",
    }


@pytest.mark.parametrize("source", list(MessageState))
@pytest.mark.parametrize("target", list(MessageState))
def test_only_drawn_arrows_are_passed(source: MessageState, target: MessageState) -> None:
    if target in ARROWS[source]:
        check_arrow(source, target)
    else:
        with pytest.raises(ValueError, match="never goes"):
            check_arrow(source, target)


def test_nothing_that_went_out_is_ever_queued_again() -> None:
    for state in (
        MessageState.SENT,
        MessageState.DELIVERED,
        MessageState.WITH_STAFF,
    ):
        assert MessageState.QUEUED not in ARROWS[state]
        assert MessageState.CLAIMED not in ARROWS[state]
