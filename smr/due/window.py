"""Which part of time a run looks at: what a day is, and how late is too late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from smr import clock
from smr.notation import Send
from smr.playbook.model import Step
from smr.settings import Settings


@dataclass(frozen=True)
class Window:
    """The instants (seconds) a base may have for its step to be due now: low < base <= high."""

    low: int
    high: int


@dataclass(frozen=True)
class Today:
    """The present as one run sees it."""

    now: datetime
    zone: ZoneInfo

    @property
    def seconds(self) -> int:
        """Now, in seconds."""
        return clock.seconds(self.now)

    @property
    def last_second(self) -> int:
        """The last second of the shop's local day."""
        return clock.seconds(clock.end_of_day(self.now, self.zone)) - 1

    def reach(self, send: Send) -> int:
        """The last instant of a due step: whole-day steps are due from their day's beginning."""
        return self.last_second if send.by_day else self.seconds

    def window(self, send: Send, useful_for: int) -> Window:
        """Where the base of a step must lie for the step to be due and still useful."""
        return Window(self.seconds - useful_for - send.offset, self.reach(send) - send.offset)

    def days(self, window: Window) -> list[date]:
        """The local days whose beginnings lie in the window."""
        first = clock.local_day(clock.moment(max(window.low, 0)), self.zone)
        last = clock.local_day(clock.moment(max(window.high, 0)), self.zone)
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        return [day for day in days if window.low < self.begins(day) <= window.high]

    def begins(self, day: date) -> int:
        """When a local day begins, in seconds."""
        return clock.seconds(clock.day_start(day, self.zone))


def useful_for(step: Step, settings: Settings) -> int:
    """How long after its instant a step is still worth sending, in seconds."""
    return settings.policy.useful_for if step.useful_for is None else step.useful_for
