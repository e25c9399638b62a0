"""What one round of delivery works with, for all channels alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Protocol

from sqlalchemy.engine import Connection

from smr import clock, guards
from smr.database import Database
from smr.outbox import Claimed, Verdict
from smr.playbook.model import Library
from smr.settings import Settings


class Recheck(Protocol):
    """The guards' last word on messages about to be sent: see `smr.guards.recheck`."""

    def __call__(
        self,
        connection: Connection,
        library: Library,
        settings: Settings,
        *,
        now: datetime,
        written: Sequence[guards.Written],
    ) -> Mapping[str, Verdict]:
        """A verdict by id for messages that must not be sent now."""


@dataclass(frozen=True)
class Round:
    """What a round of delivery works with."""

    database: Database
    library: Library
    settings: Settings
    now: datetime
    owner: str
    lease_seconds: int
    recheck: Recheck
    stop: Callable[[], bool]

    def judge(self, connection: Connection, claimed: Sequence[Claimed]) -> Mapping[str, Verdict]:
        """The guards' verdicts on these messages."""
        guards.take_turns(connection, self.settings, claimed)
        found = self.recheck(connection, self.library, self.settings, now=self.now, written=claimed)
        guards.note_held(connection, found, now=clock.seconds(self.now))
        return found

    def next_rungs(self, connection: Connection, message_ids: Sequence[str]) -> Mapping[str, guards.Rung]:
        """For each of these messages, the step's next channel and the address there, if there is one."""
        return guards.next_rungs(
            connection, self.library, self.settings, now=self.now, message_ids=message_ids
        )


class Budget:
    """How many messages a round may move on all channels together; None: as many as there are."""

    def __init__(self, most: int | None) -> None:
        self._left = most
        self._lock = Lock()

    @property
    def left(self) -> int:
        """How many more."""
        return 2**31 if self._left is None else self._left

    @property
    def is_spent(self) -> bool:
        """Whether none is left."""
        return self._left == 0

    def take(self, wanted: int) -> int:
        """Use up to so many; returns how many there were."""
        if self._left is None:
            return wanted
        with self._lock:
            taken = min(wanted, self._left)
            self._left -= taken
            return taken

    def give_back(self, count: int) -> None:
        """They were not used after all."""
        if self._left is not None:
            with self._lock:
                self._left += count
