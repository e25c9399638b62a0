"""What a channel is: a name, declared traits, `send`, and `ask` where the provider can be asked.

Trap: a channel that cannot tell whether a message went out must say so, by `Refusal.IN_DOUBT`; a message
refused for any other reason is taken as surely not sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from smr.errors import Refusal


class UnknownPolicy(StrEnum):
    """What to do with a message of which nobody can say whether it went out."""

    ASK = "ask"
    """Ask the provider, then record it as sent or send it again."""
    RESEND = "resend"
    """Send it again under the same id: the provider takes each id once."""
    HOLD = "hold"
    """Leave it to people."""


@dataclass(frozen=True)
class Traits:
    """What a channel declares of itself.

    `personal`: each customer gets an own message (else one text goes to many). `dedupes`: a message id
    is taken only once. `can_ask`: it can be asked whether a message arrived. `staff_confirms`: a person
    sends it in the end.
    `max_batch`: messages in one call. `max_length`: characters of a text; None: no limit.
    """

    personal: bool
    dedupes: bool
    can_ask: bool
    staff_confirms: bool
    max_batch: int
    max_length: int | None
    unknown_policy: UnknownPolicy


@dataclass(frozen=True)
class Outgoing:
    """One message as a channel gets it. `sent_at` is the instant of sending, in UTC."""

    message_id: str
    customer_id: str
    playbook: str
    step: str
    address: str
    subject: str | None
    text: str
    html: str | None
    attachments: Sequence[Mapping[str, Any]]
    sent_at: datetime


@dataclass(frozen=True)
class Accepted:
    """The channel has taken the message; `provider_id` is what the provider calls it."""

    provider_id: str | None = None


@dataclass(frozen=True)
class Refused:
    """The channel has not taken the message; `permanent` tells whether trying again is of no use.

    `retry_after` is how many seconds the provider wants to be left alone.
    """

    refusal: Refusal
    permanent: bool
    detail: str = ""
    retry_after: float = 0


Result = Accepted | Refused


class Channel(Protocol):
    """One way to reach customers."""

    @property
    def name(self) -> str:
        """The name playbooks use."""

    @property
    def traits(self) -> Traits:
        """What the channel declares of itself."""

    @property
    def place(self) -> str:
        """Where the messages go, for people: a folder, a host."""

    def send(self, batch: Sequence[Outgoing]) -> list[Result]:
        """Send at most `max_batch` messages; one result for each, in order.

        Raises ChannelError when the whole batch was not taken.
        """

    def ask(self, message_ids: Sequence[str]) -> dict[str, bool]:
        """Whether each of these messages has arrived; ids it cannot tell of are left out.

        Raises ChannelError when it cannot be asked now.
        """
