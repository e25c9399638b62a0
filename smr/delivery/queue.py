"""What a channel has to send next, in order: drawn up now and then, and shared by its lanes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

from smr import clock, outbox
from smr.database import Database
from smr.outbox import Place

LISTED = 50_000
"""Messages whose order is drawn up at once: some megabytes."""
LIST_SECONDS = 30
"""After that the order is drawn up anew: something more urgent may have come."""


@dataclass
class Queue:
    """Where a channel's messages lie that are to be sent at `now`. False where it knows of none."""

    database: Database
    channel: str
    now: datetime
    _places: deque[Place] = field(default_factory=deque)
    _drawn_up_at: float = -LIST_SECONDS
    _lock: Lock = field(default_factory=Lock)

    def __bool__(self) -> bool:
        return bool(self._places)

    def draw_up(self) -> None:
        """Ask for the order of what waits, where the last one is used up or old."""
        with self._lock:
            if self._places and clock.monotonic() - self._drawn_up_at < LIST_SECONDS:
                return
            with self.database.read() as connection:
                found = outbox.in_order(connection, self.channel, now=self.now, most=LISTED)
            self._places = deque(found)
            self._drawn_up_at = clock.monotonic()

    def take(self, most: int) -> list[Place]:
        """The next ones, at most so many; nobody else gets them."""
        with self._lock:
            return [self._places.popleft() for _ in range(min(most, len(self._places)))]

    def put_back(self, places: Sequence[Place]) -> None:
        """They are the next ones again."""
        with self._lock:
            self._places.extendleft(reversed(places))
