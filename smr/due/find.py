"""Writing down who is due: candidates in state `due`, one row per playbook, step, customer and anchor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.database import insert_or_update
from smr.due.triggers import CANDIDATE_COLUMNS, candidates_of
from smr.playbook.model import Library, Playbook, RunsOut
from smr.settings import Settings
from smr.tables import candidates


@dataclass(frozen=True)
class Tally:
    """How many candidates are due and open, and how many are due but were settled by an earlier run."""

    due: int = 0
    settled: int = 0


CHANGING = [
    "anchor_at",
    "product_id",
    "quantity",
    "runs_out_at",
    "due_at",
    "expires_at",
    "priority",
    "state",
    "run_id",
]


def find(
    connection: Connection,
    playbook: Playbook,
    library: Library,
    settings: Settings,
    *,
    now: datetime,
    run_id: int,
    low: int,
    high: int,
) -> Tally:
    """Find who is due for each step of a playbook, in buckets low..high.

    A candidate that is still open is found again and takes what is known now; one whose message is in
    the outbox, or that was held out or expired, stays as it is: its key is its reminder.
    """
    tally = Tally()
    bound = {"now": clock.seconds(now), "run": run_id, "low": low, "high": high}
    for step in playbook.steps:
        for found in candidates_of(playbook, step, library, settings, now):
            statement = insert_or_update(
                connection.dialect.name,
                candidates,
                columns=CANDIDATE_COLUMNS,
                select=found.select,
                update=CHANGING,
                where=lambda _new: _still_open(),
            ).execution_options(preserve_rowcount=True)
            values = {**bound, **found.bound}
            due = connection.execute(statement, values).rowcount
            # What is due but not open was decided by an earlier run; counted where cheap or all there is.
            seen = _count(connection, found.select, values) if due == 0 or _cheap(playbook) else due
            tally = Tally(tally.due + due, tally.settled + seen - due)
    return tally


def _cheap(playbook: Playbook) -> bool:
    return isinstance(playbook.trigger, RunsOut)


def _count(connection: Connection, select: sa.Select[Any], values: dict[str, Any]) -> int:
    counted = sa.select(sa.func.count()).select_from(select.subquery("found"))
    return int(connection.execute(counted, values).scalar_one())


def _still_open() -> sa.ColumnElement[bool]:
    return sa.and_(candidates.c.queued_at.is_(None), candidates.c.state.in_(["due", "blocked", "accepted"]))
