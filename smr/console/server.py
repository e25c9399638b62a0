"""Serving the application from a thread, beside the daemon's duties.

In: an application and an address. Out: a thread that answers until `stop`. Requests under way are finished. A
client that has not brought its request in half a minute is left, so that a hundred slow ones do not keep the
others out.
Trap: signals belong to the process's main thread; the server takes none.
"""

from __future__ import annotations

import asyncio
import socket
import threading

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from smr.errors import OperatorError

PATIENCE = 30.0
"""Seconds in which a client must have brought its whole request."""


class Patient(H11Protocol):
    """One connection, for as long as its client does not dawdle."""

    _look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there: its first request is waited for."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """It was answered: the next request is waited for."""
        self._wait()
        super().on_response_complete()

    def _wait(self) -> None:
        if self._look is not None:
            self._look.cancel()
        self._look = self.loop.call_later(PATIENCE, self._leave)

    def _leave(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body:
            self._wait()  # the answer is being made
        else:
            self.transport.close()


class Server:
    """The application on an address; `start` returns once it listens."""

    def __init__(self, app: ASGIApp, host: str, port: int, *, grace: int) -> None:
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            http=Patient,
            loop="asyncio",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=100,
            backlog=100,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=grace,
        )
        self._server = uvicorn.Server(config)
        self._socket = _listening(host, port)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="http", daemon=True
        )

    @property
    def address(self) -> str:
        """HOST:PORT where it listens."""
        host, port = self._socket.getsockname()[:2]
        return f"{host}:{port}"

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Take no more requests, and wait for those under way."""
        self._server.should_exit = True
        self._thread.join(seconds)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(100)
    except OSError as error:
        made.close()
        raise OperatorError(
            f"daemon.listen: {host}:{port} cannot be listened on ({error.strerror}); "
            "name another port, or off"
        ) from None
    return made
