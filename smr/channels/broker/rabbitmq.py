"""Handing over to RabbitMQ: persistent, mandatory, each confirmed by the broker.

What no queue is bound for comes back and is a failure. A queue or an exchange is never declared here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aio_pika.exceptions import (
    AuthenticationError,
    ChannelNotFoundEntity,
    DeliveryError,
    InvalidFrameError,
    ProbableAuthenticationError,
    PublishError,
)
from aiormq.exceptions import ChannelAccessRefused, ConnectionNotAllowed
from faststream.rabbit import Channel, RabbitBroker, RabbitExchange, RabbitQueue
from faststream.security import BaseSecurity

from smr.channels.broker import BrokerSettings
from smr.channels.broker.line import (
    CONTENT_TYPE,
    MESSAGE_TYPE,
    Parcel,
    not_allowed,
    not_set_up,
    side_by_side,
    tls,
)
from smr.channels.protocol import Refused, Result
from smr.errors import Refusal


class RabbitLine:
    """A connection with one channel on which publishing is confirmed."""

    def __init__(self, stated: BrokerSettings, seconds: float) -> None:
        self._to = stated.to
        self._exchange = RabbitExchange(stated.exchange, declare=False) if stated.exchange else None
        self._seconds = seconds
        self._connection: Any = None
        context = tls(stated)
        self._broker = RabbitBroker(
            stated.url.get_secret_value(),
            security=None if context is None else BaseSecurity(ssl_context=context),
            default_channel=Channel(publisher_confirms=True, on_return_raises=True),
            # Less than the limit around it: the library goes on connecting for ever when it is cancelled.
            timeout=seconds * 0.8,
            app_id="smr",
            logger=None,
            apply_types=False,
        )

    async def open(self) -> None:
        """Connect. The exchange must be there: to publish to none closes the channel, and all is in doubt."""
        try:
            self._connection = await self._broker.connect()
            if self._exchange is not None:
                await self._broker.declare_exchange(self._exchange)
        except (AuthenticationError, ProbableAuthenticationError):
            raise not_allowed("RabbitMQ refused the login") from None
        except (ConnectionNotAllowed, ChannelAccessRefused, InvalidFrameError):
            # The library takes RabbitMQ's no to the virtual host for an answer out of turn.
            raise not_allowed("RabbitMQ has no such virtual host, or keeps this user out of it") from None
        except ChannelNotFoundEntity:
            raise not_allowed("there is no such exchange") from None

    async def is_open(self) -> bool:
        """Whether the library thinks so."""
        return self._connection is not None and bool(self._connection.connected.is_set())

    async def look(self) -> None:
        """Whether the queue is there; what is bound to an exchange cannot be seen."""
        if self._exchange is not None:
            return
        try:
            await self._broker.declare_queue(RabbitQueue(self._to, declare=False))
        except ChannelNotFoundEntity:
            raise not_allowed("there is no such queue") from None

    async def hand_over(self, parcels: Sequence[Parcel]) -> list[Result]:
        """Publish all; confirmations come in any order."""
        return await side_by_side(parcels, self._publish, _refusal, self._seconds)

    async def close(self) -> None:
        """Close the connection at once: the library else asks one that is gone, and goes on trying."""
        if self._connection is not None:
            await self._connection.close()

    async def _publish(self, parcel: Parcel) -> None:
        await self._broker.publish(
            parcel.body,
            exchange=self._exchange,
            routing_key=self._to,
            mandatory=True,
            persist=True,
            message_id=parcel.message_id,
            correlation_id=parcel.message_id,
            content_type=CONTENT_TYPE,
            message_type=MESSAGE_TYPE,
        )


def _refusal(error: BaseException) -> Refused | None:
    if isinstance(error, PublishError):
        return not_set_up("RabbitMQ has no queue for it: the queue is not there, or none is bound")
    if isinstance(error, DeliveryError):
        return Refused(Refusal.UNAVAILABLE, False, "RabbitMQ did not take it; the queue may be full")
    if isinstance(error, ChannelAccessRefused):
        # This is asked before anything is taken, and for every message of the channel alike.
        return not_set_up("RabbitMQ does not let this user publish there")
    return None


line = RabbitLine
