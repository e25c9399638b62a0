"""A channel's answers, one by one; the channel here is scripted, for a real one seldom refuses on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from smr.channel_kinds import Kind
from smr.channels import Accepted, Outgoing, Refused, Result, Traits, UnknownPolicy, file
from smr.database import Database
from smr.delivery import DeliveryReport
from smr.errors import ChannelError, Refusal
from tests.delivery.shop import deliver_all, end_rests
from tests.outbox.rows import NOON, attempts, begin, claim, end_leases, queue_for, states, the_message


@dataclass
class Scripted:
    """Answers as it is told to, and keeps what it was given."""

    answer: Callable[[Sequence[Outgoing]], list[Result]]
    policy: UnknownPolicy = UnknownPolicy.HOLD
    staff: bool = False
    name: str = "wecom"
    place: str = "nowhere"
    got: list[Outgoing] = field(default_factory=list)

    @property
    def traits(self) -> Traits:
        return Traits(
            personal=True,
            dedupes=False,
            can_ask=self.policy is UnknownPolicy.ASK,
            staff_confirms=self.staff,
            max_batch=100,
            max_length=None,
            unknown_policy=self.policy,
        )

    def send(self, batch: Sequence[Outgoing]) -> list[Result]:
        self.got += batch
        return self.answer(batch)

    def ask(self, message_ids: Sequence[str]) -> dict[str, bool]:
        raise ChannelError(Refusal.UNAVAILABLE, "the provider does not answer", permanent=False)


@pytest.fixture
def round_with(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., DeliveryReport]:
    def run(channel: Scripted, **changes: object) -> DeliveryReport:
        monkeypatch.setattr(file, "KIND", Kind(file.FileSettings, lambda name, settings: channel))
        return deliver_all(sqlite_database, tmp_path / "out", **changes)

    return run


def raising(refusal: Refusal, *, permanent: bool = False, retry_after: float = 0) -> Scripted:
    def answer(batch: Sequence[Outgoing]) -> list[Result]:
        raise ChannelError(refusal, "the provider said no", permanent=permanent, retry_after=retry_after)

    return Scripted(answer)


Round = Callable[..., DeliveryReport]


def test_one_refused_message_does_not_keep_the_others(sqlite_database: Database, round_with: Round) -> None:
    queue_for(sqlite_database, ["ana", "ben", "cleo"])
    bad = Refused(Refusal.UNREACHABLE, permanent=True, detail="no such friend")
    round_with(Scripted(lambda batch: [bad if one.customer_id == "ben" else Accepted("p1") for one in batch]))
    assert states(sqlite_database) == {"ana": "sent", "ben": "failed", "cleo": "sent"}
    assert the_message(sqlite_database, "ben").reason == "unreachable"
    assert the_message(sqlite_database, "ana").provider_id == "p1"


def test_a_passing_refusal_is_tried_again_later_and_in_the_end_fails(
    sqlite_database: Database, round_with: Round
) -> None:
    queue_for(sqlite_database, ["ana"])
    busy = Scripted(lambda batch: [Refused(Refusal.UNAVAILABLE, permanent=False) for _ in batch])
    now = NOON
    for attempt in range(1, 8):
        round_with(busy, now=now)
        assert (states(sqlite_database), len(busy.got)) == ({"ana": "queued"}, attempt)
        round_with(busy, now=now)
        assert len(busy.got) == attempt, "not before its wait is over"
        now = the_message(sqlite_database, "ana").send_after
        end_rests(sqlite_database)
    round_with(busy, now=now)
    assert states(sqlite_database) == {"ana": "failed"}
    assert attempts(sqlite_database, "ana") == [(n, "refused") for n in range(1, 9)]


def test_a_throttled_channel_is_left_alone_for_as_long_as_it_asks(
    sqlite_database: Database, round_with: Round
) -> None:
    queue_for(sqlite_database, [f"会员{n}" for n in range(250)])
    channel = raising(Refusal.THROTTLED, retry_after=1800)
    report = round_with(channel)
    assert len(channel.got) <= 100, "the channel is not called again in this round"
    assert set(states(sqlite_database).values()) == {"queued"}
    assert report.troubles == {"wecom": "the provider said no"}
    tried = the_message(sqlite_database, channel.got[0].customer_id)
    assert tried.send_after == NOON + timedelta(seconds=1800)


def test_a_channel_without_permission_fails_no_message(sqlite_database: Database, round_with: Round) -> None:
    queue_for(sqlite_database, ["ana"])
    round_with(raising(Refusal.UNAUTHORIZED, permanent=True))
    assert states(sqlite_database) == {"ana": "queued"}


def _broken(batch: Sequence[Outgoing]) -> list[Result]:
    raise KeyError("a bug")


def _too_few(batch: Sequence[Outgoing]) -> list[Result]:
    return [Accepted()] * (len(batch) - 1)


@pytest.mark.parametrize(
    "channel",
    [raising(Refusal.IN_DOUBT), Scripted(_broken), Scripted(_too_few)],
    ids=["in doubt", "a bug", "too few answers"],
)
def test_whatever_is_not_clear_leaves_the_messages_unknown_and_is_never_sent_again_by_itself(
    sqlite_database: Database, round_with: Round, channel: Scripted
) -> None:
    queue_for(sqlite_database, ["ana", "ben"])
    report = round_with(channel)
    assert report.troubles
    assert set(states(sqlite_database).values()) == {"unknown"}
    good = Scripted(lambda batch: [Accepted() for _ in batch])
    round_with(good, now=NOON + timedelta(days=1))
    assert good.got == []


def test_a_channel_that_takes_each_id_once_gets_an_unknown_message_again(
    sqlite_database: Database, round_with: Round
) -> None:
    queue_for(sqlite_database, ["ana"])
    round_with(Scripted(_broken, policy=UnknownPolicy.RESEND))
    again = Scripted(lambda batch: [Accepted() for _ in batch], policy=UnknownPolicy.RESEND)
    report = round_with(again)
    assert report.rescued["sent_again"] == 1
    assert states(sqlite_database) == {"ana": "sent"}


def test_a_provider_that_cannot_be_asked_leaves_the_message_unknown(
    sqlite_database: Database, round_with: Round
) -> None:
    queue_for(sqlite_database, ["ana"])
    begin(sqlite_database, claim(sqlite_database))
    end_leases(sqlite_database)
    report = round_with(Scripted(_broken, policy=UnknownPolicy.ASK))
    assert states(sqlite_database) == {"ana": "unknown"}
    assert report.troubles == {"wecom": "the provider does not answer"}


def test_what_staff_send_in_the_end_is_with_staff(sqlite_database: Database, round_with: Round) -> None:
    queue_for(sqlite_database, ["ana"])
    round_with(Scripted(lambda batch: [Accepted("task 7") for _ in batch], staff=True))
    assert states(sqlite_database) == {"ana": "with_staff"}
    assert the_message(sqlite_database, "ana").sent_at is None
