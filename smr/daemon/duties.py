"""The duties of a daemon, one by one: each is what a command does, at its time.

In: `Work`, and the firing where there is one. Out: rows, as the command would leave them; events in the log.
A duty may be killed at any point and done again. `shared` duties are done by every daemon, for the rows
themselves share the work; all others by one daemon per slot.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from smr import clock, firings, logs, outbox
from smr.daemon.deciding import decide, join
from smr.daemon.work import Work
from smr.database import files
from smr.delivery import DeliveryReport, deliver
from smr.delivery.deliver import LEASE_SECONDS
from smr.errors import OperatorError
from smr.events import Event, Kind
from smr.facts import import_source
from smr.firings import Firing
from smr.tables import channels, daemons, messages
from smr.tables.outbox import QUEUED
from smr.watch import alerts, counters, incidents, tally
from smr.watch.incidents import Finding
from smr.watch.status import open_incidents

ROUND_SECONDS = 30
"""A round of delivery ends after so long, for its `now` grows stale; the next one begins at once."""
AFTER_TROUBLE = 5
"""Seconds after which a channel that gave up in a round is tried again; its circuit ends that."""
HISTORY = timedelta(days=90)
"""How long the daemon's own records are kept."""


@dataclass(frozen=True)
class Duty:
    """One thing a daemon does: `name` is its key under `daemon:` in config.yaml.

    `quiet`: that it was done is no news; what it found is logged by itself. `join`: what is done where
    another daemon has the slot.
    """

    name: str
    do: Callable[[Work, Firing], None]
    shared: bool = False
    quiet: bool = False
    join: Callable[[Work], None] | None = None


def import_sources(work: Work, _firing: Firing) -> None:
    """Read all sources as far as they have grown; one that fails does not keep the others."""
    failed: list[str] = []
    for name in work.settings.sources:
        try:
            report = import_source(
                work.database, work.settings, name, now=clock.now(), progress=work.progress
            )
        except OperatorError as error:
            failed.append(str(error))
            continue
        refused = sum(report.refused.values())
        if report.new or report.completed or refused:
            logs.tell(Event.IMPORT_FINISHED, source=name, rows=report.rows, new=report.new, refused=refused)
    if failed:
        raise OperatorError("; ".join(failed))


def send_waiting(work: Work, _firing: Firing) -> None:
    """Send what waits, round after round, until nothing is left that may go now."""
    while not work.stop():
        now = clock.now()
        report = deliver(
            work.database,
            work.library,
            work.settings,
            now=now,
            owner=work.owner,
            seconds=ROUND_SECONDS,
            lease_seconds=int(os.environ.get("SMR_TEST_LEASE_SECONDS", LEASE_SECONDS)),
            stop=work.stop,
        )
        _note(work, report, now)
        if not _goes_on(report):
            _sleep_until_next(work, report)
            return


def rescue(work: Work, _firing: Firing) -> None:
    """Take back what dead workers held, and let go of what came too late."""
    now = clock.now()
    rescued = outbox.rescue(work.database, now=now)
    expired = outbox.expire(work.database, now=now)
    _tell_rescued(rescued.queued, rescued.unknown, expired)
    if rescued.queued:
        work.soon("deliver", None)


def watch(work: Work, _firing: Firing) -> None:
    """Look for incidents, and tell the operator."""
    now = clock.now()
    with work.database.read() as connection:
        found = incidents.find(connection, work.settings, now=now)
    with work.database.write() as connection:
        incidents.settle(connection, found, incidents.FOUND_IN_TABLES, now=now)
    alerts.tell(work.database, work.settings, now=now, owner=work.owner)


def prune(work: Work, _firing: Firing) -> None:
    """Let go of old texts where that is wished, and of the daemon's own old records."""
    now = clock.now()
    keep = work.settings.daemon.keep
    if keep is not None:
        outbox.prune(work.database, before=now - timedelta(seconds=keep))
    with work.database.write() as connection:
        firings.prune(connection, before=now - HISTORY)
        incidents.prune(connection, before=now - HISTORY)
        tally.prune(connection, before=now - HISTORY)
        gone = sa.delete(daemons).where(daemons.c.seen_at < now - HISTORY)
        connection.execute(gone)


