"""Bringing members and stages up to now: end what no longer holds, begin what does.

A definition whose answer depends only on facts is asked again only for customers whose facts changed;
one that depends on the clock is asked for everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr.conditions import NOW, Who, condition_sql
from smr.database import insert_or_update
from smr.playbook.model import Library, Rung, Segment
from smr.settings import Settings
from smr.tables import customers, members, named, stages

LOW = sa.bindparam("low", type_=sa.Integer)
HIGH = sa.bindparam("high", type_=sa.Integer)
NEVER = sa.cast(sa.null(), sa.BigInteger)


def refresh(
    connection: Connection, library: Library, settings: Settings, *, now: int, low: int, high: int
) -> None:
    """Refresh all segments, then all ladders, of the customers in buckets low..high."""
    bound = {"now": now, "low": low, "high": high}
    for statement in statements(connection.dialect.name, library, settings):
        connection.execute(statement, bound)


def statements(dialect: str, library: Library, settings: Settings) -> list[Any]:
    """The statements of one refresh, in order: segments and ladders come after those they use."""
    found: list[Any] = [
        _end_unknown(members, members.c.segment, list(library.segments)),
        _end_unknown(stages, stages.c.ladder, list(library.ladders)),
    ]
    for kind, name in library.order:
        if kind == "segment":
            segment = library.segments[name]
            found += [_leave(name, segment, settings), _enter(dialect, name, segment, settings)]
        else:
            rungs = library.ladders[name]
            found += [_step_off(name, rungs, settings), _step_on(dialect, name, rungs, settings)]
    return found


def stage_of(rungs: Sequence[Rung], who: Who, settings: Settings) -> ColumnElement[Any]:
    """The stage at which the customer stands: the first rung whose condition holds; NULL where none does."""
    whens = [
        (condition_sql(rung.where, who, settings) if rung.where is not None else sa.true(), rung.stage)
        for rung in rungs
    ]
    return sa.case(*whens, else_=sa.null())


def _leave(name: str, segment: Segment, settings: Settings) -> Any:
    still = condition_sql(segment.where, Who.of(members), settings)
    return _end(members).where(members.c.segment == name, sa.not_(still))


def _enter(dialect: str, name: str, segment: Segment, settings: Settings) -> Any:
    who = Who.of(customers)
    inside = named(members, "inside")
    already = sa.select(sa.literal(1)).where(
        who.owns(inside), inside.c.segment == name, inside.c.left_at.is_(None)
    )
    select = _customers(sa.literal(name, sa.Text), NOW, NEVER).where(
        condition_sql(segment.where, who, settings), sa.not_(already.exists())
    )
    columns = ["bucket", "customer_id", "segment", "entered_at", "left_at"]
    return insert_or_update(dialect, members, columns=columns, select=select, update=["left_at"])


def _step_off(name: str, rungs: Sequence[Rung], settings: Settings) -> Any:
    stands = stage_of(rungs, Who.of(stages), settings)
    return _end(stages).where(stages.c.ladder == name, stages.c.stage.is_distinct_from(stands))


def _step_on(dialect: str, name: str, rungs: Sequence[Rung], settings: Settings) -> Any:
    who = Who.of(customers)
    standing = named(stages, "standing")
    already = sa.select(sa.literal(1)).where(
        who.owns(standing), standing.c.ladder == name, standing.c.left_at.is_(None)
    )
    stands = stage_of(rungs, who, settings)
    found = _customers(sa.literal(name, sa.Text), NOW, stands.label("stage"), NEVER)
    found = found.where(sa.not_(already.exists()))
    placed = found.subquery()
    select = sa.select(*placed.c).where(placed.c.stage.is_not(None))
    columns = ["bucket", "customer_id", "ladder", "entered_at", "stage", "left_at"]
    return insert_or_update(dialect, stages, columns=columns, select=select, update=["stage", "left_at"])


def _customers(*columns: Any) -> sa.Select[Any]:
    return sa.select(customers.c.bucket, customers.c.customer_id, *columns).where(
        customers.c.bucket.between(LOW, HIGH)
    )


def _end(table: sa.Table) -> Any:
    return (
        sa.update(table)
        .values(left_at=NOW)
        .where(table.c.bucket.between(LOW, HIGH), table.c.left_at.is_(None))
    )


def _end_unknown(table: sa.Table, column: sa.Column[Any], known: list[str]) -> Any:
    return _end(table).where(column.not_in(known))
