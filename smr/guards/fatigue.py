"""Fatigue: who has not answered the last messages is written to less often.

An answer is a purchase, or anything the customer does: a chat, a click, a like. From then on messages are
counted anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.conditions import NOW, Who
from smr.conditions.purchases import sold
from smr.events import NOT_THE_CUSTOMERS, Reason
from smr.guards.contacts import Moments, personal
from smr.guards.frequency_cap import give, has_holdout, in_turn, prior
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import candidates, interactions, named, purchases


def tired(library: Library, settings: Settings, moments: Moments) -> Iterator[sa.Update]:
    """The statement that holds back what comes too often for whoever does not answer."""
    fatigue = settings.policy.fatigue
    if fatigue is None:
        return
    row, counts, holdout = named(candidates, "row"), personal(settings), has_holdout(library)
    ranked = in_turn(
        row,
        counts(row),
        unanswered=prior(row, counts, answered_at(Who.of(row)) + 1, holdout),
        recent=prior(row, counts, moments.since(fatigue.slow_to, row), holdout),
    )
    most = fatigue.slow_to.count
    before = sa.and_(ranked.c.unanswered >= fatigue.after, ranked.c.recent >= most)
    full = sa.and_(
        ranked.c.unanswered + ranked.c.place > fatigue.after, ranked.c.recent + ranked.c.place > most
    )
    yield give(ranked, Reason.FATIGUE, before=before, full=full)


def answered_at(who: Who) -> ColumnElement[int]:
    """When the customer last bought or did something, in seconds; 0 where that never was."""
    line, deed = named(purchases, "bought_last"), named(interactions, "done_last")
    bought = _latest(line, line.c.purchased_at, who.owns(line), sold(line))
    theirs = deed.c.kind.not_in([str(kind) for kind in NOT_THE_CUSTOMERS])
    done = _latest(deed, deed.c.happened_at, who.owns(deed), theirs, deed.c.happened_at <= NOW)
    return sa.case((bought > done, bought), else_=done)


def _latest(source: Any, at: Any, *where: ColumnElement[bool]) -> ColumnElement[int]:
    latest = sa.func.coalesce(sa.func.max(sa.type_coerce(at, sa.BigInteger)), 0)
    # Stands inside the counting of messages, where correlation does not come by itself.
    return sa.select(latest).select_from(source).where(*where).correlate_except(source).scalar_subquery()
