"""How things stand, at a glance: what `smr status`, `/metrics` and the search for incidents read.

In: a connection, the present instant. Out: a `Status`. Reads through indexes only: queued and unknown
messages have their own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr import clock
from smr.database.timing import database_now
from smr.tables import OPEN_INCIDENT, daemons, firings, incidents, messages, runs
from smr.tables.outbox import QUEUED, UNKNOWN

RUNS = 5
"""Last runs that are shown."""
SILENT = 60
"""Seconds after which a daemon that was not heard of counts as gone."""


@dataclass(frozen=True)
class Backlog:
    """What waits on a channel. `oldest_seconds`: how long the message that waits longest has been due."""

    channel: str
    queued: int
    due: int
    oldest_seconds: int
    unknown: int


@dataclass(frozen=True)
class RanRun:
    """A run: `age` is seconds since it ended (or began, while it goes on), `stages` seconds of work."""

    run_id: int
    slot: str
    state: str
    started_at: datetime
    seconds: int
    age: int
    due: int
    queued: int
    blast: int | None
    stages: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Daemon:
    """A daemon that was heard of: `alive` lately. `faults` are those of files it could not take up."""

    owner: str
    state: str
    started_at: datetime
    silent: int
    version: str
    faults: Sequence[str]

    @property
    def alive(self) -> bool:
        """Whether it was heard of lately, and has not said goodbye."""
        return self.silent <= SILENT and self.state != "stopped"


@dataclass(frozen=True)
class Fired:
    """The last firing of a duty."""

    duty: str
    slot_at: datetime
    state: str
    detail: str


@dataclass(frozen=True)
class Open:
    """An incident that goes on."""

    incident_id: int
    kind: str
    subject: str
    detail: str
    opened_at: datetime


@dataclass(frozen=True)
class Status:
    """How things stand."""

    backlog: tuple[Backlog, ...]
    runs: tuple[RanRun, ...]
    daemons: tuple[Daemon, ...]
    firings: tuple[Fired, ...]
    incidents: tuple[Open, ...]

    @property
    def last_run(self) -> RanRun | None:
        """The last run that ended well."""
        return next((run for run in self.runs if run.state == "done"), None)

    @property
    def unknown(self) -> int:
        """Messages of which nobody can say whether they went out."""
        return sum(one.unknown for one in self.backlog)


def look(connection: Connection, *, now: datetime) -> Status:
    """How things stand now."""
    passed = int(connection.execute(sa.select(database_now())).scalar_one())
    return Status(
        backlog=tuple(backlog(connection, now=now)),
        runs=tuple(_runs(connection, passed)),
        daemons=tuple(_daemons(connection, passed)),
        firings=tuple(_firings(connection)),
        incidents=tuple(open_incidents(connection)),
    )


def backlog(connection: Connection, *, now: datetime) -> list[Backlog]:
    """What waits, and what is unknown, channel by channel."""
    m, at = messages.c, clock.seconds(now)
    is_due = m.send_after <= at
    waiting = (
        sa.select(
            m.channel,
            sa.func.count(),
            sa.func.count().filter(is_due),
            sa.type_coerce(sa.func.min(m.send_after).filter(is_due), sa.BigInteger),
        )
        .where(QUEUED)
        .group_by(m.channel)
    )
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for channel, queued, due, oldest in connection.execute(waiting):
        found[channel] = [queued, due, max(0, at - oldest) if oldest is not None else 0]
    unknown: Counter[str] = Counter()
    counted = sa.select(m.channel, sa.func.count()).where(UNKNOWN).group_by(m.channel)
    for channel, number in connection.execute(counted):
        unknown[channel] = number
        found[channel]
    return [
        Backlog(channel, queued, due, oldest, unknown[channel])
        for channel, (queued, due, oldest) in sorted(found.items())
    ]


def open_incidents(connection: Connection) -> list[Open]:
    """Incidents that go on, the oldest first."""
    i = incidents.c
    select = sa.select(i.incident_id, i.kind, i.subject, i.detail, i.opened_at)
    rows = connection.execute(select.where(OPEN_INCIDENT).order_by(i.opened_at, i.incident_id))
    return [Open(*row) for row in rows]


def last_runs(connection: Connection, limit: int = RUNS) -> list[Any]:
    """The last runs, the latest first."""
    return list(connection.execute(sa.select(runs).order_by(runs.c.run_id.desc()).limit(limit)))


def _runs(connection: Connection, passed: int) -> list[RanRun]:
    return [_run(row, passed) for row in last_runs(connection)]


def _run(row: Any, passed: int) -> RanRun:
    began = clock.seconds(row.started_at)
    ended = clock.seconds(row.finished_at) if row.finished_at else passed
    counts = row.counts or {}
    return RanRun(
        run_id=row.run_id,
        slot=row.slot,
        state=row.state,
        started_at=row.started_at,
        seconds=ended - began,
        age=max(0, passed - (ended if row.finished_at else began)),
        due=counts.get("due", 0),
        queued=counts.get("queued", 0),
        blast=counts.get("blast"),
        stages=counts.get("stage_seconds", {}),
    )


def _daemons(connection: Connection, passed: int) -> list[Daemon]:
    rows = connection.execute(sa.select(daemons).order_by(daemons.c.started_at, daemons.c.owner))
    return [
        Daemon(
            owner=row.owner,
            state=row.state,
            started_at=row.started_at,
            silent=max(0, passed - clock.seconds(row.seen_at)),
            version=row.version,
            faults=tuple(row.faults or ()),
        )
        for row in rows
    ]


def _firings(connection: Connection) -> list[Fired]:
    """The last firing of each duty."""
    f = firings.c
    latest = sa.select(f.duty, sa.func.max(f.slot_at).label("slot_at")).group_by(f.duty).subquery()
    select = (
        sa.select(f.duty, f.slot_at, f.state, f.detail)
        .join(latest, (latest.c.duty == f.duty) & (latest.c.slot_at == f.slot_at))
        .order_by(f.duty)
    )
    return [Fired(row.duty, row.slot_at, row.state, row.detail or "") for row in connection.execute(select)]
