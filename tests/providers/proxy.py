"""A TCP proxy before a real server, that can be cut: the network between smr and a broker."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

GRACE = 0.3
"""Seconds that the server has to take what it got, before the cut."""


class Proxy:
    """Passes bytes on to `server`, until told otherwise. Threads of this process."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._fatal: bytes | None = None
        self._cuts = True
        self.port = 0
        self._listening: socket.socket | None = None
        self.mend()

    def refuse(self) -> None:
        """Nobody listens any more, and all connections are cut."""
        if self._listening is not None:
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None
        self.cut()

    def cut(self) -> None:
        """All connections are cut; new ones may be made."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _close(end)

    def lose_answers(self, after: bytes, *, cuts: bool = True) -> None:
        """What is sent with these bytes in it arrives, and no answer comes: cut off, or silence."""
        self._fatal, self._cuts = after, cuts

    def mend(self) -> None:
        """Pass everything on again, on the same port."""
        self._fatal = None
        if self._listening is not None:
            return
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def close(self) -> None:
        """End."""
        with suppress(OSError):
            self.refuse()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            deaf = threading.Event()
            with self._lock:
                self._pairs.append((client, server))
            threading.Thread(target=self._up, args=(client, server, deaf), daemon=True).start()
            threading.Thread(target=self._down, args=(server, client, deaf), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket, deaf: threading.Event) -> None:
        with suppress(OSError):
            while chunk := client.recv(65_536):
                fatal = self._fatal is not None and self._fatal in chunk
                if fatal:
                    deaf.set()
                server.sendall(chunk)
                if fatal and self._cuts:
                    time.sleep(GRACE)
                    break
        for end in (client, server):
            _close(end)

    def _down(self, server: socket.socket, client: socket.socket, deaf: threading.Event) -> None:
        with suppress(OSError):
            while chunk := server.recv(65_536):
                if not deaf.is_set():
                    client.sendall(chunk)
        if not deaf.is_set():
            _close(client)


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
