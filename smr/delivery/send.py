"""Calling a channel, and reading its answer as settlements.

In: messages recorded as being sent. Out: for each, the state it goes to; and what the call says about the
channel as a whole. Nothing is written here.
Trap: only a clear refusal is taken as "not sent". Whatever else goes wrong leaves the messages unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from smr.channels import Accepted, Channel, Outgoing, Refused, Result
from smr.crash_points import reached
from smr.errors import ChannelError, Refusal
from smr.events import MessageState
from smr.outbox import Claimed, Settlement
from smr.outbox.backoff import MOST_REFUSALS, pause_after

OF_THE_CHANNEL = frozenset({Refusal.UNAVAILABLE, Refusal.UNAUTHORIZED, Refusal.THROTTLED, Refusal.IN_DOUBT})
"""Refusals that say something about the channel; the others are about one message."""
BLAMELESS = frozenset({Refusal.THROTTLED, Refusal.UNAUTHORIZED})
"""Refusals for which a message is not to blame, however often."""


@dataclass(frozen=True)
class Answer:
    """What came of one call.

    `trouble`: why the channel gave up on the whole call, or "". `failure`: the refusal that all messages of
    the call met, where it is the channel's.
    """

    settlements: tuple[Settlement, ...]
    trouble: str = ""
    failure: Refused | None = None


def send(channel: Channel, sending: Sequence[Claimed], *, now: datetime) -> Answer:
    """Hand messages to the channel in one call."""
    if not sending:
        return Answer(())
    reached("before_call")
    try:
        results = channel.send([outgoing(message, now) for message in sending])
    except ChannelError as error:
        refused = Refused(error.refusal, error.permanent, str(error), error.retry_after)
        return _whole(channel, sending, refused, now)
    except Exception as error:
        return _whole(channel, sending, _doubt(f"the channel broke off ({type(error).__name__})"), now)
    if len(results) != len(sending):
        return _whole(channel, sending, _doubt("the channel answered for another number of messages"), now)
    reached("after_reply")
    settlements = tuple(_settlement(channel, *pair, now) for pair in zip(sending, results, strict=True))
    return Answer(settlements, failure=_of_the_channel(results))


def outgoing(message: Claimed, now: datetime) -> Outgoing:
    """The message as a channel gets it."""
    return Outgoing(
        message_id=message.message_id,
        customer_id=message.customer_id,
        playbook=message.playbook,
        step=message.step,
        address=message.address,
        subject=message.subject,
        text=message.body,
        html=message.html,
        attachments=tuple(message.attachments or ()),
        sent_at=now,
        purpose=message.purpose,
        attempt=message.attempt,
    )


def _doubt(detail: str) -> Refused:
    return Refused(Refusal.IN_DOUBT, permanent=False, detail=detail)


def _of_the_channel(results: Sequence[Result]) -> Refused | None:
    """The refusal that speaks for the channel: any that asks for less, or the one that all met."""
    refused = [result for result in results if isinstance(result, Refused)]
    throttled = [result for result in refused if result.refusal is Refusal.THROTTLED]
    if throttled:
        return max(throttled, key=lambda result: result.retry_after)
    met = len(refused) == len(results) and all(result.refusal in OF_THE_CHANNEL for result in refused)
    return refused[0] if met else None


def _whole(channel: Channel, sending: Sequence[Claimed], refused: Refused, now: datetime) -> Answer:
    """The same refusal for all. A channel that may not send at all says nothing about the messages."""
    lasting = refused.permanent and refused.refusal not in BLAMELESS
    each = Refused(refused.refusal, lasting, refused.detail, refused.retry_after)
    settlements = tuple(_settlement(channel, message, each, now) for message in sending)
    return Answer(settlements, refused.detail or refused.refusal.value, refused)


def _settlement(channel: Channel, message: Claimed, result: Result, now: datetime) -> Settlement:
    if isinstance(result, Accepted):
        state = MessageState.WITH_STAFF if channel.traits.staff_confirms else MessageState.SENT
        return Settlement(message, state, provider_id=result.provider_id)
    if result.refusal is Refusal.IN_DOUBT:
        return _ended(message, MessageState.UNKNOWN, result)
    blame = result.refusal not in BLAMELESS
    if (result.permanent and blame) or (blame and message.refusals + 1 >= MOST_REFUSALS):
        return _ended(message, MessageState.FAILED, result)
    later = now + pause_after(message.refusals + 1, key=message.message_id, asked=result.retry_after)
    return Settlement(
        message,
        MessageState.QUEUED,
        reason=result.refusal.value,
        detail=result.detail,
        send_after=later,
        blame=blame,
    )


def _ended(message: Claimed, state: MessageState, refused: Refused) -> Settlement:
    return Settlement(message, state, reason=refused.refusal.value, detail=refused.detail)
