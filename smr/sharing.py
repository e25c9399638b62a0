"""How several processes share a run: its stages in order, each stage's slices by lease rows.

In: a run with rows for its stages. Out: one `Task` after the other for whoever asks, until the run is over.
A stage begins with number 0, what is done once for the whole shop; that writes down the slices that follow.
It begins only when all of the stage before is done. Nobody leads: whoever comes first takes what is next.

A task is done in one transaction that begins with making sure of it and ends with saying so: it is done once
or not at all, whoever dies. What a dead process had is taken by another, at once where it lived on this
machine, else when its lease is over; as long as its transaction lives, its row is locked and nobody takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr import clock
from smr.database import Database
from smr.database.timing import database_now
from smr.errors import StateError
from smr.runs import LEASE, Run, is_gone
from smr.slices import Slice
from smr.tables import BUCKETS, run_slices, runs

TASK_LEASE = 20
"""Seconds between taking a task and beginning with it."""
PAUSES = (0.005, 0.01, 0.02, 0.05)
"""Seconds to wait for others, again and again; the last one from then on."""
EVERYBODY = Slice(0, BUCKETS - 1)
s = run_slices.c


@dataclass(frozen=True)
class Place:
    """Which of the processes that share a run this one is, from 1; it begins with its own slices."""

    number: int
    of: int


@dataclass(frozen=True)
class Task:
    """A piece of a run's work: number 0 of a stage is for the whole shop, the others are slices of it."""

    stage: int
    number: int
    part: Slice


@dataclass(frozen=True)
class Standing:
    """How far a run is: its present stage, and how many of that stage's tasks are done, of how many."""

    stage: int
    done: int
    of: int


Tell = Callable[[Standing], None]


def open_stages(connection: Connection, run_id: int, count: int) -> None:
    """Write down the beginnings of so many stages."""
    rows = [_row(run_id, stage, 0, EVERYBODY) for stage in range(count)]
    connection.execute(sa.insert(run_slices), rows)


def add_slices(connection: Connection, run_id: int, stage: int, slices: list[Slice]) -> None:
    """Write down the slices of a stage that has begun."""
    if slices:
        rows = [_row(run_id, stage, number, part) for number, part in enumerate(slices, 1)]
        connection.execute(sa.insert(run_slices), rows)


def next_task(database: Database, run: Run, place: Place, tell: Tell) -> Task | None:
    """Take what is to be done next, waiting for others where all of it is in their hands; None at the end.

    Raises StateError where another run took this one's place.
    """
    waited = 0
    while True:
        with database.read() as connection:
            seen = _look(connection, run)
        if seen is None:
            return None
        tell(seen.standing)
        if seen.free or seen.grows_old:
            with database.write() as connection:
                _keep(connection, run)
                task = _take(connection, run, seen, place)
            if task is not None:
                return task
        clock.pause(PAUSES[min(waited, len(PAUSES) - 1)])
        waited += 1


def is_mine(connection: Connection, run: Run, task: Task) -> bool:
    """Make sure of a task, first of all in the transaction that does it; its row is locked from then on."""
    mine = sa.update(run_slices).where(*_same(run, task), s.state == "taken", s.owner == run.owner)
    return connection.execute(mine.values(lease_until=database_now() + TASK_LEASE)).rowcount == 1


def done(connection: Connection, run: Run, task: Task, told: dict[str, Any]) -> None:
    """Say that a task is done, and what it told; the last statement of its transaction."""
    values = {"state": "done", "told": told, "lease_until": None}
    connection.execute(sa.update(run_slices).where(*_same(run, task)).values(values))


def put_back(database: Database, run: Run, task: Task) -> None:
    """Leave a task that failed or was broken off to whoever comes next."""
    with database.write() as connection:
        mine = sa.update(run_slices).where(*_same(run, task), s.state == "taken", s.owner == run.owner)
        connection.execute(mine.values(state="waiting", owner=None, lease_until=None))


def told_by(connection: Connection, run: Run, stage: int | None = None) -> list[dict[str, Any]]:
    """What the tasks of a run told that are done, in order; or the beginning of one stage alone."""
    asked = sa.select(s.told).where(s.run_id == run.run_id, s.state == "done")
    if stage is not None:
        asked = asked.where(s.stage == stage, s.number == 0)
    return list(connection.execute(asked.order_by(s.stage, s.number)).scalars())


def _row(run_id: int, stage: int, number: int, part: Slice) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "stage": stage,
        "number": number,
        "low": part.low,
        "high": part.high,
        "state": "waiting",
    }


def _same(run: Run, task: Task) -> tuple[ColumnElement[bool], ...]:
    return s.run_id == run.run_id, s.stage == task.stage, s.number == task.number


@dataclass(frozen=True)
class _Seen:
    standing: Standing
    free: list[Any]  # rows of the present stage that nobody seems to work at
    grows_old: bool  # the run's lease, or who holds it is gone


def _look(connection: Connection, run: Run) -> _Seen | None:
    """How a run stands; None where it is over."""
    lease = sa.type_coerce(runs.c.lease_until, sa.BigInteger) - database_now()
    asked = sa.select(runs.c.state, runs.c.owner, lease.label("left")).where(runs.c.run_id == run.run_id)
    held = connection.execute(asked).one()
    if held.state == "done":
        return None
    if held.state != "running":
        raise _overtaken()
    left = sa.type_coerce(s.lease_until, sa.BigInteger) - database_now()
    columns = (s.stage, s.number, s.low, s.high, s.state, s.owner, left.label("left"))
    every = sa.select(*columns).where(s.run_id == run.run_id).order_by(s.stage, s.number)
    tasks = connection.execute(every).all()
    stage = min((task.stage for task in tasks if task.state != "done"), default=-1)
    present = [task for task in tasks if task.stage == stage]
    ready = sum(task.state == "done" for task in present)
    return _Seen(
        Standing(stage, ready, len(present)),
        [task for task in present if _is_free(task)],
        held.left < LEASE // 2 or is_gone(held.owner),
    )


def _is_free(task: Any) -> bool:
    return task.state == "waiting" or (task.state == "taken" and (task.left <= 0 or is_gone(task.owner)))


def _keep(connection: Connection, run: Run) -> None:
    """Renew the run's lease in the name of this process: whoever is heard of keeps it alive."""
    mine = sa.update(runs).where(runs.c.run_id == run.run_id, runs.c.state == "running")
    connection.execute(mine.values(owner=run.owner, lease_until=database_now() + LEASE))


def _take(connection: Connection, run: Run, seen: _Seen, place: Place) -> Task | None:
    """Take the first free task from the process's own place on; None where others were quicker."""
    own = 1 + (place.number - 1) * max(seen.standing.of - 1, 0) // place.of
    for row in sorted(seen.free, key=lambda one: (one.number < own, one.number)):
        task = Task(row.stage, row.number, Slice(row.low, row.high))
        unchanged = (s.state == row.state, s.owner.is_not_distinct_from(row.owner))
        lock = sa.select(s.number).where(*_same(run, task), *unchanged).with_for_update(skip_locked=True)
        if connection.execute(lock).first() is not None:
            values = {"state": "taken", "owner": run.owner, "lease_until": database_now() + TASK_LEASE}
            connection.execute(sa.update(run_slices).where(*_same(run, task)).values(values))
            return task
    return None


def _overtaken() -> StateError:
    return StateError("this run was silent for too long and another took its place; nothing was done twice")
