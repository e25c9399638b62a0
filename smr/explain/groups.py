"""Segments, stages and tags as a whole: how many, how they overlap and move; and why for one customer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.conditions import Who
from smr.errors import OperatorError
from smr.explain.leaves import Leaf, leaves
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import bucket_of, customers, members, named, stages, tags

KINDS = ("segment", "stage", "tag")


@dataclass(frozen=True)
class Size:
    """How many customers are in a segment, on a stage or have a tag; `share` of all customers."""

    kind: str
    name: str
    ladder: str | None
    title: str | None
    customers: int
    share: float


@dataclass(frozen=True)
class Overlap:
    """Two segments, and how many are in both."""

    one: str
    other: str
    both: int
    of_one: float
    of_other: float


@dataclass(frozen=True)
class Moved:
    """One day of a segment or stage: how many came and went, and how many there were at its end."""

    day: date
    came: int
    went: int
    size: int


@dataclass(frozen=True)
class Why:
    """A definition, whether the customer is in it, since when, and each of its conditions with his value."""

    kind: str
    name: str
    ladder: str | None
    inside: bool
    since: datetime | None
    until: datetime | None
    reason: str | None
    leaves: tuple[Leaf, ...] = ()


def sizes(connection: Connection, library: Library, now: int) -> list[Size]:
    """Each segment, stage and tag with its number of customers, in the order of the definitions."""
    known = connection.execute(sa.select(sa.func.count()).select_from(customers)).scalar_one()
    whole = max(int(known), 1)
    inside = _counts(connection, members, (members.c.segment,), members.c.left_at.is_(None))
    standing = _counts(connection, stages, (stages.c.ladder, stages.c.stage), stages.c.left_at.is_(None))
    counted = sa.select(tags.c.tag, sa.func.count()).where(_active(now)).group_by(tags.c.tag)
    tagged: dict[str, int] = {row[0]: row[1] for row in connection.execute(counted)}
    found = []
    for name, segment in library.segments.items():
        count = inside.get((name,), 0)
        found.append(Size("segment", name, None, segment.title, count, count / whole))
    for ladder, rungs in library.ladders.items():
        for rung in rungs:
            count = standing.get((ladder, rung.stage), 0)
            found.append(Size("stage", rung.stage, ladder, rung.title, count, count / whole))
    for tag in sorted(tagged):
        rule = library.tags.get(tag)
        found.append(Size("tag", tag, None, rule.title if rule else None, tagged[tag], tagged[tag] / whole))
    return found


def _counts(
    connection: Connection, table: sa.Table, columns: Sequence[sa.Column[Any]], where: Any
) -> dict[tuple[str, ...], int]:
    question = sa.select(*columns, sa.func.count()).select_from(table).where(where).group_by(*columns)
    return {tuple(row[:-1]): row[-1] for row in connection.execute(question)}


def _active(now: int) -> sa.ColumnElement[bool]:
    """Tags there are now; of a tag with several sources one row."""
    other = named(tags, "other_source")
    later = sa.and_(
        Who.of(tags).owns(other),
        other.c.tag == tags.c.tag,
        other.c.source > tags.c.source,
        _now(other, now),
    )
    return sa.and_(_now(tags, now), sa.not_(sa.exists().where(later)))


def _now(tag: Any, now: int) -> sa.ColumnElement[bool]:
    return sa.and_(tag.c.set_at <= now, sa.or_(tag.c.expires_at.is_(None), tag.c.expires_at > now))


def overlaps(connection: Connection) -> list[Overlap]:
    """Each two segments that have customers in common, those with the most first."""
    one, other = named(members, "one"), named(members, "other")
    together = (
        sa.select(one.c.segment, other.c.segment, sa.func.count())
        .select_from(one.join(other, Who.of(one).owns(other)))
        .where(one.c.left_at.is_(None), other.c.left_at.is_(None), one.c.segment <= other.c.segment)
        .group_by(one.c.segment, other.c.segment)
    )
    counts = {(first, second): count for first, second, count in connection.execute(together)}
    found = [
        Overlap(first, second, count, count / counts[first, first], count / counts[second, second])
        for (first, second), count in counts.items()
        if first != second
    ]
    return sorted(found, key=lambda one: (-one.both, one.one, one.other))


def movement(
    connection: Connection, ladder: str | None, name: str, *, now: datetime, days: int, zone: ZoneInfo
) -> list[Moved]:
    """Comings and goings of a stage of a ladder, or of a segment, day by day of the shop, up to today."""
    table = members if ladder is None else stages
    of_it = (
        members.c.segment == name
        if ladder is None
        else sa.and_(stages.c.ladder == ladder, stages.c.stage == name)
    )
    today = clock.local_day(now, zone)
    first = today - timedelta(days=days - 1)
    begins = clock.seconds(clock.day_start(first, zone))
    until = clock.seconds(now)
    before = sa.select(sa.func.count()).select_from(table).where(of_it)
    entered, left = table.c.entered_at, table.c.left_at
    size = connection.execute(
        before.where(entered < begins, sa.or_(left.is_(None), left >= begins))
    ).scalar_one()
    came = _by_day(connection, sa.select(entered).where(of_it, entered.between(begins, until)), zone)
    went = _by_day(connection, sa.select(left).where(of_it, left.between(begins, until)), zone)
    found = []
    for number in range(days):
        day = first + timedelta(days=number)
        size += came[day] - went[day]
        found.append(Moved(day, came[day], went[day], size))
    return found


def _by_day(connection: Connection, moments: sa.Select[Any], zone: ZoneInfo) -> Counter[date]:
    """How many on each day; runs are few, so equal moments are counted before they come here."""
    (at,) = moments.selected_columns
    counted = sa.select(at, sa.func.count()).where(*moments._where_criteria).group_by(at)
    found: Counter[date] = Counter()
    for moment, count in connection.execute(counted):
        found[clock.local_day(moment, zone)] += count
    return found


def why(
    connection: Connection, library: Library, settings: Settings, customer_id: str, *, now: datetime
) -> list[Why]:
    """All definitions as they are for one customer. Raises OperatorError where there is no such customer."""
    customer = (bucket_of(customer_id), customer_id)
    exists = sa.select(sa.literal(1)).where(_of(customers, customer))
    if connection.execute(exists).first() is None:
        raise OperatorError(f"there is no customer {customer_id!r}")
    return [*_whys(connection, library, settings, customer, now)]


def _whys(
    connection: Connection, library: Library, settings: Settings, customer: tuple[int, str], now: datetime
) -> Iterator[Why]:
    bound = {"now": clock.seconds(now)}
    inside = _since(connection, members, members.c.segment, customer)
    for name, segment in library.segments.items():
        told = tuple(leaves(connection, segment.where, customer, settings, bound))
        yield Why("segment", name, None, name in inside, inside.get(name), None, None, told)
    standing = connection.execute(
        sa.select(stages.c.ladder, stages.c.stage, stages.c.entered_at).where(
            _of(stages, customer), stages.c.left_at.is_(None)
        )
    )
    on = {row.ladder: row for row in standing}
    for ladder, rungs in library.ladders.items():
        row = on.get(ladder)
        for rung in rungs:
            told = ()
            if rung.where is not None:
                told = tuple(leaves(connection, rung.where, customer, settings, bound))
            here = row is not None and row.stage == rung.stage
            since = row.entered_at if row is not None and here else None
            yield Why("stage", rung.stage, ladder, here, since, None, None, told)
            if here:
                break
    named_tags = sa.select(tags).where(_of(tags, customer), _now(tags, clock.seconds(now)))
    for tag in connection.execute(named_tags.order_by(tags.c.tag, tags.c.source)):
        reason = f"{tag.source}: {tag.reason}" if tag.reason else tag.source
        yield Why("tag", tag.tag, None, True, tag.set_at, tag.expires_at, reason)


def _since(
    connection: Connection, table: sa.Table, column: sa.Column[Any], customer: tuple[int, str]
) -> dict[str, datetime]:
    question = sa.select(column, table.c.entered_at).where(_of(table, customer), table.c.left_at.is_(None))
    return {row[0]: row.entered_at for row in connection.execute(question)}


def _of(table: sa.Table, customer: tuple[int, str]) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.bucket == customer[0], table.c.customer_id == customer[1])
