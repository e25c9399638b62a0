"""The broker channel.

In: messages. Out: for each, what the broker confirmed. Each call has a connection to itself, which is kept
for the next one; after anything doubtful it is closed, and the next call opens another. Half of a call's time
is for connecting, half for the confirmations.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, TypeVar

from smr.channels.broker import BrokerSettings
from smr.channels.broker.background import Background
from smr.channels.broker.line import LATE, Line, Parcel
from smr.channels.document import document
from smr.channels.protocol import Outgoing, Refused, Result, Traits, UnknownPolicy
from smr.channels.traits import as_set
from smr.errors import ChannelError, Refusal
from smr.settings import Settings

T = TypeVar("T")

SECONDS = 20
MOST = 20
PARALLEL = 2
CLOSING = 2
"""Seconds that a connection may take to close."""

MODULES = {
    "amqp": "rabbitmq",
    "amqps": "rabbitmq",
    "redis": "redis_streams",
    "rediss": "redis_streams",
    "nats": "jetstream",
    "tls": "jetstream",
    "kafka": "kafka",
    "kafkas": "kafka",
}
TALKATIVE = ("aio_pika", "aiokafka", "aiormq", "faststream", "nats", "redis")
"""Libraries whose log may hold texts and passwords. What they have to say is in their errors."""


class BrokerChannel:
    """Hands messages to one broker."""

    def __init__(self, name: str, settings: Settings) -> None:
        stated = settings.channel(name)
        assert isinstance(stated, BrokerSettings)  # noqa: S101 - the registry opens by kind
        self.name = name
        self._stated = stated
        own = Traits(
            personal=settings.is_personal(name),
            dedupes=True,
            can_ask=False,
            staff_confirms=False,
            max_batch=MOST,
            max_length=None,
            unknown_policy=UnknownPolicy.RESEND,
            parallel=PARALLEL,
            call_seconds=SECONDS,
        )
        self.traits = as_set(own, name, stated)
        self._half = self.traits.call_seconds / 2
        self._new_line: Callable[[BrokerSettings, float], Line] = import_module(
            f"smr.channels.broker.{MODULES[stated.scheme]}"
        ).line
        self._idle: list[Line] = []
        self._closing: set[asyncio.Future[None]] = set()
        self._background = Background(f"smr-broker-{name}")
        for library in TALKATIVE:
            logging.getLogger(library).setLevel(logging.CRITICAL + 1)

    @property
    def place(self) -> str:
        """Where the messages go, and the broker; never its password."""
        stated = self._stated
        return f"{stated.to} at {stated.scheme}://{stated.host}:{stated.port}"

    def send(self, batch: Sequence[Outgoing]) -> list[Result]:
        """Publish all at once. Raises ChannelError where no connection is to be had."""
        written = [self._written(message) for message in batch]
        parcels = [one for one in written if isinstance(one, Parcel)]
        answers = iter(self._run(parcels) if parcels else ())
        return [next(answers) if isinstance(one, Parcel) else one for one in written]

    def ask(self, message_ids: Sequence[str]) -> dict[str, bool]:
        """A broker cannot be asked; who takes from it takes each id once instead."""
        return {}

    def probe(self) -> None:
        """Connect, log in, and see whether the queue, the exchange or the stream is there."""
        try:
            self._background.run(self._probe(), self.traits.call_seconds)
        except TimeoutError as error:
            raise ChannelError(Refusal.UNAVAILABLE, _why(error), permanent=False) from None

    def close(self) -> None:
        """Close the connections, and end the thread."""
        if self._background.has_begun:
            with suppress(TimeoutError):
                self._background.run(self._close_all(), CLOSING * 2)
        self._background.close()

    def _written(self, message: Outgoing) -> Parcel | Refused:
        try:
            body = document(self.name, message)
            message.customer_id.encode()
        except (TypeError, ValueError):
            return Refused(Refusal.REJECTED, True, "the message holds what cannot be written")
        return Parcel(message.message_id, message.customer_id, body)

    def _run(self, parcels: Sequence[Parcel]) -> Sequence[Result]:
        try:
            return self._background.run(self._hand_over(parcels), self.traits.call_seconds)
        except TimeoutError:
            return [LATE] * len(parcels)

    async def _hand_over(self, parcels: Sequence[Parcel]) -> list[Result]:
        line = await self._line()
        results = await line.hand_over(parcels)
        if any(isinstance(one, Refused) and one.refusal is Refusal.IN_DOUBT for one in results):
            self._let_go(line)
        else:
            self._idle.append(line)
        return results

    async def _probe(self) -> None:
        line = await self._line()
        try:
            await self._in_time(line.look())
        finally:
            self._let_go(line)

    async def _line(self) -> Line:
        """A connection that is open, for this call alone. Raises ChannelError."""
        return await self._in_time(self._found_or_opened())

    async def _found_or_opened(self) -> Line:
        while self._idle:
            line = self._idle.pop()
            with suppress(Exception):
                async with asyncio.timeout(self._half / 4):
                    if await line.is_open():
                        return line
            self._let_go(line)
        line = self._new_line(self._stated, self._half)
        try:
            await line.open()
        except BaseException:
            self._let_go(line)
            raise
        return line

    async def _in_time(self, waiting: Coroutine[Any, Any, T]) -> T:
        """What comes of it, as long as nothing has been handed over. Raises ChannelError."""
        try:
            async with asyncio.timeout(self._half):
                return await waiting
        except ChannelError:
            raise
        except Exception as error:
            raise ChannelError(Refusal.UNAVAILABLE, _why(error), permanent=False) from None

    def _let_go(self, line: Line) -> None:
        """Close a connection, without anybody waiting for it."""
        closing = asyncio.ensure_future(_closed(line))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _close_all(self) -> None:
        while self._idle:
            self._let_go(self._idle.pop())
        await asyncio.gather(*self._closing)


async def _closed(line: Line) -> None:
    with suppress(Exception):
        async with asyncio.timeout(CLOSING):
            await line.close()


def _why(error: BaseException) -> str:
    """What went wrong, without what a library wrote: it may repeat the URL."""
    causes = [error, error.__cause__, error.__context__]
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in causes):
        return "the broker's certificate is not trusted; see ca_file"
    if isinstance(error, TimeoutError):
        return "connecting to the broker took too long"
    return f"the broker cannot be reached ({type(error).__name__})"
