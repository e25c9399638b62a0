"""Too late, too early, or not due any more."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr import clock
from smr.conditions import NOW
from smr.guards.verdict import Bench, customer_of
from smr.playbook.model import counts_from_run_out
from smr.tables import named, undecided_customers

RUN = sa.bindparam("run", type_=sa.BigInteger)


def paused(_candidate: Any, bench: Bench) -> ColumnElement[bool] | None:
    """The playbook is a draft or paused."""
    return None if bench.playbook.status == "live" else sa.true()


def expired(candidate: Any, _bench: Bench) -> ColumnElement[bool]:
    """It would come too late to be useful."""
    return candidate.c.expires_at <= NOW  # type: ignore[no-any-return]


def not_due(candidate: Any, bench: Bench) -> ColumnElement[bool]:
    """This run did not find it due again: its day moved, or what anchored it is gone."""
    missed: ColumnElement[bool] = candidate.c.run_id != RUN
    looked_for_all = not (bench.only_news and counts_from_run_out(bench.playbook, bench.step))
    if looked_for_all:
        return missed
    if bench.playbook.bundle is not None:
        # What was taken into a message before its day, and is not named in any, waits for its day.
        return sa.and_(missed, sa.or_(is_undecided(candidate), candidate.c.due_at > reach(bench)))
    return sa.and_(missed, is_undecided(candidate))


def reach(bench: Bench) -> int:
    """The last instant (seconds) of what is due now: whole-day steps are due from their day's beginning."""
    if not bench.step.send.by_day:
        return clock.seconds(bench.now)
    return clock.seconds(clock.end_of_day(bench.now, bench.settings.shop.tz)) - 1


def before_publication(candidate: Any, bench: Bench) -> ColumnElement[bool] | None:
    """It was due before the playbook went live, earlier than its backfill allows."""
    if bench.playbook.backfill is None or bench.live_since is None:
        return None
    return candidate.c.due_at < bench.live_since - bench.playbook.backfill  # type: ignore[no-any-return]


def is_undecided(candidate: Any) -> ColumnElement[bool]:
    """Whether something changed about the customer of a candidate."""
    person = named(undecided_customers, "person")
    return sa.select(sa.literal(1)).select_from(person).where(customer_of(candidate).owns(person)).exists()
