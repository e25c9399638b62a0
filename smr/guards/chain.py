"""All guards in the order in which they are judged, and the statements that judge a slice.

A step's candidates are judged by one UPDATE that gives each its first reason; what has none is arbitrated
across playbooks; the run's limits follow (`limits`); holdout comes last; then reasons become states.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr import clock
from smr.conditions import NOW
from smr.events import CandidateState, Reason
from smr.guards import contact, people, purchases, quiet_hours, timeliness
from smr.guards.frequency_cap import HIGH, LOW, RUN, arbitrations
from smr.guards.holdout import held_out
from smr.guards.verdict import Bench, Guard
from smr.playbook.model import Library, Playbook
from smr.settings import Settings
from smr.tables import OPEN, candidates

GUARDS: tuple[Guard, ...] = (
    Guard(Reason.PAUSED, timeliness.paused),
    Guard(Reason.EXPIRED, timeliness.expired),
    Guard(Reason.REFUNDED, purchases.refunded),
    Guard(Reason.BOUGHT_ALREADY, purchases.bought_already),
    Guard(Reason.STOPPED, purchases.stopped),
    Guard(Reason.NOT_DUE, timeliness.not_due),
    Guard(Reason.BEFORE_PUBLICATION, timeliness.before_publication),
    Guard(Reason.NOT_IN_SEGMENT, people.not_in_segment),
    Guard(Reason.STEP_CONDITION, people.step_condition),
    Guard(Reason.COMPLAINT_OPEN, people.complaint_open),
    Guard(Reason.UNREACHABLE, contact.unreachable),
    Guard(Reason.OPTED_OUT, contact.opted_out),
    Guard(Reason.NO_CONSENT, contact.no_consent),
    Guard(Reason.QUIET_HOURS, quiet_hours.too_late),
)
"""The guards that judge one candidate by itself; the first that blocks gives the reason."""


def reason_of(
    candidate: Any, bench: Bench, *, without: frozenset[Reason] = frozenset()
) -> ColumnElement[Any]:
    """The first guard's reason that blocks a candidate; NULL where none does."""
    whens = []
    for guard in GUARDS:
        blocks = None if guard.reason in without else guard.blocks(candidate, bench)
        if blocks is not None:
            whens.append((blocks, str(guard.reason)))
    return sa.case(*whens, else_=sa.null())


def judge(connection: Connection, bench: Bench, *, run_id: int, low: int, high: int) -> None:
    """Give every open candidate of one step, in buckets low..high, its first reason and its channel."""
    statement = (
        sa.update(candidates)
        .values(
            state=str(CandidateState.DUE),
            reason=reason_of(candidates, bench),
            channel=contact.channel_of(candidates, bench),
            send_after=quiet_hours.send_after(candidates, bench),
            judged_at=NOW,
        )
        .where(
            candidates.c.playbook == bench.playbook.name,
            candidates.c.step == bench.step.name,
            candidates.c.bucket.between(LOW, HIGH),
            OPEN,
        )
    )
    connection.execute(statement, {"now": clock.seconds(bench.now), "run": run_id, "low": low, "high": high})


def arbitrate(
    connection: Connection,
    library: Library,
    settings: Settings,
    *,
    now: int,
    tomorrow: int,
    run_id: int,
    low: int,
    high: int,
) -> None:
    """Judge the candidates that passed so far against each other: rounds, caps, priority."""
    bound = {"now": now, "tomorrow": tomorrow, "run": run_id, "low": low, "high": high}
    for statement in arbitrations(library, settings):
        connection.execute(statement, bound)


def settle(
    connection: Connection,
    playbook: Playbook,
    settings: Settings,
    *,
    now: int,
    run_id: int,
    low: int,
    high: int,
) -> list[tuple[str, str | None, int]]:
    """Hold out who is to be held out, then turn a playbook's reasons into states.

    Returns how many candidates were judged, as rows of step, reason (None: accepted) and count.
    """
    bound = {"now": now, "run": run_id, "low": low, "high": high}
    out = held_out(candidates, playbook, settings)
    if out is not None:
        held = _open(playbook.name).values(reason=str(Reason.HOLDOUT))
        connection.execute(held.where(candidates.c.run_id == RUN, candidates.c.reason.is_(None), out), bound)
    counts = connection.execute(_counts(playbook.name), bound).all()
    connection.execute(_open(playbook.name).values(state=_state()), bound)
    return [(step, reason, count) for step, reason, count in counts]


def _counts(playbook: str) -> sa.Select[Any]:
    return (
        sa.select(candidates.c.step, candidates.c.reason, sa.func.count())
        .where(candidates.c.playbook == playbook, candidates.c.bucket.between(LOW, HIGH), OPEN)
        .group_by(candidates.c.step, candidates.c.reason)
    )


def _open(playbook: str) -> Any:
    return sa.update(candidates).where(
        candidates.c.playbook == playbook, candidates.c.bucket.between(LOW, HIGH), OPEN
    )


def _state() -> ColumnElement[Any]:
    return sa.case(
        (candidates.c.reason.is_(None), str(CandidateState.ACCEPTED)),
        (candidates.c.reason == str(Reason.HOLDOUT), str(CandidateState.HELD_OUT)),
        (candidates.c.reason == str(Reason.EXPIRED), str(CandidateState.EXPIRED)),
        else_=str(CandidateState.BLOCKED),
    )