def back_up(work: Work, firing: Firing) -> None:
    """Copy the SQLite database, and let go of the oldest copies."""
    folder = work.settings.daemon.backup_folder
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = folder / f"smr-{firing.slot_at:%Y%m%dT%H%M%SZ}.db"
    if not target.exists():
        files.backup(work.database, target, lambda done, total: work.progress(done, total))
    copies = sorted(folder.glob("smr-????????T??????Z.db"))
    for old in copies[: -work.settings.daemon.backups]:
        old.unlink(missing_ok=True)


DUTIES = (
    Duty("import", import_sources),
    Duty("run", decide, join=join),
    Duty("deliver", send_waiting, shared=True, quiet=True),
    Duty("rescue", rescue, quiet=True),
    Duty("watch", watch, quiet=True),
    Duty("prune", prune),
    Duty("backup", back_up),
)
"""All duties. Another one needs its schedule in `DaemonSettings`, and a line in the documentation."""


def _goes_on(report: DeliveryReport) -> bool:
    """Whether another round may find something now; channels that rest or gave up are left for a while."""
    return report.more or (report.done > 0 and not report.troubles and not report.waits)


def _note(work: Work, report: DeliveryReport, now: datetime) -> None:
    """Count a round of delivery, log it, and open or close incidents of its channels."""
    counted = tally.of_report(report)
    for (channel, state), number in counted.items():
        counters.MESSAGES.labels(channel, state).inc(number)
    for channel in sorted({channel for channel, _ in counted}):
        of = {state: number for (name, state), number in counted.items() if name == channel}
        logs.tell(
            Event.DELIVERY_FINISHED,
            channel=channel,
            sent=sum(of.get(state.value, 0) for state in tally.WENT),
            stopped=sum(of.get(state, 0) for state in ("put_off", "cancelled", "expired")),
            failed=of.get("failed", 0),
            unknown=of.get("unknown", 0),
            again=of.get(tally.AGAIN, 0),
        )
    for channel in sorted(report.troubles):
        logs.tell(Event.CHANNEL_FAILED, channel=channel)
    _tell_rescued(report.rescued["queued"], report.rescued["unknown"], report.expired)
    tally.record(work.database, report, now=now)
    _note_channels(work, report, now)


def _note_channels(work: Work, report: DeliveryReport, now: datetime) -> None:
    """A channel is down while its circuit is open or it cannot be opened at all, until it sends again."""
    with work.database.read() as connection:
        known = dict(connection.execute(sa.select(channels.c.channel, channels.c.open_until)).tuples().all())
        told = {one.subject for one in open_incidents(connection) if one.kind == Kind.CHANNEL_DOWN}
    down = {name for name, until in known.items() if until is not None}
    down |= {name for name in report.troubles if name not in known}
    well = {name for (name, state, _), number in report.messages.items() if number and state in tally.WENT}
    new, over = (down & set(report.troubles)) - told, (told & well) - down
    if not new and not over:
        return
    with work.database.write() as connection:
        for channel in sorted(new):
            detail = f"the channel {channel} takes no messages; smr channels tells more"
            incidents.open_(connection, Finding(Kind.CHANNEL_DOWN, channel, detail), now=now)
        for channel in sorted(over):
            incidents.close(connection, Kind.CHANNEL_DOWN, channel, now=now)


def _tell_rescued(queued: int, unknown: int, expired: int) -> None:
    if queued or unknown or expired:
        logs.tell(Event.MESSAGES_RESCUED, queued=queued, unknown=unknown, expired=expired)


def _sleep_until_next(work: Work, report: DeliveryReport) -> None:
    """Be woken when the next message may go, a channel has rested, or one that failed is tried again."""
    now = clock.now()
    earliest = [now + timedelta(seconds=seconds + 1) for seconds in report.waits.values()]
    if set(report.troubles) - set(report.waits):
        earliest.append(now + timedelta(seconds=AFTER_TROUBLE))
    with work.database.read() as connection:
        for channel in work.settings.channel_names:
            waiting = sa.select(sa.func.min(messages.c.send_after)).where(
                QUEUED, messages.c.channel == channel, messages.c.send_after > now
            )
            found = connection.execute(waiting).scalar_one()
            if found is not None:
                earliest.append(found)
    if earliest and min(earliest) < now + timedelta(minutes=10):
        work.soon("deliver", max(min(earliest), now + timedelta(seconds=1)))
