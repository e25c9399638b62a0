"""What each broker's module is: a connection, and how messages are handed over on it.

A line is used by one call at a time. `open` raises ChannelError, or whatever its library raises: until it is
open, surely nothing was taken. `hand_over` gives one result for each parcel, and raises nothing.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from smr.channels.broker import UNDER_TLS, BrokerSettings
from smr.channels.protocol import Accepted, Refused, Result
from smr.errors import ChannelError, Refusal

CONTENT_TYPE = "application/json"
MESSAGE_TYPE = "message.send"

LOST = Refused(Refusal.IN_DOUBT, False, "the broker was lost before it confirmed the message")
LATE = Refused(Refusal.IN_DOUBT, False, "the broker did not confirm the message in time")


@dataclass(frozen=True)
class Parcel:
    """One message as a broker gets it; `body` is the JSON document."""

    message_id: str
    customer_id: str
    body: bytes


class Line(Protocol):
    """A connection to a broker."""

    async def open(self) -> None:
        """Connect, and say who we are."""

    async def is_open(self) -> bool:
        """Whether messages can be handed over on it now, as far as can be told."""

    async def look(self) -> None:
        """See whether what `to` names is there. Raises like `open`."""

    async def hand_over(self, parcels: Sequence[Parcel]) -> list[Result]:
        """Publish all, and wait until each is confirmed."""

    async def close(self) -> None:
        """Let the connection go."""


async def side_by_side(
    parcels: Sequence[Parcel],
    publish: Callable[[Parcel], Coroutine[Any, Any, str | None]],
    refusal: Callable[[BaseException], Refused | None],
    seconds: float,
) -> list[Result]:
    """Each parcel by `publish`, which gives the broker's own id for it; at most so long for all.

    What `refusal` does not know as a clear no is in doubt.
    """
    tasks = [asyncio.ensure_future(publish(parcel)) for parcel in parcels]
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return [LATE if task in late else _result(task, refusal) for task in tasks]


def _result(task: asyncio.Future[str | None], refusal: Callable[[BaseException], Refused | None]) -> Result:
    if task.cancelled():
        return LOST
    error = task.exception()
    if isinstance(error, TimeoutError):
        return LATE
    return Accepted(task.result()) if error is None else refusal(error) or LOST


def not_set_up(detail: str) -> Refused:
    """The broker's side is not as the configuration says. No message is to blame; operators are told."""
    return Refused(Refusal.UNAUTHORIZED, False, detail)


def not_allowed(detail: str) -> ChannelError:
    """The same of the line as a whole."""
    return ChannelError(Refusal.UNAUTHORIZED, detail, permanent=True)


def tls(stated: BrokerSettings) -> ssl.SSLContext | None:
    """How the broker's certificate is checked; None where the URL says that nothing is encrypted."""
    return ssl.create_default_context(cafile=stated.ca_file) if stated.scheme in UNDER_TLS else None
