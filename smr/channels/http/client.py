"""An HTTP client for one endpoint: guarded at connect time, limited in time and size, no redirects.

In: method, URL, headers, body. Out: a `Reply`, or ChannelError: UNAVAILABLE where the request surely did not
arrive in full, IN_DOUBT where it may have. A name is resolved once; every address it leads to must be
allowed, and the connection goes to one that was looked at, under the name's certificate. Proxies of the
environment are not used.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import certifi
import httpcore

from smr import clock
from smr.channels.http.networks import Network, may_connect
from smr.crash_points import reached
from smr.errors import ChannelError, Refusal

MOST_BYTES = 65_536
"""So much of an answer is read."""
_deadline: ContextVar[float] = ContextVar("deadline", default=float("inf"))

NOT_SENT = (
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    httpcore.PoolTimeout,
    httpcore.WriteError,
    httpcore.WriteTimeout,
    httpcore.UnsupportedProtocol,
    httpcore.LocalProtocolError,
)
"""The request did not leave in full; half a body does not match its signature or its length."""


@dataclass(frozen=True)
class Reply:
    """What was answered; `headers` have lower-case names; `body` is cut to what is needed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """Calls one place. Used by several threads at once."""

    def __init__(self, *, seconds: float, parallel: int, allowed: Sequence[Network] = ()) -> None:
        self._seconds = seconds
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(cafile=certifi.where()),
            max_connections=parallel,
            keepalive_expiry=30,
            network_backend=Guarded(allowed),
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """POST and wait for the answer, for at most the time limit in all."""
        token = _deadline.set(clock.monotonic() + self._seconds)
        times = dict.fromkeys(("connect", "read", "write", "pool"), self._seconds)
        try:
            with self._pool.stream(
                "POST",
                url,
                headers=[*headers.items(), ("accept-encoding", "identity")],
                content=body,
                extensions={"timeout": times},
            ) as response:
                reached("after_write")
                return Reply(response.status, _lower(response.headers), _beginning(response))
        except NOT_SENT as error:
            raise ChannelError(Refusal.UNAVAILABLE, _why(error), permanent=False) from None
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            raise ChannelError(Refusal.IN_DOUBT, _why(error), permanent=False) from None
        finally:
            _deadline.reset(token)


def _beginning(response: httpcore.Response) -> bytes:
    """The beginning of the body; the rest is not waited for, nor is it worth an error."""
    read = b""
    try:
        for chunk in response.iter_stream():
            read += chunk
            if len(read) >= MOST_BYTES:
                break
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError):
        raise ChannelError(Refusal.IN_DOUBT, "the answer broke off", permanent=False) from None
    return read[:MOST_BYTES]


def _lower(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def _why(error: Exception) -> str:
    words = {
        httpcore.ConnectTimeout: "connecting took too long",
        httpcore.ReadTimeout: "the answer took too long",
        httpcore.WriteTimeout: "sending took too long",
        httpcore.ReadError: "the connection was lost before the answer",
        httpcore.RemoteProtocolError: "the answer is not HTTP",
    }
    return words.get(type(error), str(error)[:200] or type(error).__name__)


class Guarded(httpcore.NetworkBackend):
    """Connects to addresses that may be connected to, and to no other."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = tuple(allowed)
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve once, look at every address, connect to the first that answers."""
        trouble: Exception | None = None
        for address in self._addresses(host, port):
            try:
                stream = self._plain.connect_tcp(address, port, _left(timeout), local_address, socket_options)
            except httpcore.ConnectError as error:
                trouble = error
                continue
            return Timed(stream)
        raise trouble or httpcore.ConnectError(f"{host} has no address")

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        """Never."""
        raise httpcore.ConnectError("a socket of this machine is not called")

    def sleep(self, seconds: float) -> None:
        """Wait between tries; there are none."""

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise httpcore.ConnectError(f"the name {host} is not known") from None
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        if not all(may_connect(address, self._allowed) for address in addresses):
            raise httpcore.ConnectError(f"{host} leads to an address that is not public and not in allow")
        return addresses


class Timed(httpcore.NetworkStream):
    """A connection that gives up when the time of the whole call is over, however the bytes drip."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Some bytes, within what is left of the time."""
        left = _left(timeout)
        if left <= 0:
            raise httpcore.ReadTimeout("the answer took too long")
        return self._stream.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write, within what is left of the time."""
        self._stream.write(buffer, max(_left(timeout), 0.001))

    def close(self) -> None:
        """Close it."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same under TLS, with the certificate of the name."""
        return Timed(self._stream.start_tls(ssl_context, server_hostname, max(_left(timeout), 0.001)))

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks of a connection."""
        return self._stream.get_extra_info(info)


def _left(timeout: float | None) -> float:
    """Seconds left of the call, at most the given ones."""
    left = _deadline.get() - clock.monotonic()
    return left if timeout is None else min(timeout, left)
