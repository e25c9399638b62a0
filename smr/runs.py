"""One run at a time: begin, keep the lease alive, finish; and what earlier runs counted.

The database decides who runs (a unique index allows one running row); a lease by the database's clock frees
the place of a run that died. A run whose process is gone from this machine gives way at once.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from smr.database import Database
from smr.database.timing import database_now
from smr.errors import StateError
from smr.tables import runs

LEASE = 120
"""Seconds a run may be silent before another may take its place."""


@dataclass(frozen=True)
class Run:
    """A run under way."""

    run_id: int
    slot: str
    owner: str


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


def begin(database: Database, *, now: datetime, version: str, slot: str | None, owner: str) -> Run | UnderWay:
    """Begin a run for a slot (a unique name; without one, a new name is made from `now`)."""
    try:
        with database.write() as connection:
            return _begin(connection, now, version, slot, owner)
    except IntegrityError:
        with database.read() as connection:
            found = _running(connection) or _of_slot(connection, slot or "")
        if found is None:
            raise StateError("another run began and ended at the same moment; run again") from None
        return UnderWay(found.run_id, found.slot, found.owner, found.state == "done")


def _begin(
    connection: Connection, now: datetime, version: str, slot: str | None, owner: str
) -> Run | UnderWay:
    other = _running(connection)
    if other is not None:
        if other.lease_until > connection.execute(sa.select(database_now())).scalar_one() and not is_gone(
            other.owner
        ):
            return UnderWay(other.run_id, other.slot, other.owner, done=False)
        stop = sa.update(runs).values(state="stopped", finished_at=database_now())
        connection.execute(stop.where(runs.c.run_id == other.run_id))
    if slot is not None:
        earlier = _of_slot(connection, slot)
        if earlier is not None and earlier.state == "done":
            return UnderWay(earlier.run_id, slot, earlier.owner, done=True)
        if earlier is not None:
            return _again(connection, earlier.run_id, slot, owner)
    name = slot or _new_slot(connection, now)
    values = {
        "slot": name,
        "now_at": now,
        "state": "running",
        "owner": owner,
        "lease_until": database_now() + LEASE,
        "started_at": database_now(),
        "version": version,
    }
    run_id = connection.execute(sa.insert(runs).values(values).returning(runs.c.run_id)).scalar_one()
    return Run(run_id, name, owner)


def _again(connection: Connection, run_id: int, slot: str, owner: str) -> Run:
    """Take up a slot whose run was stopped."""
    connection.execute(
        sa.update(runs)
        .where(runs.c.run_id == run_id)
        .values(state="running", owner=owner, lease_until=database_now() + LEASE, finished_at=None)
    )
    return Run(run_id, slot, owner)


def stop(database: Database, owner: str) -> None:
    """Mark the owner's run under way as broken off, so that another may take it up at once."""
    with database.write() as connection:
        mine = sa.update(runs).where(runs.c.owner == owner, runs.c.state == "running")
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
    done = sa.update(runs).where(runs.c.run_id == run.run_id, runs.c.owner == run.owner)
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
    columns = (runs.c.run_id, runs.c.slot, runs.c.owner, runs.c.state)
    lease = sa.type_coerce(runs.c.lease_until, sa.BigInteger).label("lease_until")
    return connection.execute(sa.select(*columns, lease).where(sa.text("state = 'running'"))).one_or_none()


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
