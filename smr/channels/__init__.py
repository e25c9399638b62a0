"""Channels: adapters to those who carry a message to a customer; one folder each.

In: rendered messages, and the settings. Out: for each message, accepted or refused and why; later, receipts.
A channel sees no table; what it did is recorded by delivery. See `protocol` for what one may be able to do.
"""

from smr.channels.protocol import (
    Accepted,
    Call,
    CallRefusedError,
    Channel,
    Closing,
    Grouping,
    Outgoing,
    Polled,
    Polling,
    Probing,
    Receipt,
    ReceiptKind,
    Receiving,
    Refused,
    Result,
    Traits,
    UnknownPolicy,
    Unsubscribing,
    Withdrawing,
)
from smr.channels.registry import open_channel

__all__ = [
    "Accepted",
    "Call",
    "CallRefusedError",
    "Channel",
    "Closing",
    "Grouping",
    "Outgoing",
    "Polled",
    "Polling",
    "Probing",
    "Receipt",
    "ReceiptKind",
    "Receiving",
    "Refused",
    "Result",
    "Traits",
    "UnknownPolicy",
    "Unsubscribing",
    "Withdrawing",
    "open_channel",
]
