"""The process: starts, wakes its duties, takes up changed files, drains, ends.

In: the path of the configuration. Out: an exit code: 0 after a stop in good order, 1 where a duty did not end
within the grace time. SIGTERM and SIGINT drain, a second one ends at once; SIGHUP takes up the files.
Threads: the main one waits for signals; one beats and looks at the files; duties run in a pool; one serves
HTTP.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from smr import clock, firings, logs, runs
from smr.console import Server, Site, build
from smr.console.site import Condition
from smr.daemon import pulse as beating
from smr.daemon.current import Current
from smr.daemon.duties import DUTIES, Duty
from smr.daemon.pulse import Pulse
from smr.daemon.wakeups import Wakeups
from smr.daemon.work import BrokenOffError, Work
from smr.database import open_database
from smr.database.migrate import ensure_current
from smr.errors import DatabaseRefusedError, SmrError
from smr.events import Event, Kind
from smr.firings import Firing
from smr.watch import counters, incidents
from smr.watch.incidents import Finding

TURN = 1.0
"""Seconds between two looks at the files."""
STILL = 120.0
"""Seconds after which a loop that did not turn counts as dead."""


def serve(config: Path | None) -> int:
    """Run until told to stop; the exit code."""
    return Daemon(config).run()


class Daemon:
    """One daemon of a shop."""

    def __init__(self, config: Path | None) -> None:
        self.owner = runs.this_process()
        self.current = Current(config)
        self.database = open_database(self.current.settings.database.url)
        self.wakeups = Wakeups()
        self.pulse = Pulse(self.database, self.owner, lambda: self.current.settings)
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._hangup = threading.Event()
        self._active: dict[str, float] = {}
        self._again: set[str] = set()
        self._lock = threading.Lock()
        self._turned = clock.monotonic()
        self._told_faults: tuple[str, ...] | None = None

    def run(self) -> int:
        """Start, do the duties until a signal comes, drain."""
        counters.STARTED.set_to_current_time()
        self._take_signals()
        server = self._listen()
        loop = threading.Thread(target=self._loop, name="pulse", daemon=True)
        if self._wait_for_database():
            logs.tell(
                Event.DAEMON_STARTED,
                owner=self.owner,
                version=self.current.library.version,
                playbooks=len(self.current.library.playbooks),
                listen=server.address if server else None,
            )
            loop.start()
            self.wakeups.start()
            self._schedule()
            self._wake_all()
            _wait(self._stopping)
        return self._drain(server, loop)

    def condition(self) -> Condition:
        """How the process is, for those who ask over HTTP."""
        return Condition(
            alive=clock.monotonic() - self._turned < STILL,
            database=self.pulse.lost,
            stopping=self._stopping.is_set(),
            faults=self.current.faults,
        )

    def _take_signals(self) -> None:
        def stop(number: int, _frame: object) -> None:
            for each in (signal.SIGTERM, signal.SIGINT):
                signal.signal(each, signal.SIG_DFL)
            self._stopping.set()

        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, stop)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, lambda _number, _frame: self._hangup.set())

    def _listen(self) -> Server | None:
        address = self.current.settings.daemon.address
        if address is None:
            return None
        site = Site(
            self.database, lambda: self.current.settings, lambda: self.current.library, self.condition
        )
        server = Server(build(site), *address, grace=self.current.settings.daemon.grace)
        server.start()
        return server

    def _wait_for_database(self) -> bool:
        """Wait until the database is there; False where a stop came first. Another version is refused."""
        told = False
        while not self._stopping.is_set():
            self._turned = clock.monotonic()
            try:
                ensure_current(self.database)
            except DatabaseRefusedError as error:
                self.pulse.lost = str(error)
                if not told:
                    logs.tell(Event.DAEMON_WAITING, **logs.error_of(error))
                told = True
                self._stopping.wait(beating.LONGEST_PAUSE)
                continue
            self.pulse.lost = ""
            return True
        return False

    def _loop(self) -> None:
        """Beat, keep leases, take up changed files, wake what was left undone."""
        due = 0.0
        while not self._ended.is_set():
            self._turned = clock.monotonic()
            try:
                self._look_at_files()
                if clock.monotonic() >= due:
                    was_lost = bool(self.pulse.lost)
                    there = self._beat()
                    due = clock.monotonic() + self.pulse.pause()
                    if there and not self._stopping.is_set():
                        self._wake_all() if was_lost else self._wake_undone()
            except Exception as error:
                logs.tell(Event.DUTY_FAILED, duty="pulse", **logs.error_of(error))
            self._hangup.wait(min(TURN, max(0.05, due - clock.monotonic())))

    def _beat(self) -> bool:
        faults = [str(fault) for fault in self.current.faults]
        state = "draining" if self._stopping.is_set() else "working"
        there = self.pulse.beat(state, self.current.library.version, faults)
        if there and self._told_faults != tuple(faults):
            self._note_faults(faults)
        return there

    def _note_faults(self, faults: list[str]) -> None:
        """Open or close the incident of files with faults."""
        with self.database.write() as connection:
            now = clock.now()
            if faults:
                detail = f"{len(faults)} faults; the first: {self.current.faults[0].file} line "
                detail += f"{self.current.faults[0].line} [{self.current.faults[0].code}]; see smr check"
                incidents.open_(connection, Finding(Kind.CONFIGURATION, "", detail), now=now)
            else:
                incidents.close(connection, Kind.CONFIGURATION, "", now=now)
        self._told_faults = tuple(faults)

    def _look_at_files(self) -> None:
        asked = self._hangup.is_set()
        self._hangup.clear()
        if self.current.look(at_once=asked) and not self._stopping.is_set():
            self._schedule()

    def _schedule(self) -> None:
        settings = self.current.settings
        for duty in DUTIES:
            cron = settings.daemon.cron(duty.name)
            self.wakeups.schedule(duty.name, cron, settings.daemon_tz, partial(self._attempt, duty))

    def _wake_all(self) -> None:
        for duty in DUTIES:
            self._soon(duty.name, None)

    def _wake_undone(self) -> None:
        """Wake duties whose last firing failed or lost its owner, and the run where one may be joined."""
        with self._lock:
            active = set(self._active)
        try:
            with self.database.read() as connection:
                undone = firings.undone(connection, self.owner, active)
                if runs.open_to_others(connection) is not None:
                    undone += [duty.name for duty in DUTIES if duty.join is not None]
        except (SmrError, SQLAlchemyError):
            return
        for name in undone:
            self._soon(name, None)

    def _soon(self, name: str, at: datetime | None) -> None:
        duty = next((one for one in DUTIES if one.name == name), None)
        if duty is not None and not self._stopping.is_set():
            self.wakeups.soon(name, partial(self._attempt, duty, again=True), at)

    def _attempt(self, duty: Duty, *, again: bool = False) -> None:
        """Do a duty, unless it is being done here already, or cannot be done now."""
        if self._stopping.is_set() or self.pulse.lost:
            return
        with self._lock:
            if duty.name in self._active:
                if again and duty.shared:
                    self._again.add(duty.name)
                return
            self._active[duty.name] = clock.monotonic()
        try:
            self._fire(duty)
        except Exception as error:
            logs.tell(Event.DUTY_FAILED, duty=duty.name, **logs.error_of(error))
        finally:
            with self._lock:
                del self._active[duty.name]
                again = duty.name in self._again
                self._again.discard(duty.name)
            if again:
                self._soon(duty.name, None)

    def _fire(self, duty: Duty) -> None:
        settings = self.current.settings
        cron = settings.daemon.cron(duty.name)
        if cron is None:
            return
        now = clock.now()
        if duty.shared:
            self._do(duty, Firing(duty.name, now, self.owner, 1))
            return
        with self._lock:
            active = set(self._active) - {duty.name}
        firing = firings.begin(
            self.database, duty.name, cron, settings.daemon_tz, now=now, owner=self.owner, active=active
        )
        if firing is not None:
            if not duty.quiet:
                logs.tell(Event.DUTY_STARTED, duty=duty.name, slot=firing.slot, attempt=firing.attempt)
            self._do(duty, firing)
        elif duty.join is not None:
            duty.join(self._work())

    def _do(self, duty: Duty, firing: Firing) -> None:
        began = clock.monotonic()
        try:
            duty.do(self._work(), firing)
        except BrokenOffError:
            self._end(duty, partial(firings.put_back, self.database, firing))
            logs.tell(Event.DUTY_STOPPED, duty=duty.name, slot=firing.slot)
            return
        except Exception as error:
            counters.DUTY_FAILURES.labels(duty.name).inc()
            logs.tell(Event.DUTY_FAILED, duty=duty.name, slot=firing.slot, **logs.error_of(error))
            why = str(error) if isinstance(error, SmrError) else f"a fault in smr ({type(error).__name__})"
            self._end(duty, partial(firings.finish, self.database, firing, failed=why))
            return
        seconds = clock.monotonic() - began
        counters.DUTY_SECONDS.labels(duty.name).observe(seconds)
        if not duty.shared:
            self._end(duty, partial(firings.finish, self.database, firing))
        if not duty.quiet:
            logs.tell(Event.DUTY_FINISHED, duty=duty.name, slot=firing.slot, seconds=seconds)

    def _work(self) -> Work:
        return Work(self.current.version, self.database, self.owner, self._stopping.is_set, self._soon)

    def _end(self, duty: Duty, record: Callable[[], bool]) -> None:
        """Record how a firing ended; while the database is away it stays open, and is taken up later."""
        if duty.shared:
            return
        try:
            record()
        except (SmrError, SQLAlchemyError) as error:
            logs.tell(Event.DUTY_FAILED, duty=duty.name, **logs.error_of(error))

    def _drain(self, server: Server | None, loop: threading.Thread) -> int:
        began, grace = clock.monotonic(), self.current.settings.daemon.grace
        active = self._still_active()
        logs.tell(Event.DAEMON_DRAINING, owner=self.owner, grace=grace, active=active)
        if loop.is_alive():
            self.wakeups.stop()
        while (active := self._still_active()) and clock.monotonic() - began < grace:
            clock.pause(0.05)
        self._ended.set()
        self._hangup.set()
        if loop.is_alive():
            loop.join(2)
        if server is not None:
            server.stop(max(0.5, grace - (clock.monotonic() - began)))
        self._say_goodbye()
        if active:
            logs.tell(Event.DAEMON_STOPPED_HARD, owner=self.owner, active=active)
            os._exit(1)
        logs.tell(Event.DAEMON_STOPPED, owner=self.owner, seconds=clock.monotonic() - began)
        return 0

    def _still_active(self) -> list[str]:
        with self._lock:
            return sorted(self._active)

    def _say_goodbye(self) -> None:
        if self.pulse.lost:
            return
        try:
            beating.goodbye(self.database, self.owner)
        except (SmrError, SQLAlchemyError) as error:
            logs.tell(Event.DATABASE_LOST, **logs.error_of(error))


def _wait(event: threading.Event) -> None:
    """Wait in the main thread, where Python runs the handlers of signals."""
    while not event.wait(0.5):
        pass
