"""Handing over to Kafka: confirmed by all replicas in sync, idempotent, keyed by the customer.

So one customer's messages stay in order. The header `message-id` holds the id that is taken once.
Trap: tested without a server so far, except for what can be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    IllegalSaslStateError,
    MessageSizeTooLargeError,
    NotEnoughReplicasError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from smr.channels.broker import BrokerSettings
from smr.channels.broker.line import CONTENT_TYPE, Parcel, not_allowed, not_set_up, side_by_side, tls
from smr.channels.protocol import Refused, Result
from smr.errors import Refusal

LOGINS = {"plain": SASLPlaintext, "scram-sha-256": SASLScram256, "scram-sha-512": SASLScram512}


class KafkaLine:
    """A producer of one cluster, found by one of its servers."""

    def __init__(self, stated: BrokerSettings, seconds: float) -> None:
        self._to = stated.to
        self._server = (stated.host, stated.port)
        self._seconds = seconds
        self._is_open = False
        self._broker = KafkaBroker(
            f"{stated.host}:{stated.port}",
            security=_security(stated),
            acks="all",
            enable_idempotence=True,
            # Less than the limit around it, so that a topic that is not there is told as such.
            request_timeout_ms=int(seconds * 800),
            client_id="smr",
            logger=None,
            apply_types=False,
        )

    async def open(self) -> None:
        """Connect to the cluster. Somebody must listen: the library leaves things open where nobody does."""
        _, writer = await asyncio.open_connection(*self._server)
        writer.close()
        try:
            await self._broker.connect()
        except (AuthenticationFailedError, IllegalSaslStateError, UnsupportedSaslMechanismError):
            raise not_allowed("Kafka refused the login") from None
        self._is_open = True

    async def is_open(self) -> bool:
        """The producer mends its connections by itself."""
        return self._is_open

    async def look(self) -> None:
        """A topic that is not there is told when something is sent to it."""

    async def hand_over(self, parcels: Sequence[Parcel]) -> list[Result]:
        """Produce all, and wait for the replicas."""
        return await side_by_side(parcels, self._publish, _refusal, self._seconds)

    async def close(self) -> None:
        """Close the producer."""
        self._is_open = False
        with suppress(Exception):
            await self._broker.stop()

    async def _publish(self, parcel: Parcel) -> str | None:
        kept = await self._broker.publish(
            parcel.body,
            topic=self._to,
            key=parcel.customer_id.encode(),
            correlation_id=parcel.message_id,
            headers={"message-id": parcel.message_id, "content-type": CONTENT_TYPE},
        )
        return f"{kept.topic}/{kept.partition}/{kept.offset}"


def _refusal(error: BaseException) -> Refused | None:
    if isinstance(error, UnknownTopicOrPartitionError):
        return not_set_up("Kafka has no such topic")
    if isinstance(error, TopicAuthorizationFailedError | ClusterAuthorizationFailedError):
        return not_set_up("Kafka does not let this user write to the topic")
    if isinstance(error, MessageSizeTooLargeError):
        return Refused(Refusal.REJECTED, True, "the message is larger than Kafka takes")
    if isinstance(error, NotEnoughReplicasError):
        return Refused(Refusal.UNAVAILABLE, False, "Kafka has too few replicas in sync")
    return None


def _security(stated: BrokerSettings) -> BaseSecurity:
    context = tls(stated)
    if stated.username is None:
        return BaseSecurity(ssl_context=context)
    return LOGINS[stated.login](stated.username, stated.password or "", ssl_context=context)


line = KafkaLine
