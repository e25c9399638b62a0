"""Serving the application from a thread, beside the daemon's duties.

In: an application and an address. Out: a thread that answers until `stop`. Requests under way are finished.
Trap: signals belong to the process's main thread; the server takes none.
"""

from __future__ import annotations

import socket
import threading

import uvicorn
from starlette.types import ASGIApp

from smr.errors import OperatorError


class Server:
    """The application on an address; `start` returns once it listens."""

    def __init__(self, app: ASGIApp, host: str, port: int, *, grace: int) -> None:
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            http="h11",
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
