"""Writing down who is due, one row per playbook, step, customer and anchor, with the first verdict on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr.database import insert_or_update
from smr.due.triggers import CANDIDATE_COLUMNS, Found, candidates_of
from smr.playbook.model import Library, Playbook, Step
from smr.settings import Settings
from smr.tables import candidates


@dataclass(frozen=True)
class Tally:
    """How many candidates are due and open, and how many are due but were settled by an earlier run."""

    due: int = 0
    settled: int = 0


Judge = Callable[[Step, sa.FromClause], Mapping[str, Any]]
"""What is written beside a found candidate of a step, by the name of its column: the first verdict on it.

A row is written once instead of twice: that is half the work of finding.
"""

CHANGING = [
    "anchor_at",
    "product_id",
    "quantity",
    "runs_out_at",
    "due_at",
    "expires_at",
    "priority",
    "run_id",
]


@dataclass(frozen=True)
class Search:
    """The statements that find who is due for one playbook, built once and executed for each slice.

    `parts` are pairs of an upsert and a count of the same SELECT, with the values to bind.
    """

    playbook: str
    parts: tuple[tuple[Any, Any, Mapping[str, Any]], ...]


def search(
    dialect: str, playbook: Playbook, library: Library, settings: Settings, now: datetime, judge: Judge
) -> Search:
    """What to execute for one playbook at `now`."""
    parts = tuple(
        (_upsert(dialect, found.select, step, judge), _count(found), found.bound)
        for step in playbook.steps
        for found in candidates_of(playbook, step, library, settings, now)
    )
    return Search(playbook.name, parts)


def find(connection: Connection, wanted: Search, *, now: int, run_id: int, low: int, high: int) -> Tally:
    """Find who is due for a playbook, in buckets low..high.

    A candidate that is still open is found again and takes what is known now; one whose message is in
    the outbox, or that was held out or expired, stays as it is: its key is its reminder.
    """
    tally = Tally()
    for upsert, count, bound in wanted.parts:
        values = {"now": now, "run": run_id, "low": low, "high": high, **bound}
        seen = connection.execute(count, values).scalar_one()
        due = connection.execute(upsert, values).rowcount if seen else 0
        # What is due but not open was settled by an earlier run.
        tally = Tally(tally.due + due, tally.settled + seen - due)
    return tally


def _upsert(dialect: str, select: sa.Select[Any], step: Step, judge: Judge) -> Any:
    found = select.subquery("found")
    verdict = judge(step, found)
    names = [name for name in CANDIDATE_COLUMNS if name not in verdict]
    judged = sa.select(
        *(found.c[name] for name in names),
        *(sa.cast(value, candidates.c[name].type).label(name) for name, value in verdict.items()),
    )
    return insert_or_update(
        dialect,
        candidates,
        columns=[*names, *verdict],
        select=judged,
        update=[*CHANGING, *verdict],
        where=lambda _new: _still_open(),
    ).execution_options(preserve_rowcount=True)


def _count(found: Found) -> sa.Select[Any]:
    keys = found.select.subquery("found") if found.keys is None else found.keys
    return sa.select(sa.func.count()).select_from(keys)


def _still_open() -> sa.ColumnElement[bool]:
    return sa.and_(candidates.c.queued_at.is_(None), candidates.c.state.in_(["due", "blocked", "accepted"]))
