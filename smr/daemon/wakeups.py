"""Being woken up at the times of a schedule: the one place where APScheduler is used.

In: names, schedules, what to call. Out: calls, each in a thread of a small pool. Whether there is anything
to do is decided by who is called, from the tables; a call too many does no harm, one too few is made up for.
Traps: APScheduler's own cron counts weekday 0 as Monday and fires twice in the hour that clocks repeat, so
its trigger is replaced by ours. A call that comes late is made late, never dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.date import DateTrigger

from smr.cron import Cron

THREADS = 12


class Slots(BaseTrigger):  # type: ignore[misc]
    """The times of one of our schedules."""

    def __init__(self, cron: Cron, where: ZoneInfo) -> None:
        self.cron = cron
        self.where = where

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        """The next time after the last one; times that have passed meanwhile are one."""
        after = now if previous is None else max(previous, now)
        return self.cron.next_after(after, self.where)


class Wakeups:
    """Calls at the times of schedules, and once at a stated time."""

    def __init__(self) -> None:
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        defaults = {"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
        pools = {"default": ThreadPoolExecutor(THREADS)}
        self._scheduler: Any = BackgroundScheduler(executors=pools, job_defaults=defaults, timezone="UTC")

    def start(self) -> None:
        """Begin to call."""
        self._scheduler.start()

    def schedule(self, name: str, cron: Cron | None, where: ZoneInfo, call: Callable[[], object]) -> None:
        """Call at the times of a schedule from now on, instead of those said before; None: not any more."""
        found = self._scheduler.get_job(name)
        if cron is None:
            if found is not None:
                self._scheduler.remove_job(name)
            return
        trigger = Slots(cron, where)
        if found is not None and (found.trigger.cron, found.trigger.where) == (cron, where):
            return
        self._scheduler.add_job(call, trigger, id=name, replace_existing=True)

    def soon(self, name: str, call: Callable[[], object], at: datetime | None = None) -> None:
        """Call once, at a time or at once; replaces an earlier wish of that name that has not come true."""
        trigger = DateTrigger(at, timezone="UTC") if at is not None else DateTrigger(timezone="UTC")
        self._scheduler.add_job(call, trigger, id=f"{name}/once", replace_existing=True)

    def stop(self) -> None:
        """Call no more; calls under way go on."""
        self._scheduler.shutdown(wait=False)
