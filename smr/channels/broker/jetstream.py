"""Handing over to NATS JetStream: each message is stored in the stream before it is confirmed.

The header `Nats-Msg-Id` lets the stream itself drop what comes twice within its window. Without JetStream
nothing is handed over: a plain subject drops what nobody listens to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from faststream.nats import NatsBroker, NatsSecurity, NatsToken, NatsUserPassword
from nats.errors import AuthorizationError, MaxPayloadError
from nats.errors import Error as NatsError
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from smr.channels.broker import BrokerSettings
from smr.channels.broker.line import CONTENT_TYPE, Parcel, not_allowed, not_set_up, side_by_side, tls
from smr.channels.protocol import Refused, Result
from smr.errors import Refusal

TOO_LARGE = 10_054
OTHER_STREAM = 10_060


class JetStreamLine:
    """A connection to one NATS server. It is not mended: another one is opened instead."""

    def __init__(self, stated: BrokerSettings, seconds: float) -> None:
        assert stated.stream is not None  # noqa: S101 - the settings see to it
        self._stream = stated.stream
        self._to = stated.to
        self._seconds = seconds
        self._client: Any = None
        self._lost = asyncio.Event()
        self._denied = False
        self._broker = NatsBroker(
            f"{stated.scheme}://{stated.host}:{stated.port}",
            security=_security(stated),
            name="smr",
            allow_reconnect=False,
            connect_timeout=max(1, int(seconds)),
            error_cb=self._told,
            closed_cb=self._closed,
            logger=None,
            apply_types=False,
        )

    async def open(self) -> None:
        """Connect, and log in."""
        try:
            self._client = await self._broker.connect()
        except (NatsError, AuthorizationError) as error:
            if "auth" in str(error).lower():
                raise not_allowed("NATS refused the login") from None
            raise

    async def is_open(self) -> bool:
        """Whether it answers."""
        if self._lost.is_set() or not self._client.is_connected:
            return False
        await self._client.flush(timeout=self._seconds)
        return True

    async def look(self) -> None:
        """Whether the stream is there."""
        try:
            await self._client.jetstream(timeout=self._seconds).stream_info(self._stream)
        except NotFoundError:
            raise not_allowed("there is no such stream") from None

    async def hand_over(self, parcels: Sequence[Parcel]) -> list[Result]:
        """Publish all; each is answered by the stream."""
        results = await side_by_side(parcels, self._publish, _refusal, self._seconds)
        if self._denied:
            denied = not_set_up("NATS does not let this user publish to the subject")
            return [_denied(result, denied) for result in results]
        return results

    async def close(self) -> None:
        """Close the connection, without waiting for answers that do not come."""
        if self._client is not None:
            await self._client.close()

    async def _publish(self, parcel: Parcel) -> str | None:
        """The stream's own number of the message. Raises ConnectionError once the connection is gone."""
        publishing = asyncio.ensure_future(self._ask(parcel))
        lost = asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait((publishing, lost), return_when=asyncio.FIRST_COMPLETED)
            if publishing.done():
                return publishing.result()
            raise ConnectionError
        finally:
            publishing.cancel()
            lost.cancel()

    async def _ask(self, parcel: Parcel) -> str | None:
        acknowledged: Any = await self._broker.publish(
            parcel.body,
            subject=self._to,
            stream=self._stream,
            correlation_id=parcel.message_id,
            headers={"Nats-Msg-Id": parcel.message_id, "content-type": CONTENT_TYPE},
            timeout=self._seconds,
        )
        return f"{acknowledged.stream}/{acknowledged.seq}"

    async def _told(self, error: Exception) -> None:
        """What the server says beside its answers; that a subject is not allowed is said here only.

        While connecting it is raised: the library would go on trying.
        """
        if self._client is None:
            raise error
        if "permissions violation for publish" in str(error).lower():
            self._denied = True
            self._lost.set()

    async def _closed(self) -> None:
        self._lost.set()


def _denied(result: Result, denied: Refused) -> Result:
    doubtful = isinstance(result, Refused) and result.refusal is Refusal.IN_DOUBT
    return denied if doubtful else result


def _refusal(error: BaseException) -> Refused | None:
    if isinstance(error, NoStreamResponseError):
        return not_set_up("NATS has no stream for the subject, or no JetStream")
    if isinstance(error, MaxPayloadError):
        return Refused(Refusal.REJECTED, True, "the message is larger than NATS takes")
    if isinstance(error, APIError):
        if error.err_code == OTHER_STREAM:
            return not_set_up("the subject belongs to another stream")
        if error.err_code == TOO_LARGE:
            return Refused(Refusal.REJECTED, True, "the message is larger than the stream takes")
        return Refused(Refusal.UNAVAILABLE, False, f"the stream did not take it ({error.err_code})")
    return None


def _security(stated: BrokerSettings) -> NatsSecurity:
    context, username = tls(stated), stated.username
    if username is None:
        return NatsSecurity(ssl_context=context)
    if stated.password is None:
        return NatsToken(username, ssl_context=context)
    return NatsUserPassword(username, stated.password, ssl_context=context)


line = JetStreamLine
