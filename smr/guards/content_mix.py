"""The mix of what a customer is sent: at most such a share of it is selling.

Judged for each selling message, with those before it in the span. The only one in a span may always go: a
share of one message says nothing. What is useful makes room when it has gone out, not when it is queued.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.events import Reason
from smr.guards.contacts import Moments, personal, went_out
from smr.guards.frequency_cap import Counts, give, has_holdout, in_turn, prior
from smr.playbook.model import Library
from smr.settings import Mix, Settings
from smr.tables import candidates, named

WHOLE = 10_000
"""Shares are compared in whole hundredths of a percent."""


def unbalanced(library: Library, settings: Settings, moments: Moments, *, alone: bool) -> Iterator[sa.Update]:
    """The statement that holds back what would sell more than its share: where a message does so by itself
    (`alone`), or with those of the same run.
    """
    mix = settings.policy.mix
    if mix is None:
        return
    row, holdout = named(candidates, "row"), has_holdout(library)
    selling, useful = counts_of(library, settings)
    since = moments.since(mix.window, row)
    ranked = in_turn(
        row,
        selling(row),
        selling=prior(row, selling, since, holdout),
        useful=prior(row, useful, since, False, sent=went_out),
    )
    before = beyond(mix, ranked.c.selling + 1, ranked.c.useful)
    full = beyond(mix, ranked.c.selling + ranked.c.place, ranked.c.useful)
    yield give(ranked, Reason.CONTENT_MIX, before=before, full=before if alone else full)


def beyond(mix: Mix, selling: Any, useful: Any) -> Any:
    """Whether so many selling messages, beside so many useful ones, are more than their share."""
    share = round(mix.selling_at_most * WHOLE)
    more = selling * (WHOLE - share) > useful * share
    return sa.and_(selling > 1, more) if isinstance(more, ColumnElement) else selling > 1 and more


def counts_of(library: Library, settings: Settings) -> tuple[Counts, Counts]:
    """Which personal messages, or candidates, are selling, and which useful, as their playbooks say now.

    What a playbook sent that is no more counts as selling.
    """
    steps = [
        (playbook.name, step.name)
        for playbook in library.playbooks
        for step in playbook.steps
        if playbook.content_of(step) == "useful"
    ]
    is_personal = personal(settings)

    def useful(row: Any) -> ColumnElement[bool]:
        named_so = [sa.and_(row.c.playbook == book, row.c.step == step) for book, step in steps]
        return sa.and_(is_personal(row), sa.or_(sa.false(), *named_so))

    def selling(row: Any) -> ColumnElement[bool]:
        return sa.and_(is_personal(row), sa.not_(useful(row)))

    return selling, useful
