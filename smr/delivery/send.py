"""Calling a channel, and reading its answer as settlements.

In: messages recorded as being sent. Out: for each, the state it goes to; and, where the channel as a
whole gave up, why. Nothing is written here.
Trap: only a clear refusal is taken as "not sent". Whatever else goes wrong leaves the messages unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from smr.channels import Accepted, Channel, Outgoing, Refused, Result
from smr.errors import ChannelError, Refusal
from smr.events import MessageState
from smr.outbox import Claimed, Settlement
from smr.outbox.backoff import MOST_ATTEMPTS, pause_after


def send(channel: Channel, sending: Sequence[Claimed], *, now: datetime) -> tuple[list[Settlement], str]:
    """Hand a batch to the channel; what became of each message, and the channel's trouble or ""."""
    if not sending:
        return [], ""
    try:
        results = channel.send([_outgoing(message, now) for message in sending])
    except ChannelError as error:
        refused = Refused(error.refusal, error.permanent, str(error), error.retry_after)
        return [_whole(channel, message, refused, now) for message in sending], str(error)
    except Exception as error:
        doubt = Refused(
            Refusal.IN_DOUBT, permanent=False, detail=f"the channel broke off ({type(error).__name__})"
        )
        return [_settlement(channel, message, doubt, now) for message in sending], doubt.detail
    if len(results) != len(sending):
        doubt = Refused(
            Refusal.IN_DOUBT, permanent=False, detail="the channel answered for another number of messages"
        )
        return [_settlement(channel, message, doubt, now) for message in sending], doubt.detail
    return [_settlement(channel, *pair, now) for pair in zip(sending, results, strict=True)], ""


def _outgoing(message: Claimed, now: datetime) -> Outgoing:
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
    )


def _whole(channel: Channel, message: Claimed, refused: Refused, now: datetime) -> Settlement:
    """A channel that may not send at all says nothing about the messages: they wait."""
    if refused.refusal is Refusal.UNAUTHORIZED:
        return _again(message, refused, now)
    return _settlement(channel, message, refused, now)


def _settlement(channel: Channel, message: Claimed, result: Result, now: datetime) -> Settlement:
    if isinstance(result, Accepted):
        state = MessageState.WITH_STAFF if channel.traits.staff_confirms else MessageState.SENT
        return Settlement(message, state, provider_id=result.provider_id)
    if result.refusal is Refusal.IN_DOUBT:
        return _ended(message, MessageState.UNKNOWN, result)
    if result.permanent or message.attempt >= MOST_ATTEMPTS:
        return _ended(message, MessageState.FAILED, result)
    return _again(message, result, now)


def _ended(message: Claimed, state: MessageState, refused: Refused) -> Settlement:
    return Settlement(message, state, reason=refused.refusal.value, detail=refused.detail)


def _again(message: Claimed, refused: Refused, now: datetime) -> Settlement:
    later = now + pause_after(message.attempt, asked=refused.retry_after)
    return Settlement(
        message, MessageState.QUEUED, reason=refused.refusal.value, detail=refused.detail, send_after=later
    )
