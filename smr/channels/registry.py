"""From a channel's name to the channel."""

from __future__ import annotations

from smr.channel_kinds import kind_of
from smr.channels.protocol import Channel
from smr.errors import OperatorError, did_you_mean
from smr.settings import Settings


def open_channel(name: str, settings: Settings) -> Channel:
    """The channel of that name, ready to send. It has called nobody yet.

    Raises OperatorError where the configuration has no such channel, or nothing to send it with.
    """
    if not settings.is_channel(name):
        raise OperatorError(
            f"channels: there is no channel {name!r}; {did_you_mean(name, settings.channel_names)}"
        )
    opened: Channel = kind_of(settings.channel(name).kind).open(name, settings)
    return opened
