"""What a duty works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from smr.daemon.current import Version
from smr.database import Database
from smr.playbook.model import Library
from smr.settings import Settings


class BrokenOffError(Exception):
    """The process drains: a long duty was left at a point from which another can go on."""


@dataclass(frozen=True)
class Work:
    """A duty's surroundings: one version of the files, the database, and when to stop.

    `soon` wakes another duty, at a time or at once.
    """

    version: Version
    database: Database
    owner: str
    stop: Callable[[], bool]
    soon: Callable[[str, datetime | None], None]

    @property
    def settings(self) -> Settings:
        """The settings of this version."""
        return self.version.settings

    @property
    def library(self) -> Library:
        """The playbooks of this version."""
        return self.version.library

    def progress(self, done: int, total: int | None = None, what: str | None = None) -> None:
        """Between two transactions of a long duty: raises BrokenOffError where the process drains."""
        if self.stop():
            _break_off()


def _break_off() -> NoReturn:
    raise BrokenOffError
