"""Handing over to a Redis stream: XADD, all of a call in one go, each answered with the entry's id.

The field `__data__` of an entry is the JSON document, so that any consumer can read it. Nothing is ever
trimmed here: what is unread would be lost. A command is never repeated by the library.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from faststream.redis import RedisBroker
from faststream.redis.parser import MessageFormat
from faststream.security import BaseSecurity
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from smr.channels.broker import BrokerSettings
from smr.channels.broker.line import LATE, LOST, Parcel, not_allowed, not_set_up, tls
from smr.channels.protocol import Accepted, Refused, Result
from smr.errors import Refusal

TO_BLAME_ON_SETTINGS = ("WRONGTYPE", "NOAUTH", "NOPERM")


class Plain(MessageFormat):
    """The document as it is, without the envelope that only FastStream reads."""

    @classmethod
    async def encode(cls, *, message: Any, **_: Any) -> bytes:
        """The bytes themselves."""
        return bytes(message)

    @classmethod
    def parse(cls, data: bytes) -> tuple[bytes, dict[str, Any]]:
        """The bytes, and no headers."""
        return data, {}


class RedisLine:
    """Connections to one Redis."""

    def __init__(self, stated: BrokerSettings, seconds: float) -> None:
        self._to = stated.to
        self._seconds = seconds
        self._client: Any = None
        context = tls(stated)
        self._broker = RedisBroker(
            stated.url.get_secret_value(),
            security=None if context is None else BaseSecurity(ssl_context=context),
            socket_connect_timeout=seconds,
            message_format=Plain,
            client_name="smr",
            logger=None,  # type: ignore[arg-type]  # its type is too narrow: None turns it off
            apply_types=False,
        )

    async def open(self) -> None:
        """Connect, and have it answer."""
        self._client = await self._broker.connect()
        try:
            await self._client.ping()
        except (AuthenticationError, AuthorizationError, NoPermissionError):
            raise not_allowed("Redis refused the login") from None
        except ResponseError as error:
            if str(error).startswith(TO_BLAME_ON_SETTINGS) or "AUTH" in str(error):
                raise not_allowed("Redis refused the login") from None
            raise

    async def is_open(self) -> bool:
        """Whether it answers."""
        return bool(await self._client.ping())

    async def look(self) -> None:
        """Whether the key is a stream, or free to become one."""
        if await self._client.type(self._to) not in (b"stream", b"none"):
            raise not_allowed("what is kept under this key is not a stream")

    async def hand_over(self, parcels: Sequence[Parcel]) -> list[Result]:
        """One XADD for each, in one go."""
        pipeline = self._client.pipeline(transaction=False)
        try:
            async with asyncio.timeout(self._seconds):
                for parcel in parcels:
                    await self._broker.publish(
                        parcel.body,
                        stream=self._to,
                        correlation_id=parcel.message_id,
                        pipeline=pipeline,
                    )
                answers = await pipeline.execute(raise_on_error=False)
        except TimeoutError:
            return [LATE] * len(parcels)
        except (RedisError, OSError, asyncio.CancelledError):
            return [LOST] * len(parcels)
        return [_result(answer) for answer in answers]

    async def close(self) -> None:
        """Close the connections."""
        await self._broker.stop()


def _result(answer: Any) -> Result:
    if isinstance(answer, bytes | str):
        return Accepted(answer.decode() if isinstance(answer, bytes) else answer)
    if isinstance(answer, NoPermissionError) or str(answer).startswith(TO_BLAME_ON_SETTINGS):
        return not_set_up("Redis does not let this user add to it, or the key is not a stream")
    if isinstance(answer, ResponseError):
        # It said no to the command: out of memory, read-only, a replica, not able to save.
        return Refused(Refusal.UNAVAILABLE, False, "Redis did not take it; it may be full or read-only")
    return LOST


line = RedisLine
