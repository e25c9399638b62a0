"""Real brokers, each with a place of its own for one test, and what a consumer finds there.

A broker that is not there, or whose library is not installed, skips the test with the reason.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest


@dataclass(frozen=True)
class Taken:
    """One message as it came out of a broker: under which id, and the document."""

    message_id: str
    document: dict[str, Any]


class RealBroker:
    """A broker with a place for one test."""

    variable = ""
    usual = ""

    def __init__(self, url: str | None = None) -> None:
        self.url = url or os.environ.get(self.variable, self.usual)
        self.to = f"smr-test-{uuid4().hex}"
        parts = urlsplit(self.url)
        self.server = (str(parts.hostname), int(parts.port or 0))
        try:
            socket.create_connection(self.server, timeout=2).close()
        except OSError:
            pytest.skip(f"no broker answers at {self.server[0]}:{self.server[1]}; set {self.variable}")

    def entry(self, port: int | None = None, **changes: Any) -> dict[str, Any]:
        """The channel's entry in config.yaml, by another port where a proxy stands before the broker."""
        url = self.url.replace(f":{self.server[1]}", f":{port or self.server[1]}")
        url = url if port is None else url.replace(f"@{self.server[0]}", "@127.0.0.1")
        return {"kind": "broker", "url": url, "to": self.to, "timeout": "4"} | changes

    def make(self) -> None:
        """Make the queue or the stream."""
        raise NotImplementedError

    def drop(self) -> None:
        """Remove it."""
        raise NotImplementedError

    def taken(self) -> list[Taken]:
        """Everything that is in it, in order."""
        raise NotImplementedError

    def spoil(self) -> None:
        """Have it that nothing can be routed there any more."""
        self.drop()

    def ids(self) -> list[str]:
        """The ids as a consumer sees them that takes each once."""
        return list(dict.fromkeys(one.message_id for one in self.taken()))


class RabbitMQ(RealBroker):
    """A durable queue."""

    variable = "SMR_TEST_AMQP_URL"
    usual = "amqp://guest:guest@127.0.0.1:5672/"

    def make(self, **arguments: Any) -> None:
        async def made(channel: Any) -> None:
            await channel.declare_queue(self.to, durable=True, arguments=arguments or None)

        self._with_channel(made)

    def drop(self) -> None:
        async def dropped(channel: Any) -> None:
            await channel.queue_delete(self.to)

        self._with_channel(dropped)

    def bind(self, exchange: str, key: str) -> None:
        """Make an exchange of which this key leads to the queue."""

        async def bound(channel: Any) -> None:
            made = await channel.declare_exchange(exchange, "direct", auto_delete=True)
            queue = await channel.get_queue(self.to)
            await queue.bind(made, key)

        self._with_channel(bound)

    def taken(self) -> list[Taken]:
        found: list[Taken] = []

        async def looked(channel: Any) -> None:
            queue = await channel.get_queue(self.to)
            while one := await queue.get(fail=False, no_ack=False):
                assert one.delivery_mode == 2, "it survives a restart of the broker"
                found.append(Taken(str(one.message_id), json.loads(one.body)))

        # Without acknowledging, all goes back into the queue when the connection closes.
        self._with_channel(looked)
        return found

    def _with_channel(self, work: Any) -> None:
        import aio_pika

        async def whole() -> None:
            async with await aio_pika.connect(self.url) as connection:
                await work(await connection.channel())

        asyncio.run(whole())


class Redis(RealBroker):
    """A stream."""

    variable = "SMR_TEST_REDIS_URL"
    usual = "redis://127.0.0.1:6379/0"

    def make(self) -> None:
        """XADD makes it."""

    def drop(self) -> None:
        self._client.delete(self.to)

    def spoil(self) -> None:
        self._client.delete(self.to)
        self._client.set(self.to, "a text, not a stream")

    def taken(self) -> list[Taken]:
        entries = self._client.xrange(self.to) if self._client.type(self.to) == b"stream" else []
        documents = [json.loads(fields[b"__data__"]) for _, fields in entries]
        return [Taken(one["data"]["message_id"], one) for one in documents]

    @property
    def _client(self) -> Any:
        import redis

        return redis.Redis.from_url(self.url)


@contextmanager
def own_redis(folder: Path) -> Iterator[tuple[str | None, str]]:
    """A Redis of one's own that keeps what it confirmed: its URL; None and why, where none can be started."""
    program = shutil.which("redis-server")
    if program is None or find_spec("redis") is None or find_spec("faststream") is None:
        yield None, "there is no redis-server here" if program is None else "smr[broker] is not installed"
        return
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port = tried.getsockname()[1]
    kept = ("--dir", str(folder), "--appendonly", "yes", "--save", "")
    process = subprocess.Popen(
        [program, "--bind", "127.0.0.1", "--port", str(port), *kept], stdout=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0", ""
    finally:
        process.kill()
        process.wait()


class JetStream(RealBroker):
    """A stream with one subject."""

    variable = "SMR_TEST_NATS_URL"
    usual = "nats://127.0.0.1:4222"

    def entry(self, port: int | None = None, **changes: Any) -> dict[str, Any]:
        host = self.server[0] if port is None else "127.0.0.1"
        url = f"nats://{host}:{port or self.server[1]}"
        return super().entry(port) | {"url": url, "stream": self.to} | changes

    def make(self, **limits: Any) -> None:
        async def made(jetstream: Any) -> None:
            await jetstream.add_stream(name=self.to, subjects=[self.to], **limits)

        self._with_jetstream(made)

    def drop(self) -> None:
        async def dropped(jetstream: Any) -> None:
            await jetstream.delete_stream(self.to)

        self._with_jetstream(dropped)

    def taken(self) -> list[Taken]:
        found: list[Taken] = []

        async def looked(jetstream: Any) -> None:
            last = (await jetstream.stream_info(self.to)).state.last_seq
            for number in range(1, last + 1):
                one = await jetstream.get_msg(self.to, number)
                found.append(Taken(one.headers["Nats-Msg-Id"], json.loads(one.data)))

        self._with_jetstream(looked)
        return found

    def _with_jetstream(self, work: Any) -> None:
        import nats

        async def whole() -> None:
            client = await nats.connect(self.url)
            try:
                await work(client.jetstream())
            finally:
                await client.close()

        _run(whole())


def _run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


BROKERS = {"rabbitmq": RabbitMQ, "redis": Redis, "nats": JetStream}
