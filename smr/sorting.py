"""Sorting customers by definitions other than those in force, to see what an edit would change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock, segments
from smr.database import Database
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import members, stages, tags

Progress = Callable[[int, int | None, str | None], None]


@dataclass(frozen=True)
class Change:
    """A segment, stage or tag before and after an edit; some of those who would come and go."""

    kind: str
    name: str
    ladder: str | None
    before: int
    after: int
    come: int
    go: int
    who_come: tuple[str, ...]
    who_go: tuple[str, ...]


def compare(
    database: Database,
    now_in_force: Library,
    edited: Library,
    settings: Settings,
    *,
    now: datetime,
    examples: int = 3,
    progress: Progress = lambda _done, _total, _what: None,
) -> list[Change]:
    """What an edit of the definitions would change now. Nothing is kept: it is tried and taken back."""
    at = clock.seconds(now)
    with database.trial() as connection:
        _sort(connection, now_in_force, settings, at, progress)
        before = _membership_counts(connection, at)
        _sort(connection, edited, settings, at + 1, progress)
        after = _membership_counts(connection, at + 1)
        keys = dict.fromkeys([*_defined(edited), *_defined(now_in_force)])
        found = []
        for kind, ladder, name in keys:
            come = _moved(connection, kind, ladder, name, at + 1, came=True)
            go = _moved(connection, kind, ladder, name, at + 1, came=False)
            counts = before.get((kind, ladder, name), 0), after.get((kind, ladder, name), 0)
            some = (
                tuple(connection.scalars(come.limit(examples))),
                tuple(connection.scalars(go.limit(examples))),
            )
            found.append(
                Change(kind, name, ladder, *counts, _count(connection, come), _count(connection, go), *some)
            )
    return found


def _sort(connection: Connection, library: Library, settings: Settings, at: int, progress: Progress) -> None:
    segments.begin(connection, library, settings, now=at)
    segments.note_changes(connection, low=0, high=4095)
    parts = segments.slices(connection, library, now=at)
    for number, part in enumerate(parts):
        progress(number, len(parts), "sorting")
        segments.refresh(connection, library, settings, now=at, low=part.low, high=part.high)


def _defined(library: Library) -> list[tuple[str, str | None, str]]:
    found: list[tuple[str, str | None, str]] = [("segment", None, name) for name in library.segments]
    found += [("stage", name, rung.stage) for name, rungs in library.ladders.items() for rung in rungs]
    return found + [("tag", None, name) for name in library.tags]


def _membership_counts(connection: Connection, at: int) -> dict[tuple[str, str | None, str], int]:
    found: dict[tuple[str, str | None, str], int] = {}
    open_members = members.c.left_at.is_(None)
    for name, count in connection.execute(
        sa.select(members.c.segment, sa.func.count()).where(open_members).group_by(members.c.segment)
    ):
        found["segment", None, name] = count
    standing = sa.select(stages.c.ladder, stages.c.stage, sa.func.count()).where(stages.c.left_at.is_(None))
    for ladder, stage, count in connection.execute(standing.group_by(stages.c.ladder, stages.c.stage)):
        found["stage", ladder, stage] = count
    active = sa.or_(tags.c.expires_at.is_(None), tags.c.expires_at > at)
    tagged = sa.select(tags.c.tag, sa.func.count()).where(tags.c.source == "rule", active)
    for tag, count in connection.execute(tagged.group_by(tags.c.tag)):
        found["tag", None, tag] = count
    return found


def _moved(
    connection: Connection, kind: str, ladder: str | None, name: str, at: int, *, came: bool
) -> sa.Select[Any]:
    """Customers who came in, or went, in the sorting of that instant."""
    if kind == "tag":
        moment = tags.c.set_at if came else tags.c.expires_at
        where = [tags.c.tag == name, tags.c.source == "rule", moment == at]
        return sa.select(tags.c.customer_id).where(*where).order_by(tags.c.bucket, tags.c.customer_id)
    table = members if kind == "segment" else stages
    moment = table.c.entered_at if came else table.c.left_at
    where = [moment == at]
    where += (
        [members.c.segment == name]
        if kind == "segment"
        else [stages.c.ladder == ladder, stages.c.stage == name]
    )
    return sa.select(table.c.customer_id).where(*where).order_by(table.c.bucket, table.c.customer_id)


def _count(connection: Connection, moved: sa.Select[Any]) -> int:
    return int(
        connection.execute(sa.select(sa.func.count()).select_from(moved.subquery("moved"))).scalar_one()
    )
