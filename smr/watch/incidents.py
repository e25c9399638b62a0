"""What is wrong: incidents, each opened once and closed once, over any number of daemons.

In: what was found to be wrong now. Out: rows of `incidents`, opened for what is new and closed for what is
over. A unique index allows one open incident per kind and subject, so it does not matter who looks.
`find` looks at the tables; the daemon tells of what only it can see (a file, a channel's answer).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from smr import clock, logs
from smr.events import Event, Kind
from smr.settings import Settings
from smr.tables import OPEN_INCIDENT, firings, incidents, runs
from smr.watch import tally
from smr.watch.status import Status, look

FEWEST_ATTEMPTS = 20
"""Attempts on a channel within the hour below which no share of errors is told."""
FEWEST_RUNS = 4
"""Runs at the same time of day below which nothing is called unusual."""
FEWEST_MESSAGES = 20
"""Messages by which a run must exceed the usual, or that must be usual, to be called unusual."""
HISTORY = timedelta(days=35)
STUBBORN = 3
"""Attempts after which a duty that fails is an incident."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong now. `detail` holds numbers and names of the configuration only."""

    kind: Kind
    subject: str
    detail: str


FOUND_IN_TABLES = (
    Kind.DUTY_FAILED,
    Kind.ERROR_SHARE,
    Kind.LATE_MESSAGES,
    Kind.UNKNOWN_MESSAGES,
    Kind.RUN_SENDS_NOTHING,
    Kind.RUN_SENDS_TOO_MUCH,
    Kind.RUN_STOPPED,
)
"""Kinds that `find` looks for: those it does not find are over."""


def find(connection: Connection, settings: Settings, *, now: datetime) -> list[Finding]:
    """Everything that the tables show to be wrong now."""
    status = look(connection, now=now)
    return [
        *_failed_duties(connection),
        *_error_shares(tally.lately(connection, now=now), settings.alerts.error_share),
        *_backlog(status, settings),
        *_runs(connection, settings, now),
    ]


def settle(
    connection: Connection, findings: Iterable[Finding], kinds: Collection[Kind], *, now: datetime
) -> None:
    """Open what is new, and close what is over among the incidents of these kinds."""
    wrong = {(finding.kind, finding.subject): finding for finding in findings}
    for finding in wrong.values():
        open_(connection, finding, now=now)
    i = incidents.c
    going_on = connection.execute(
        sa.select(i.incident_id, i.kind, i.subject).where(OPEN_INCIDENT, i.kind.in_(sorted(kinds)))
    ).all()
    for incident_id, kind, subject in going_on:
        if (Kind(kind), subject) not in wrong:
            _close(connection, incident_id, kind, subject, now)


def open_(connection: Connection, finding: Finding, *, now: datetime) -> bool:
    """Open an incident, unless the same one goes on; whether it is new."""
    row = {
        "kind": finding.kind.value,
        "subject": finding.subject,
        "detail": finding.detail,
        "opened_at": now,
    }
    build: Any = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    once = build(incidents).on_conflict_do_nothing(
        index_elements=[incidents.c.kind, incidents.c.subject], index_where=OPEN_INCIDENT
    )
    made = connection.execute(once.values(row).returning(incidents.c.incident_id)).scalar_one_or_none()
    if made is not None:
        logs.tell(Event.INCIDENT_OPENED, incident=made, kind=finding.kind.value, subject=finding.subject)
    return made is not None


def close(connection: Connection, kind: Kind, subject: str, *, now: datetime) -> None:
    """Close an incident where one goes on."""
    i = incidents.c
    open_one = sa.select(i.incident_id).where(OPEN_INCIDENT, i.kind == kind.value, i.subject == subject)
    incident_id = connection.execute(open_one).scalar_one_or_none()
    if incident_id is not None:
        _close(connection, incident_id, kind.value, subject, now)


def record(connection: Connection, finding: Finding, *, since: datetime, until: datetime) -> None:
    """Keep an incident that is over and was told of already."""
    row = {
        "kind": finding.kind.value,
        "subject": finding.subject,
        "detail": finding.detail,
        "opened_at": since,
        "closed_at": until,
        "opening_told_at": since,
        "closing_told_at": until,
    }
    connection.execute(sa.insert(incidents).values(row))


