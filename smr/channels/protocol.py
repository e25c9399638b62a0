"""What a channel is: a name, declared traits, `send`, and what else it is able to do.

    Channel                      name, traits, place, send, ask: every channel
    Closing                      holds connections that are to be closed
    Grouping                     one call carries only messages that go together (one text for many)
    Receiving                    the provider calls back with receipts
    Unsubscribing                its messages carry a link by which further ones are refused
    Polling                      the provider is asked for receipts
    Withdrawing                  what is with staff can be taken back from them
    Probing                      can be tried without sending anything

Trap: a channel that cannot tell whether a message went out must say so, by `Refusal.IN_DOUBT`; a message
refused for any other reason is taken as surely not sent.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, runtime_checkable

from smr.errors import Refusal
from smr.notation import Rate


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
    is taken only once, for `dedupes_for` seconds (None: for ever); after that, what is unknown is not sent
    again by itself. `can_ask`: it can be asked whether a message arrived. `staff_confirms`: a person
    sends it in the end, and a receipt tells so.
    `max_batch`: messages in one call; so many may be left unknown by one crash, so a channel that does not
    dedupe keeps it small. `parallel`: calls at once in one process. `call_seconds`: the longest one call
    may take in all. `rate`: how fast, over all processes; None: no limit.
    `max_length`: characters of a text; None: no limit.
    """

    personal: bool
    dedupes: bool
    can_ask: bool
    staff_confirms: bool
    max_batch: int
    max_length: int | None
    unknown_policy: UnknownPolicy
    dedupes_for: int | None = None
    parallel: int = 1
    call_seconds: float = 60
    rate: Rate | None = None


class Outgoing(NamedTuple):
    """One message as a channel gets it. `sent_at` is the instant of sending, in UTC.

    `attempt` counts the tries to send it; `message_id` is the same in all of them, and is the key under
    which a provider is asked to take it only once.
    """

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
    purpose: str = "marketing"
    attempt: int = 1


@dataclass(frozen=True)
class Accepted:
    """The channel has taken the message; `provider_id` is what the provider calls it."""

    provider_id: str | None = None


@dataclass(frozen=True)
class Refused:
    """The channel has not taken the message; `permanent` tells whether trying again is of no use.

    `retry_after` is how many seconds the provider wants to be left alone. A permanent refusal as
    `Refusal.UNREACHABLE` says that this customer cannot be reached there: the step's next channel is tried.
    """

    refusal: Refusal
    permanent: bool
    detail: str = ""
    retry_after: float = 0


Result = Accepted | Refused


class Channel(Protocol):
    """One way to reach customers. One object is used by several threads at once, up to `parallel`."""

    @property
    def name(self) -> str:
        """The name playbooks use."""

    @property
    def traits(self) -> Traits:
        """What the channel declares of itself."""

    @property
    def place(self) -> str:
        """Where the messages go, for people: a folder, a host. No secret."""

    def send(self, batch: Sequence[Outgoing]) -> list[Result]:
        """Send at most `max_batch` messages within `call_seconds`; one result for each, in order.

        Raises ChannelError when the whole batch was not taken.
        """

    def ask(self, message_ids: Sequence[str]) -> dict[str, bool]:
        """Whether each of these messages has arrived; ids it cannot tell of are left out.

        Called only where `can_ask`. Raises ChannelError when it cannot be asked now.
        """


@runtime_checkable
class Closing(Protocol):
    """A channel that holds connections."""

    def close(self) -> None:
        """Let them go; the channel is not used any more."""


@runtime_checkable
class Grouping(Protocol):
    """A channel of which one call carries only messages that go together."""

    def together(self, message: Outgoing) -> Hashable:
        """Messages for which this is the same may go in one call: such as the text, and its sender."""


@runtime_checkable
class Probing(Protocol):
    """A channel that can be tried without sending anything."""

    def probe(self) -> None:
        """Connect and say who we are. Raises ChannelError where that fails."""


class ReceiptKind(StrEnum):
    """What a provider tells of a message, or of a customer, after it took the message."""

    SENT = "sent"
    """It went out: a member of staff has sent it, or the provider has handed it on."""
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    """It will not arrive; the step's next channel is tried."""
    NOT_SENT = "not_sent"
    """The member of staff has declined or let the task lapse."""
    OPTED_OUT = "opted_out"
    COMPLAINED = "complained"


@dataclass(frozen=True)
class Receipt:
    """One thing a provider told us.

    `receipt_id` is unique for the channel: the provider's own, or made from what was told. The message is
    named by our `message_id` or the provider's `provider_id`; an opt-out may come by `address` alone.
    `dead_address`: nothing will ever arrive there. `at` is when it happened, by the provider.
    """

    receipt_id: str
    kind: ReceiptKind
    at: datetime
    message_id: str | None = None
    provider_id: str | None = None
    address: str | None = None
    dead_address: bool = False
    detail: str = ""


@dataclass(frozen=True)
class Call:
    """An HTTP request to smr: from a provider, or from somebody who follows a link.

    `headers` have lower-case names. `path` begins after the place where it is mounted.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class CallRefusedError(Exception):
    """The call is not signed as it should be, or not understood; `status` is the answer's."""

    def __init__(self, status: int, why: str) -> None:
        self.status = status
        super().__init__(why)


@runtime_checkable
class Receiving(Protocol):
    """A channel whose provider calls back."""

    def receive(self, call: Call, now: datetime) -> Sequence[Receipt]:
        """What the call tells, once its signature was checked. Raises CallRefusedError."""


@runtime_checkable
class Unsubscribing(Protocol):
    """A channel whose messages carry a link by which their reader refuses further ones."""

    def message_of(self, given: str) -> str | None:
        """The id of the message whose link ends so; None where the link is not one of ours."""


@dataclass(frozen=True)
class Polled:
    """What a provider had to tell, and from where to ask next time."""

    receipts: Sequence[Receipt]
    cursor: str


@runtime_checkable
class Polling(Protocol):
    """A channel whose provider must be asked for receipts."""

    @property
    def poll_seconds(self) -> int:
        """How long to wait between two questions."""

    def poll(self, cursor: str, now: datetime) -> Polled:
        """What there is since `cursor` (empty the first time). Raises ChannelError."""


@runtime_checkable
class Withdrawing(Protocol):
    """A channel on which a message that waits with staff can be taken back."""

    def withdraw(self, provider_ids: Sequence[str]) -> dict[str, bool]:
        """Which of them surely will not be sent any more. Raises ChannelError."""
