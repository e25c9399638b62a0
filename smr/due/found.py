"""What a trigger yields: a SELECT of candidates, and what is bound to it.

A step's name, playbook, offset and priority are bound, so that steps alike are served by one statement.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.due.window import Today, Window, useful_for
from smr.playbook.model import Library, Playbook, Step
from smr.settings import Settings
from smr.tables import candidates

CANDIDATE_COLUMNS = [
    "bucket",
    "customer_id",
    "playbook",
    "step",
    "anchor",
    "anchor_at",
    "kind",
    "line",
    "order_id",
    "product_id",
    "quantity",
    "runs_out_at",
    "due_at",
    "expires_at",
    "priority",
    "state",
    "run_id",
]
"""What a trigger says of a candidate."""

RUN = sa.bindparam("run", type_=sa.BigInteger)


class Asking(NamedTuple):
    """What is said of the step whose candidates are looked for, where a statement reads it."""

    playbook: ColumnElement[str]
    step: ColumnElement[str]
    priority: ColumnElement[int]
    offset: ColumnElement[int]
    useful: ColumnElement[int]


BOUND = Asking(
    sa.bindparam("of_playbook", type_=sa.Text),
    sa.bindparam("of_step", type_=sa.Text),
    sa.bindparam("of_priority", type_=sa.Integer),
    sa.bindparam("of_offset", type_=sa.BigInteger),
    sa.bindparam("of_useful", type_=sa.BigInteger),
)
"""It is bound: one statement for each step."""


@dataclass(frozen=True)
class Found:
    """A SELECT of candidates and the values to bind with it (beside `low`, `high`, `now` and `run`).

    `keys` has as many rows and is quicker to count, where there is such a thing. `news` are what of it an
    earlier run cannot have found as it is now; None where nobody knows. Where `gate` finds no row, there is
    nothing to find at all, which is quicker to ask. Of what is not `timeless`, the SELECT itself depends on
    the time, and not only what is bound. Where a `shape` is said, SELECTs of the same shape are the same, of
    whichever step; and `together` finds what all of them do, of the steps that are `sought`.
    """

    select: sa.Select[Any]
    bound: Mapping[str, Any]
    keys: sa.FromClause | None = None
    news: tuple[Found, ...] | None = None
    of_undecided: bool = False
    gate: sa.Select[Any] | None = None
    given: bool = False  # by a warehouse, some time ago
    timeless: bool = True
    shape: Hashable = None
    together: sa.Select[Any] | None = None


@dataclass(frozen=True)
class StepDue:
    """One step of one playbook as the triggers see it."""

    playbook: Playbook
    step: Step
    settings: Settings
    library: Library
    before: datetime | None = None

    def known(self, window: Window) -> int | None:
        """Up to where in the window all was found before; None where nobody knows."""
        if self.before is None:
            return None
        high = Today(self.before, self.settings.shop.tz).window(self.step.send, self.useful).high
        return min(max(high, window.low), window.high)

    @property
    def offset(self) -> int:
        """Seconds from the base to the step."""
        return self.step.send.offset

    @property
    def useful(self) -> int:
        """Seconds for which the step stays useful."""
        return useful_for(self.step, self.settings)

    @property
    def bound(self) -> dict[str, Any]:
        """What is bound for it."""
        return {
            "of_playbook": self.playbook.name,
            "of_step": self.step.name,
            "of_priority": self.playbook.priority,
            "of_offset": self.offset,
            "of_useful": self.useful,
        }


def row_of(source: Any, base: ColumnElement[Any], asking: Asking = BOUND, **columns: Any) -> sa.Select[Any]:
    """The candidate columns for rows of a source; `base` is the instant the step counts from."""
    due_at = sa.type_coerce(base, sa.BigInteger) + asking.offset
    given: dict[str, Any] = {
        "bucket": source.c.bucket,
        "customer_id": source.c.customer_id,
        "playbook": asking.playbook,
        "step": asking.step,
        "due_at": due_at,
        "expires_at": due_at + asking.useful,
        "priority": asking.priority,
        "state": sa.literal("due", sa.Text),
        "run_id": RUN,
        **columns,
    }
    chosen = [
        given.get(name, sa.cast(sa.null(), candidates.c[name].type)).label(name) for name in CANDIDATE_COLUMNS
    ]
    return sa.select(*chosen)


def of_customer(select: sa.Select[Any], table: Any, customer: tuple[int, str]) -> sa.Select[Any]:
    """What of a SELECT is of one customer, by the table that tells whose it is."""
    bucket, customer_id = customer
    return select.where(table.c.bucket == bucket, table.c.customer_id == customer_id)
