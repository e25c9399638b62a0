"""Messages of which nobody can say whether they went out, settled by their channel's policy.

In: unknown messages of one channel. Out: sent or queued again, where the channel could be asked or takes
each id only once; otherwise left to people.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from smr import outbox
from smr.channels import Channel, UnknownPolicy
from smr.database import Database
from smr.delivery.report import DeliveryReport
from smr.errors import ChannelError
from smr.outbox import Unknown

AT_A_TIME = 500


def settle(
    database: Database, channel: Channel, unknown: Sequence[Unknown], *, now: datetime, report: DeliveryReport
) -> None:
    """Settle a channel's unknown messages as far as its policy can."""
    if channel.traits.unknown_policy is UnknownPolicy.HOLD:
        return
    for start in range(0, len(unknown), AT_A_TIME):
        some = unknown[start : start + AT_A_TIME]
        try:
            arrived = _arrived(channel, some)
        except ChannelError as error:
            report.troubles[channel.name] = str(error)
            return
        sent, again = outbox.settle_unknown(database, some, arrived, now=now)
        report.rescued.update({"found_sent": sent, "sent_again": again})


def _arrived(channel: Channel, some: Sequence[Unknown]) -> dict[str, bool]:
    """What is known of each; under the policy to send again, that none has arrived."""
    ids = [message.message_id for message in some]
    if channel.traits.unknown_policy is UnknownPolicy.ASK:
        return channel.ask(ids)
    return dict.fromkeys(ids, False)
