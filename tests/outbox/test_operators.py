from __future__ import annotations

from datetime import timedelta

from smr import outbox
from smr.database import Database
from smr.events import MessageState
from smr.outbox import Settlement, look
from smr.outbox.backoff import pause_after
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


def settle(database: Database, state: MessageState, *people: str) -> None:
    sending = begin(database, claim(database, limit=1000)).sending
    ends = [Settlement(one, state if one.customer_id in people else MessageState.SENT) for one in sending]
    with database.write() as connection:
        outbox.settle(connection, ends, now=NOON)


def test_cancelling_takes_what_waits_and_is_claimed_and_leaves_what_went_out(database: Database) -> None:
    queue_for(database, ["ana"])
    settle(database, MessageState.SENT)
    queue_for(database, ["ben", "cleo"])
    hand = claim(database, limit=1)
    assert outbox.cancel(database, *look.chosen(playbook="refill"), actor="operator 李", now=NOON) == 2
    assert sorted(states(database).items()) == [("ana", "sent"), ("ben", "cancelled"), ("cleo", "cancelled")]
    assert begin(database, hand).sending == ()
    assert the_message(database, "ben").owner == "operator 李"
    assert the_message(database, "ben").reason == "operator"


def test_what_is_being_sent_cannot_be_cancelled(database: Database) -> None:
    queue_for(database, ["ana"])
    begin(database, claim(database))
    assert outbox.cancel(database, *look.chosen(customer_id="ana"), actor="ops", now=NOON) == 0
    assert states(database) == {"ana": "sending"}


def test_failed_unknown_and_cancelled_messages_can_be_sent_again_and_sent_ones_cannot(
    database: Database,
) -> None:
    queue_for(database, ["ana", "ben"])
    settle(database, MessageState.FAILED, "ana")
    queue_for(database, ["cleo"])
    settle(database, MessageState.UNKNOWN, "cleo")
    queue_for(database, ["小林"])
    outbox.cancel(database, *look.chosen(customer_id="小林"), actor="ops", now=NOON)
    assert outbox.retry(database, actor="ops", now=NOON) == 3
    assert states(database) == {"ana": "queued", "ben": "sent", "cleo": "queued", "小林": "queued"}
    settle(database, MessageState.SENT)
    assert attempts(database, "cleo") == [(1, "unknown"), (2, "sent")]
    assert attempts(database, "小林") == [(1, "sent")]


def test_what_is_no_longer_useful_is_not_sent_again(database: Database) -> None:
    queue(database, row("ana", expires_at=NOON + timedelta(hours=1)))
    settle(database, MessageState.FAILED, "ana")
    assert outbox.retry(database, actor="ops", now=NOON + timedelta(hours=1)) == 0
    assert states(database) == {"ana": "failed"}


def test_a_whole_playbook_is_cancelled_bucket_by_bucket(database: Database) -> None:
    people = customers(700)
    queue_for(database, people)
    queue_for(database, ["ana"], playbook="other")
    assert outbox.cancel(database, *look.chosen(playbook="refill"), actor="ops", now=NOON) == 700
    assert the_message(database, "ana").state == "queued"


def test_pruning_empties_old_texts_and_keeps_the_key_of_the_reminder(database: Database) -> None:
    queue_for(database, ["ana"], attachments=[{"link": {"title": "t", "url": "https://a.example"}}])
    settle(database, MessageState.SENT)
    queue_for(database, ["ben"])
    assert outbox.prune(database, before=NOON) == 0
    assert outbox.prune(database, before=NOON + timedelta(seconds=1)) == 1
    assert outbox.prune(database, before=NOON + timedelta(seconds=1)) == 0
    ana = the_message(database, "ana")
    assert (ana.body, ana.address, ana.attachments, ana.state) == ("", "", None, "sent")
    assert the_message(database, "ben").body == "该补货啦"
    assert queue(database, row("ana")) == 0


def test_expiry_takes_only_what_waits(database: Database) -> None:
    queue(
        database,
        row("ana", expires_at=NOON + timedelta(hours=1)),
        row("ben", expires_at=NOON + timedelta(hours=2)),
    )
    queue(database, row("cleo", expires_at=NOON + timedelta(hours=1), channel="sms"))
    claim(database, channel="sms")
    assert outbox.expire(database, now=NOON + timedelta(hours=1)) == 1
    assert states(database) == {"ana": "expired", "ben": "queued", "cleo": "claimed"}


def test_a_claimed_message_that_got_too_late_expires_instead_of_being_sent(database: Database) -> None:
    queue(database, row("ana", expires_at=NOON + timedelta(hours=1)))
    begun = begin(database, claim(database), now=NOON + timedelta(hours=1))
    assert begun.sending == ()
    assert states(database) == {"ana": "expired"}


def test_an_unknown_message_is_settled_only_while_its_last_attempt_is_the_one_asked_about(
    database: Database,
) -> None:
    queue_for(database, ["ana"])
    begin(database, claim(database))
    end_leases(database)
    outbox.rescue(database, now=NOON)
    with database.read() as connection:
        asked = outbox.unknown_messages(connection)
    outbox.retry(database, actor="ops", now=NOON)
    begin(database, claim(database))
    end_leases(database)
    outbox.rescue(database, now=NOON)
    assert outbox.settle_unknown(database, asked, {asked[0].message_id: False}, now=NOON) == (0, 0)
    assert states(database) == {"ana": "unknown"}


def test_waits_double_up_to_an_hour_and_heed_the_provider_up_to_a_day() -> None:
    for refusals, wait in zip((1, 2, 3, 7, 30), (60, 120, 240, 3600, 3600), strict=True):
        waits = {pause_after(refusals, key=f"m{n}").total_seconds() for n in range(100)}
        assert wait * 0.75 <= min(waits) < wait < max(waits) <= wait * 1.25
    assert pause_after(2, key="m1") == pause_after(2, key="m1") != pause_after(2, key="m2")
    assert pause_after(1, key="m", asked=600).total_seconds() == 600
    assert pause_after(1, key="m", asked=1e9).total_seconds() == 86_400
    assert pause_after(1, key="m", asked=-5).total_seconds() <= 75
