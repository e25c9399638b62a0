"""Messages of which nobody can say whether they went out, settled by their channel's policy.

In: unknown messages of one channel. Out: sent or queued again, where the channel could be asked or takes
each id only once; otherwise left to people.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from smr import outbox
from smr.channels import Channel, UnknownPolicy
from smr.database import Database
from smr.delivery.report import DeliveryReport
from smr.errors import ChannelError
from smr.outbox import Unknown
from smr.outbox.backoff import MOST_REFUSALS, pause_after

AT_A_TIME = 500
MARGIN = timedelta(minutes=1)
"""A window within which a provider takes an id once is thought to be so much shorter."""


def settle(
    database: Database, channel: Channel, unknown: Sequence[Unknown], *, now: datetime, report: DeliveryReport
) -> None:
    """Settle a channel's unknown messages as far as its policy can."""
    for start in range(0, len(unknown), AT_A_TIME):
        some = unknown[start : start + AT_A_TIME]
        if channel.traits.unknown_policy is UnknownPolicy.RESEND:
            again = outbox.send_again(database, [one for one in some if _may_go_again(channel, one, now)])
            report.rescued.update({"sent_again": again})
        elif channel.traits.unknown_policy is UnknownPolicy.ASK:
            try:
                arrived = channel.ask([message.message_id for message in some])
            except ChannelError as error:
                report.troubles[channel.name] = str(error)
                return
            sent, again = outbox.settle_unknown(database, some, arrived, now=now)
            report.rescued.update({"found_sent": sent, "sent_again": again})


def _may_go_again(channel: Channel, message: Unknown, now: datetime) -> bool:
    """Whether it is time, not tried too often, and still within the window in which its id is taken once."""
    tried_at = message.tried_at or now
    if message.attempts > MOST_REFUSALS:
        return False
    if message.attempts > 1 and now < tried_at + pause_after(message.attempts - 1, key=message.message_id):
        return False
    window = channel.traits.dedupes_for if channel.traits.dedupes else None
    return window is None or now + MARGIN < tried_at + timedelta(seconds=window)
