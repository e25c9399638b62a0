"""Which kinds of channels there are: those that come with smr, and those that are installed beside it.

In: the `kind` of a channel's settings. Out: its `Kind`: the model of its settings, and what opens it.
A kind of another package is found by the entry-point group `smr.channels`; its entry point is a `Kind`.
Nothing is imported before it is asked for, so that a shop without a broker needs no broker's library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel

from smr.errors import OperatorError, did_you_mean

GROUP = "smr.channels"
BUILT_IN = ("file", "webhook", "email", "broker")
"""Each is a folder of `smr/channels` whose `KIND` says what it is."""


@dataclass(frozen=True)
class Kind:
    """One kind of channel.

    `settings` is the model of its entry in config.yaml, made from `ChannelSettings`. `open` takes the
    channel's name and all settings, and gives the channel; it must not call anybody. `polls`: its provider
    may have to be asked for receipts.
    """

    settings: type[BaseModel]
    open: Callable[[str, Any], Any]
    polls: bool = False


def kind_of(name: str) -> Kind:
    """The kind of that name. Raises OperatorError where nothing installed provides it."""
    if name in BUILT_IN:
        found: Kind = import_module(f"smr.channels.{name}").KIND
        return found
    for entry in entry_points(group=GROUP, name=name):
        loaded: Kind = entry.load()
        return loaded
    raise OperatorError(f"channels: nothing installed sends by {name!r}; {did_you_mean(name, kinds())}")


def kinds() -> list[str]:
    """The names of all kinds that are installed."""
    return sorted({*BUILT_IN, *(entry.name for entry in entry_points(group=GROUP))})
