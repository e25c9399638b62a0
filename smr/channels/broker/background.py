"""An event loop in a thread of its own, for libraries that are asyncio while smr is threads.

In: a coroutine, from any thread. Out: what it returns or raises. The thread begins with the first coroutine.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as TookTooLongError
from typing import Any, TypeVar

T = TypeVar("T")

MARGIN = 5
"""Seconds beyond a coroutine's own time limit, after which the loop is thought to be stuck."""


class Background:
    """One event loop, used by several threads at once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, coroutine: Coroutine[Any, Any, T], seconds: float) -> T:
        """What comes of it. Raises TimeoutError where even its own time limit did not end it."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._running())
        try:
            return future.result(seconds + MARGIN)
        except TookTooLongError:
            future.cancel()
            raise

    def close(self) -> None:
        """End what runs, and the thread."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(MARGIN)

    @property
    def has_begun(self) -> bool:
        """Whether anything was run since the beginning or the last close."""
        return self._loop is not None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                # What goes wrong is told by results; what a library tells beside them may hold a password.
                self._loop.set_exception_handler(lambda loop, context: None)
                self._thread = threading.Thread(
                    target=_live, args=(self._loop,), name=self._name, daemon=True
                )
                self._thread.start()
            return self._loop


def _live(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.wait_for(asyncio.gather(*left, return_exceptions=True), MARGIN))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
