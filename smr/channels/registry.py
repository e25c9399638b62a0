"""Which adapters there are, by the `kind` of a channel's settings.

In: a channel's name and the settings. Out: the channel. Others are found by the entry-point group
`smr.channels`: each entry point is a callable that takes the name and the settings.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from smr.channels.file import FileChannel
from smr.channels.protocol import Channel
from smr.errors import OperatorError, did_you_mean
from smr.settings import Settings

GROUP = "smr.channels"
Opener = Callable[[str, Settings], Channel]

BUILT_IN: dict[str, Opener] = {"file": FileChannel}


def open_channel(name: str, settings: Settings) -> Channel:
    """The channel of that name, ready to send.

    Raises OperatorError where the configuration has no such channel, or nothing to send it with.
    """
    if not settings.is_channel(name):
        raise OperatorError(
            f"channels: there is no channel {name!r}; {did_you_mean(name, settings.channel_names)}"
        )
    return opener(settings.channel(name).kind)(name, settings)


def opener(kind: str) -> Opener:
    """What makes channels of a kind."""
    if kind in BUILT_IN:
        return BUILT_IN[kind]
    for entry in entry_points(group=GROUP, name=kind):
        made: Opener = entry.load()
        return made
    raise OperatorError(f"channels: nothing installed sends by {kind!r}; {did_you_mean(kind, kinds())}")


def kinds() -> list[str]:
    """The kinds of channels that are installed."""
    return sorted({*BUILT_IN, *(entry.name for entry in entry_points(group=GROUP))})
