"""Channels: adapters to those who carry a message to a customer; one folder each.

In: rendered messages, and the settings. Out: for each message, accepted or refused and why. A channel sees no
table; what it did is recorded by delivery.
"""

from smr.channels.protocol import Accepted, Channel, Outgoing, Refused, Result, Traits, UnknownPolicy
from smr.channels.registry import open_channel

__all__ = [
    "Accepted",
    "Channel",
    "Outgoing",
    "Refused",
    "Result",
    "Traits",
    "UnknownPolicy",
    "open_channel",
]
