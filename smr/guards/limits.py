"""Limits of a whole run: so many messages per playbook, and never to unusually many customers at once.

These look across all customers, after every slice was judged; the set they rank is already small.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr.events import CandidateState, Reason
from smr.guards.frequency_cap import KEY, RUN
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import OPEN, candidates, customers, named


def limit_run(
    connection: Connection, library: Library, settings: Settings, *, run_id: int, allow_blast: bool = False
) -> int | None:
    """Apply the limits of this run. Returns how many customers it wanted to write to if that was too many."""
    for playbook in library.playbooks:
        if playbook.limits.per_run is not None:
            connection.execute(_beyond(playbook.name, playbook.limits.per_run), {"run": run_id})
    share = settings.policy.blast_limit
    if share is None or allow_blast:
        return None
    wanted = connection.execute(_people(), {"run": run_id}).scalar_one()
    known = connection.execute(sa.select(sa.func.count()).select_from(customers)).scalar_one()
    if wanted <= share * known:
        return None
    stop = sa.update(candidates).values(reason=str(Reason.BLAST_LIMIT)).where(_passed(candidates))
    connection.execute(stop, {"run": run_id})
    return int(wanted)


def _passed(row: Any) -> ColumnElement[bool]:
    return sa.and_(
        row.c.run_id == RUN,
        row.c.state == str(CandidateState.ACCEPTED),
        row.c.reason.is_(None),
        row.c.queued_at.is_(None),
    )


def _beyond(playbook: str, limit: int) -> Any:
    row = named(candidates, "row")
    place = sa.func.row_number().over(
        order_by=[row.c.due_at, row.c.bucket, row.c.customer_id, row.c.step, row.c.anchor]
    )
    ranked = (
        sa.select(*(row.c[name] for name in KEY), place.label("place"))
        .where(_passed(row), row.c.playbook == playbook)
        .subquery("ranked")
    )
    same = sa.and_(*(candidates.c[name] == ranked.c[name] for name in KEY))
    late = sa.update(candidates).values(reason=str(Reason.PER_RUN_LIMIT)).where(same, ranked.c.place > limit)
    return late.execution_options(whole_shop="limits.per_run counts across customers")


def _people() -> sa.Select[Any]:
    people = (
        sa.select(candidates.c.bucket, candidates.c.customer_id).where(_passed(candidates), OPEN).distinct()
    )
    return sa.select(sa.func.count()).select_from(people.subquery("people"))
