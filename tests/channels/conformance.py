"""What every channel must keep to: the conformance kit.

A channel's tests subclass `Conformance` and give a `stage`: how to open the channel, make its provider
misbehave, and read what the provider got. Channels of other packages may use it in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest

from smr.channels import Accepted, Channel, Closing, Outgoing, Refused, Result
from smr.errors import ChannelError, Refusal

MORNING = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)


class Stage(Protocol):
    """A channel with its provider."""

    def open(self) -> Channel:
        """A new channel to the same provider."""

    def received(self) -> list[str]:
        """The message ids the provider has taken, one for each time."""

    def break_before(self) -> None:
        """From now on nothing can be taken."""

    def break_after(self) -> bool:
        """From now on messages are taken, but the answer is lost; False where that cannot happen."""


def message(number: int, **changes: Any) -> Outgoing:
    """A message; `address` suits any channel."""
    given: dict[str, Any] = {
        "message_id": f"{number:032x}",
        "customer_id": f"会员{number}",
        "playbook": "refill",
        "step": "heads_up",
        "address": f"member{number}@example.com",
        "subject": "补货提醒",
        "text": "洁面快用完了,要留一支吗?",
        "html": None,
        "attachments": (),
        "sent_at": MORNING,
    } | changes
    return Outgoing(**given)


def answered(channel: Channel, batch: Sequence[Outgoing]) -> list[Result]:
    """What the channel says of each message, in one call or several; a ChannelError as a refusal of all."""
    size = channel.traits.max_batch
    results: list[Result] = []
    for start in range(0, len(batch), size):
        some = batch[start : start + size]
        try:
            results += channel.send(some)
        except ChannelError as error:
            results += [Refused(error.refusal, error.permanent, str(error)) for _ in some]
    return results


def answered_anew(stage: Stage, batch: Sequence[Outgoing]) -> list[Result]:
    """The same by another channel to the same provider, as after a restart."""
    channel = stage.open()
    try:
        return answered(channel, batch)
    finally:
        if isinstance(channel, Closing):
            channel.close()


class Conformance:
    """The rules; `stage` is a fixture."""

    @pytest.fixture
    def channel(self, stage: Stage) -> Any:
        opened = stage.open()
        yield opened
        if isinstance(opened, Closing):
            opened.close()

    def test_it_declares_what_it_is(self, channel: Channel) -> None:
        traits = channel.traits
        assert channel.name
        assert channel.place
        assert traits.max_batch >= 1
        assert traits.parallel >= 1
        assert 0 < traits.call_seconds < 120

    def test_it_answers_for_each_message_in_order(self, stage: Stage, channel: Channel) -> None:
        batch = [message(number) for number in range(1, 8)]
        results = answered(channel, batch)
        assert [type(result) for result in results] == [Accepted] * 7
        assert sorted(stage.received()) == sorted(one.message_id for one in batch)

    def test_chinese_and_signs_arrive_whole(self, stage: Stage, channel: Channel) -> None:
        odd = "亲,😀 «ü» \\ \" ' <b>&amp;</b> %s {0} \u2028 end"
        assert isinstance(answered(channel, [message(1, text=odd)])[0], Accepted)
        assert stage.received() == [message(1).message_id]

    def test_a_message_that_cannot_be_written_is_refused_alone(self, stage: Stage, channel: Channel) -> None:
        results = answered(channel, [message(1), message(2, text="\ud800"), message(3)])
        assert [type(result) for result in results] == [Accepted, Refused, Accepted]
        refused = results[1]
        assert isinstance(refused, Refused)
        assert refused.permanent
        assert refused.refusal is not Refusal.IN_DOUBT

    def test_what_surely_did_not_go_is_not_called_doubtful(self, stage: Stage, channel: Channel) -> None:
        stage.break_before()
        (result,) = answered_anew(stage, [message(1)])
        assert isinstance(result, Refused)
        assert result.refusal in (Refusal.UNAVAILABLE, Refusal.UNAUTHORIZED, Refusal.THROTTLED)
        assert not result.permanent
        assert stage.received() == []

    def test_a_lost_answer_is_doubtful(self, stage: Stage, channel: Channel) -> None:
        if not stage.break_after():
            pytest.skip("cannot happen here")
        (result,) = answered(channel, [message(1)])
        assert isinstance(result, Refused)
        assert result.refusal is Refusal.IN_DOUBT

    def test_what_it_says_about_dedupe_and_asking_holds(self, stage: Stage, channel: Channel) -> None:
        answered(channel, [message(1)])
        if channel.traits.can_ask:
            asked = channel.ask([message(1).message_id, message(2).message_id])
            assert asked == {message(1).message_id: True, message(2).message_id: False}
        if channel.traits.dedupes:
            assert isinstance(answered_anew(stage, [message(1)])[0], Accepted)
            assert stage.received() == [message(1).message_id]

    def test_no_secret_nor_text_stands_in_what_it_says_of_itself_and_of_failures(
        self, stage: Stage, channel: Channel
    ) -> None:
        stage.break_before()
        results = answered(channel, [message(1, text="秘密文本", address="secret-address@example.com")])
        said = f"{channel!r} {channel.place} {channel.traits} {results}"
        for secret in ("秘密文本", "secret-address", *getattr(stage, "secrets", ())):
            assert secret not in said
