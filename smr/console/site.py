"""What routes may use: the database, and the configuration as it is at the moment of a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from smr.database import Database
from smr.errors import Fault
from smr.playbook.model import Library
from smr.settings import Settings


@dataclass(frozen=True)
class Condition:
    """How the process is: `faults` are those of files it could not take up and works without.

    `alive`: its loop turns. `database`: why the database cannot be used now, or "". `stopping`: it drains.
    """

    alive: bool = True
    database: str = ""
    stopping: bool = False
    faults: tuple[Fault, ...] = field(default_factory=tuple)

    @property
    def ready(self) -> bool:
        """Whether it can do its duties."""
        return self.alive and not self.database and not self.stopping


@dataclass(frozen=True)
class Site:
    """A shop as routes see it. Settings and playbooks are asked for at each request: they may be reloaded."""

    database: Database
    settings: Callable[[], Settings]
    library: Callable[[], Library]
    condition: Callable[[], Condition] = Condition
