"""What a guard is given, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement

from smr.conditions import Who
from smr.events import Reason
from smr.guards.contacts import Moments
from smr.playbook.model import Library, Playbook, Step
from smr.settings import Settings


class Ahead(int):
    """An instant as so many seconds from now: the same from day to day, where its time of day is."""


@dataclass(frozen=True)
class Bench:
    """What candidates of one step are judged with.

    `quiet_until` maps an instant (seconds, or `Ahead`) to the zones that are quiet until then; None
    among them stands for customers whose zone is not known. `live_since` is when the playbook went live.
    `only_news`: the run looks for what is new alone, and what it does not find may still be due.
    `sending`: judged for messages that are about to be sent. `given`: a warehouse found them, some time ago.
    """

    playbook: Playbook
    step: Step
    library: Library
    settings: Settings
    now: datetime
    quiet_until: Mapping[int, frozenset[str | None]]
    live_since: int | None = None
    only_news: bool = False
    sending: bool = False
    given: bool = False

    @property
    def moments(self) -> Moments:
        """When what is decided now can be sent."""
        return Moments.of(self.settings, self.now, self.quiet_until)


@dataclass(frozen=True)
class Verdict:
    """A message must not be sent now: why, and until when (None: for good)."""

    reason: Reason
    until: datetime | None = None


Blocks = Callable[[Any, Bench], "ColumnElement[bool] | None"]
"""Whether a guard blocks a candidate `c` (a table or subquery with its columns); None: it never can."""


@dataclass(frozen=True)
class Guard:
    """One reason, and when it holds."""

    reason: Reason
    blocks: Blocks


def customer_of(candidate: Any) -> Who:
    """The customer of a candidate."""
    return Who.of_candidate(candidate)