def prune(connection: Connection, *, before: datetime) -> int:
    """Let go of incidents that ended long ago."""
    return connection.execute(sa.delete(incidents).where(incidents.c.closed_at < before)).rowcount


def _close(connection: Connection, incident_id: int, kind: str, subject: str, now: datetime) -> None:
    this = sa.update(incidents).where(incidents.c.incident_id == incident_id, OPEN_INCIDENT)
    if connection.execute(this.values(closed_at=now)).rowcount == 1:
        logs.tell(Event.INCIDENT_CLOSED, incident=incident_id, kind=kind, subject=subject)


def _failed_duties(connection: Connection) -> Iterator[Finding]:
    """Duties whose last firing fails again and again."""
    f = firings.c
    latest = sa.select(f.duty, sa.func.max(f.slot_at).label("slot_at")).group_by(f.duty).subquery()
    failed = (
        sa.select(f.duty, f.attempts)
        .join(latest, (latest.c.duty == f.duty) & (latest.c.slot_at == f.slot_at))
        .where(f.state == "failed", f.attempts >= STUBBORN)
    )
    for duty, attempts in connection.execute(failed):
        yield Finding(Kind.DUTY_FAILED, duty, f"{duty} failed {attempts} times; smr status tells why")


def _error_shares(counted: dict[str, Counter[str]], most: float) -> Iterator[Finding]:
    for channel, states in sorted(counted.items()):
        tried = sum(number for state, number in states.items() if state in tally.TRIED)
        wrong = tried - sum(states[state.value] for state in tally.WENT)
        if tried >= FEWEST_ATTEMPTS and wrong > most * tried:
            detail = f"{wrong:,} of the last hour's {tried:,} attempts went wrong ({wrong / tried:.0%})"
            yield Finding(Kind.ERROR_SHARE, channel, detail)


def _backlog(status: Status, settings: Settings) -> Iterator[Finding]:
    for one in status.backlog:
        if one.oldest_seconds > settings.alerts.late:
            minutes = one.oldest_seconds // 60
            detail = f"{one.due:,} due; one of them has waited for {minutes:,} minutes"
            yield Finding(Kind.LATE_MESSAGES, one.channel, detail)
        if one.unknown >= settings.alerts.unknown:
            detail = f"{one.unknown:,} that may have gone out or not; see smr outbox list --state unknown"
            yield Finding(Kind.UNKNOWN_MESSAGES, one.channel, detail)


def _runs(connection: Connection, settings: Settings, now: datetime) -> Iterator[Finding]:
    """What is unusual about the last run, beside earlier ones at the same time of day."""
    r = runs.c
    recent = sa.select(r.now_at, r.counts).where(r.state == "done", r.counts.is_not(None), r.now_at <= now)
    rows = connection.execute(recent.where(r.now_at > now - HISTORY).order_by(r.run_id.desc())).all()
    if not rows:
        return
    at, counts = rows[0].now_at, rows[0].counts
    if counts.get("blast"):
        detail = f"it wanted to write to {counts['blast']:,} of {counts['customers']:,} customers"
        yield Finding(Kind.RUN_STOPPED, "", f"{detail}, more than policy.blast_limit allows; see smr plan")
        return
    zone = settings.shop.tz
    here = at.astimezone(zone)
    earlier = [
        row.counts.get("queued", 0)
        for row in rows[1:]
        if not row.counts.get("blast") and _minutes(row.now_at.astimezone(zone), here) <= SAME
    ]
    if len(earlier) < FEWEST_RUNS:
        return
    usual, queued = median(earlier), counts.get("queued", 0)
    if queued == 0 and usual >= FEWEST_MESSAGES:
        yield Finding(Kind.RUN_SENDS_NOTHING, "", f"the last run queued nothing; usual are {usual:,.0f}")
    if queued > max(settings.alerts.unusual * usual, usual + FEWEST_MESSAGES):
        detail = f"the last run queued {queued:,} messages; usual are {usual:,.0f}"
        yield Finding(Kind.RUN_SENDS_TOO_MUCH, "", detail)


SAME = 10
"""Minutes of the day by which two runs may differ to be compared."""


def _minutes(one: datetime, other: datetime) -> int:
    """How far apart two times of day are, in minutes."""
    apart = abs((one.hour * 60 + one.minute) - (other.hour * 60 + other.minute))
    return min(apart, clock.DAY // 60 - apart)
