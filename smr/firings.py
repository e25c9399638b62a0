"""What is done once per slot of a schedule, over any number of daemons.

In: a duty, its schedule, who asks. Out: a `Firing` for exactly one of those who ask, or None. A duty fires
once for all times that passed since it last did: after an outage there is one, not a storm. A firing whose
owner died, or that failed, is taken up again, unless a later time has come meanwhile.
Trap: slots are times of the schedule; leases and pauses run by the database's clock.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.cron import Cron
from smr.database import Database
from smr.database.timing import database_now
from smr.database.upsert import insert_missing
from smr.runs import is_gone
from smr.tables import firings

LEASE = 90
"""Seconds an owner may be silent before its firing may be taken from it."""
PAUSES = (10, 30, 60, 120, 300)
"""Seconds before a failed firing is tried again, by how often it was tried; the last one from then on."""

WATCHED, RUNNING, DONE, FAILED, STOPPED = "watched", "running", "done", "failed", "stopped"
f = firings.c


@dataclass(frozen=True)
class Firing:
    """A duty at a slot, in the hands of one owner. `attempt` counts from 1."""

    duty: str
    slot_at: datetime
    owner: str
    attempt: int

    @property
    def slot(self) -> str:
        """The slot as a name."""
        return f"{self.slot_at:%Y-%m-%dT%H:%M:%SZ}"


def begin(
    database: Database,
    duty: str,
    cron: Cron,
    where: ZoneInfo,
    *,
    now: datetime,
    owner: str,
    active: Collection[str] = (),
) -> Firing | None:
    """The duty's firing, where it is due and nobody has it. `active` are duties the owner is at already.

    The first time a duty is seen, nothing fires: it is watched from then on.
    """
    with database.read() as connection:
        last = _last(connection, duty)
        free = last is not None and _is_free(connection, last, owner, active)
    if last is None:
        _watch(database, duty, now, owner)
        return None
    slot = cron.last_until(now, where, since=last.slot_at)
    if last.state == RUNNING and not free:
        return None
    with database.write() as connection:
        if slot is not None:
            if free or last.state == FAILED:
                _give_up(connection, last)
            return _insert(connection, duty, slot, owner)
        return _take(connection, last, owner) if free else None


def undone(connection: Connection, owner: str, active: Collection[str]) -> list[str]:
    """Duties whose last firing is unfinished and in nobody's hands."""
    open_ones = sa.select(firings).where(f.state.in_((RUNNING, FAILED)))
    return sorted(
        {row.duty for row in connection.execute(open_ones) if _is_free(connection, row, owner, active)}
    )


def keep(connection: Connection, owner: str) -> None:
    """Renew the leases of all firings of an owner."""
    mine = sa.update(firings).where(f.owner == owner, f.state == RUNNING)
    connection.execute(mine.values(lease_until=database_now() + LEASE))


def finish(database: Database, firing: Firing, *, failed: str | None = None) -> bool:
    """End a firing: done, or failed for a reason; False where another has taken it meanwhile."""
    values: dict[str, Any] = {"state": DONE, "finished_at": database_now(), "detail": None}
    if failed is not None:
        pause = PAUSES[min(firing.attempt, len(PAUSES)) - 1]
        values |= {"state": FAILED, "detail": failed[:1000], "lease_until": database_now() + pause}
    return _mine(database, firing, values)


def put_back(database: Database, firing: Firing) -> bool:
    """Leave a firing that was broken off to whoever comes next, at once."""
    return _mine(database, firing, {"state": FAILED, "lease_until": 0, "detail": "broken off by a stop"})


def prune(connection: Connection, *, before: datetime) -> int:
    """Let go of old firings, but for the last one of each duty."""
    later = sa.select(f.duty).where(f.slot_at >= before)
    old = sa.delete(firings).where(f.slot_at < before, f.state != RUNNING, f.duty.in_(later))
    return connection.execute(old).rowcount


def _last(connection: Connection, duty: str) -> Any:
    latest = sa.select(firings).where(f.duty == duty).order_by(f.slot_at.desc()).limit(1)
    return connection.execute(latest).one_or_none()


def _is_free(connection: Connection, last: Any, owner: str, active: Collection[str]) -> bool:
    """Whether the last firing is unfinished and in nobody's hands."""
    if last.state not in (RUNNING, FAILED):
        return False
    over = clock.seconds(last.lease_until) <= connection.execute(sa.select(database_now())).scalar_one()
    if over or last.state == FAILED:
        return over
    return is_gone(last.owner) or (last.owner == owner and last.duty not in active)


def _watch(database: Database, duty: str, now: datetime, owner: str) -> None:
    with database.write() as connection:
        row = _row(duty, now, owner) | {"state": WATCHED, "attempts": 0, "finished_at": database_now()}
        connection.execute(insert_missing(connection.dialect.name, firings).values(row))


def _insert(connection: Connection, duty: str, slot: datetime, owner: str) -> Firing | None:
    row = _row(duty, slot, owner)
    once = insert_missing(connection.dialect.name, firings).values(row).returning(f.duty)
    made = connection.execute(once).scalar_one_or_none()
    return Firing(duty, slot, owner, 1) if made is not None else None


def _row(duty: str, slot: datetime, owner: str) -> dict[str, Any]:
    return {
        "duty": duty,
        "slot_at": slot,
        "state": RUNNING,
        "owner": owner,
        "lease_until": database_now() + LEASE,
        "attempts": 1,
        "started_at": database_now(),
    }


def _unchanged(last: Any) -> list[sa.ColumnElement[bool]]:
    """That a firing is as it was read."""
    names = ("duty", "slot_at", "state", "owner", "attempts", "lease_until")
    return [f[name] == getattr(last, name) for name in names]


def _take(connection: Connection, last: Any, owner: str) -> Firing | None:
    values = {"state": RUNNING, "owner": owner, "lease_until": database_now() + LEASE}
    taking = sa.update(firings).where(*_unchanged(last)).values(attempts=f.attempts + 1, **values)
    if connection.execute(taking).rowcount != 1:
        return None
    return Firing(last.duty, last.slot_at, owner, last.attempts + 1)


def _give_up(connection: Connection, last: Any) -> None:
    """A later time has come: what was left unfinished is done by that one."""
    ended = {"state": STOPPED, "finished_at": database_now()}
    connection.execute(sa.update(firings).where(*_unchanged(last)).values(**ended))


def _mine(database: Database, firing: Firing, values: dict[str, Any]) -> bool:
    mine = (
        f.duty == firing.duty,
        f.slot_at == firing.slot_at,
        f.owner == firing.owner,
        f.attempts == firing.attempt,
        f.state == RUNNING,
    )
    with database.write() as connection:
        return connection.execute(sa.update(firings).where(*mine).values(**values)).rowcount == 1


def next_at(cron: Cron | None, where: ZoneInfo, *, now: datetime) -> datetime | None:
    """When a duty is due next; None where it is off."""
    return None if cron is None else cron.next_after(now, where)
