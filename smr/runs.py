"""One run at a time: begin, keep the lease alive, finish; and what earlier runs counted.

The database decides who runs (a unique index allows one running row); a lease by the database's clock frees
the place of a run that died. A run whose process is gone from this machine gives way at once. Others may join
a run that is shared, if they agree with it on playbooks and settings (see `sharing`).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from smr import clock
from smr.database import Database
from smr.database.timing import database_now
from smr.errors import StateError
from smr.tables import run_slices, runs

LEASE = 120
"""Seconds a run may be silent before another may take its place."""


@dataclass(frozen=True)
class Run:
    """A run under way. `now` is the instant at which it judges, for whoever `joined` it, too."""

    run_id: int
    slot: str
    owner: str
    now: datetime
    joined: bool = False


@dataclass(frozen=True)
class Agreed:
    """What processes that share a run agree on: a name for their rules, and its instant where that is stated.

    `open_stages` writes down the work of a run that is begun, in the same transaction.
    """

    rules: str
    at: datetime | None
    open_stages: Callable[[Connection, int], None]


@dataclass(frozen=True)
class UnderWay:
    """Why a run was not begun: another one is under way, or the slot was done already."""

    run_id: int
    slot: str
    owner: str
    done: bool


def this_process() -> str:
    """A name for this process that no other living process on any machine has."""
    return f"{socket.gethostname()}/{os.getpid()}/{_born(os.getpid())}"


def begin(
    database: Database,
    *,
    now: datetime,
    version: str,
    slot: str | None,
    owner: str,
    agreed: Agreed | None = None,
) -> Run | UnderWay:
    """Begin a run for a slot (a unique name; without one, a new name is made from `now`).

    With `agreed` it is one that others may join; where such a run is under way already, it is joined.
    """
    asked = _Asked(now, version, slot, owner, agreed)
    try:
        with database.write() as connection:
            return _begin(connection, asked)
    except IntegrityError:
        with database.read() as connection:
            found = _running(connection) or _of_slot(connection, slot or "")
        if found is None:
            raise StateError("another run began and ended at the same moment; run again") from None
        if found.state == "running" and _may_join(found, asked):
            return _joined(found, owner)
        return UnderWay(found.run_id, found.slot, found.owner, found.state == "done")


@dataclass(frozen=True)
class _Asked:
    now: datetime
    version: str
    slot: str | None
    owner: str
    agreed: Agreed | None


def _begin(connection: Connection, asked: _Asked) -> Run | UnderWay:
    other = _running(connection)
    if other is not None:
        if _is_alive(connection, other):
            if _may_join(other, asked):
                return _joined(other, asked.owner)
            return UnderWay(other.run_id, other.slot, other.owner, done=False)
        stop = sa.update(runs).values(state="stopped", finished_at=database_now())
        connection.execute(stop.where(runs.c.run_id == other.run_id))
    earlier = None if asked.slot is None else _of_slot(connection, asked.slot)
    if earlier is not None and earlier.state == "done":
        return UnderWay(earlier.run_id, earlier.slot, earlier.owner, done=True)
    connection.execute(sa.delete(run_slices))
    begun = _anew(connection, asked) if earlier is None else _again(connection, earlier, asked)
    if asked.agreed is not None:
        asked.agreed.open_stages(connection, begun.run_id)
    return begun


def _anew(connection: Connection, asked: _Asked) -> Run:
    name = asked.slot or _new_slot(connection, asked.now)
    values = _under_way(asked) | {
        "slot": name,
        "now_at": asked.now,
        "started_at": database_now(),
        "version": asked.version,
    }
    run_id = connection.execute(sa.insert(runs).values(values).returning(runs.c.run_id)).scalar_one()
    return Run(run_id, name, asked.owner, asked.now)


def _again(connection: Connection, earlier: Any, asked: _Asked) -> Run:
    """Take up a slot whose run was stopped."""
    values = _under_way(asked) | {"now_at": asked.now, "finished_at": None}
    connection.execute(sa.update(runs).where(runs.c.run_id == earlier.run_id).values(values))
    return Run(earlier.run_id, earlier.slot, asked.owner, asked.now)


def _under_way(asked: _Asked) -> dict[str, Any]:
    return {
        "state": "running",
        "owner": asked.owner,
        "lease_until": database_now() + LEASE,
        "shared_by": None if asked.agreed is None else asked.agreed.rules,
    }


def _may_join(other: Any, asked: _Asked) -> bool:
    """Whether a run under way is the one that is asked for, by somebody with the same rules."""
    agreed = asked.agreed
    if agreed is None or agreed.rules != other.shared_by or asked.slot not in (None, other.slot):
        return False
    return agreed.at in (None, other.now_at)


def _joined(other: Any, owner: str) -> Run:
    return Run(other.run_id, other.slot, owner, other.now_at, joined=True)


def _is_alive(connection: Connection, other: Any) -> bool:
    """Whether a process that works on a run may live: the one that was heard of last, or one with a slice."""
    now = connection.execute(sa.select(database_now())).scalar_one()
    if clock.seconds(other.lease_until) <= now:
        return False
    at_work = sa.select(run_slices.c.owner).where(
        run_slices.c.run_id == other.run_id, run_slices.c.state == "taken"
    )
    return not all(is_gone(owner) for owner in (other.owner, *connection.execute(at_work).scalars()))


def open_to_others(connection: Connection) -> str | None:
    """The slot of a run under way that others may join, who have the same rules; None where there is none."""
    found = _running(connection)
    return found.slot if found is not None and found.shared_by is not None else None


def stop(database: Database, owner: str) -> None:
    """Mark the owner's run under way as broken off, so that another may take it up at once.

    One that is shared goes on without its owner.
    """
    with database.write() as connection:
        alone = sa.and_(runs.c.state == "running", runs.c.shared_by.is_(None))
        mine = sa.update(runs).where(runs.c.owner == owner, alone)
        connection.execute(mine.values(state="stopped", finished_at=database_now()))


def keep(connection: Connection, run: Run) -> None:
    """Renew the lease within a transaction of the run; raises StateError where another took its place."""
    renew = sa.update(runs).where(
        runs.c.run_id == run.run_id, runs.c.owner == run.owner, runs.c.state == "running"
    )
    if connection.execute(renew.values(lease_until=database_now() + LEASE)).rowcount != 1:
        raise StateError(
            "this run was silent for too long and another took its place; nothing was done twice"
        )


def finish(connection: Connection, run: Run, counts: dict[str, Any] | None) -> None:
    """End a run and keep what it counted; None where it decided nothing."""
    done = sa.update(runs).where(runs.c.run_id == run.run_id, runs.c.state == "running")
    connection.execute(done.values(state="done", finished_at=database_now(), counts=counts))


def last_counts(connection: Connection) -> dict[str, Any] | None:
    """What the last run that decided anything counted; None where there is none."""
    latest = (
        sa.select(runs.c.counts)
        .where(runs.c.state == "done", runs.c.counts.is_not(None))
        .order_by(runs.c.run_id.desc())
        .limit(1)
    )
    counts: dict[str, Any] | None = connection.execute(latest).scalar_one_or_none()
    return counts


def next_id(connection: Connection) -> int:
    """The number the next run will have; a plan judges with it."""
    return int(
        connection.execute(sa.select(sa.func.coalesce(sa.func.max(runs.c.run_id), 0) + 1)).scalar_one()
    )


def latest_now(connection: Connection) -> int | None:
    """The latest `now` any run has seen, in seconds."""
    latest: int | None = connection.execute(
        sa.select(sa.type_coerce(sa.func.max(runs.c.now_at), sa.BigInteger))
    ).scalar_one()
    return latest


def _running(connection: Connection) -> Any:
    return connection.execute(sa.select(runs).where(sa.text("state = 'running'"))).one_or_none()


def _of_slot(connection: Connection, slot: str) -> Any:
    return connection.execute(sa.select(runs).where(runs.c.slot == slot)).one_or_none()


def _new_slot(connection: Connection, now: datetime) -> str:
    same = sa.select(sa.func.count()).select_from(runs).where(runs.c.now_at == now)
    return f"{now:%Y-%m-%dT%H:%M:%SZ}/{connection.execute(same).scalar_one() + 1}"


def is_gone(owner: str) -> bool:
    """Whether the owner was a process of this machine that does not live any more."""
    try:
        host, pid, born = owner.split("/")
        return host == socket.gethostname() and _born(int(pid)) != born
    except ValueError:
        return False


def _born(pid: int) -> str:
    """When a process of this machine was started, as the kernel counts it; empty where it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return "" if Path("/proc/self").exists() else "unknown"
    except OSError:
        return "unknown"
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state == "Z" else rest[18]
