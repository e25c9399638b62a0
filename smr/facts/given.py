"""Candidates that a warehouse found, by the SQL of `smr export-sql`: who is due for which step, and why.

A row of a known key (playbook, step, customer, anchor) takes the place of what was told before: a day that
moves stays one reminder. Rows of playbooks or steps there are not are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import Connection

from smr.errors import did_you_mean
from smr.facts.batch import Batch, Readable
from smr.facts.cells import CellError, Column, Refused, TextColumn, read_moment, read_quantity, shown
from smr.facts.layout import Layout
from smr.facts.shapes import Shape
from smr.settings import Settings
from smr.tables import given_candidates

Steps = Mapping[str, tuple[str, ...]]
"""By playbook: the steps that count from its trigger."""

KINDS = ("category", "product")
_SECONDS = re.compile(r"[0-9]{9,10}")
"""Whole seconds since 1970, from 1973 to 2286, as the exported SQL gives times."""


def given(settings: Settings, steps: Steps) -> Shape:
    """How candidates are read and merged, for these playbooks."""

    def instant(cell: str) -> int:
        return int(cell) if _SECONDS.fullmatch(cell) else read_moment(cell, settings.shop.tz)

    columns = (
        Column("playbook", lambda cell: _playbook(cell, steps), needed=True),
        TextColumn("step", needed=True),
        TextColumn("customer_id", needed=True),
        TextColumn("anchor", needed=True),
        Column("anchor_at", instant, needed=True),
        Column("due_at", instant, needed=True),
        Column("kind", _kind),
        TextColumn("line"),
        TextColumn("order_id"),
        TextColumn("product_id"),
        Column("quantity", read_quantity),
        Column("runs_out_at", instant),
    )

    def readers(_: Layout) -> Mapping[str, Readable]:
        return {column.name: column for column in columns}

    def derive(batch: Batch, _: Layout) -> None:
        known = [_step(*pair, steps) for pair in zip(batch["playbook"], batch["step"], strict=True)]
        # Of rows on their way, `line` is the line of the source.
        batch.values["supply_line"] = batch["line"]
        batch.put("step", known, refused=any(isinstance(one, Refused) for one in known))

    told = ("anchor_at", "kind", "supply_line", "order_id", "product_id", "quantity", "runs_out_at", "due_at")
    return Shape(given_candidates, "anchor_at", told, readers, derive, latest=True)


def forget_given(connection: Connection, *, before: int) -> int:
    """Let go of what was due before that instant (seconds), and say how much; decisions on it are kept."""
    old = sa.delete(given_candidates).where(sa.type_coerce(given_candidates.c.due_at, sa.BigInteger) < before)
    return connection.execute(old).rowcount


def _playbook(cell: str, steps: Steps) -> str:
    if cell not in steps:
        raise CellError("playbook", f"there is no playbook {shown(cell)}; {did_you_mean(cell, list(steps))}")
    return cell


def _kind(cell: str) -> str:
    if cell not in KINDS:
        raise CellError("kind", f"{shown(cell)} is not a kind of line; write category or product")
    return cell


def _step(playbook: str, step: str, steps: Steps) -> str | Refused:
    if step in steps[playbook]:
        return step
    hint = did_you_mean(step, list(steps[playbook]))
    why = f"step: {playbook} has no step {shown(step)} that counts from its trigger; {hint}"
    return Refused("step", why)
