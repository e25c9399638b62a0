"""Writing down who is due: candidates in state `due`, one row per playbook, step, customer and anchor."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.database import insert_or_update
from smr.due.triggers import CANDIDATE_COLUMNS, candidates_of
from smr.playbook.model import Library, Playbook
from smr.settings import Settings
from smr.tables import candidates

CHANGING = ["anchor_at", "product_id", "quantity", "runs_out_at", "due_at", "expires_at", "priority", "state", "run_id"]


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
) -> int:
    """Find who is due for each step of a playbook, in buckets low..high. Returns how many were found.

    A candidate that is still open is found again and takes what is known now; one whose message is in
    the outbox, or that was held out or expired, stays as it is: its key is its reminder.
    """
    count = 0
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
            count += max(connection.execute(statement, {**bound, **found.bound}).rowcount, 0)
    return count


def _still_open() -> sa.ColumnElement[bool]:
    return sa.and_(
        candidates.c.queued_at.is_(None), candidates.c.state.in_(["due", "blocked", "accepted"])
    )
