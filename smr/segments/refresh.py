"""Bringing members, stages and tags of rules up to now: end what no longer holds, begin what does.

Whoever is marked in `unsorted_customers` is judged by every definition, in the order in which they use each
other; so whoever is not marked could not have another answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr.conditions import NOW, Who, condition_sql
from smr.conditions import model as m
from smr.conditions.measures import Measure, measured, placed
from smr.conditions.written import written
from smr.database import insert_or_update, read_by_key
from smr.database.unindexed import unindexed
from smr.events import NOT_THE_CUSTOMERS
from smr.playbook.model import Library, Rung, Segment, TagRule
from smr.segments import marks
from smr.segments.bounds import HIGH, LOW
from smr.segments.instants import definitions, leaves, spans_of, upkeep
from smr.segments.published import known_cuts
from smr.settings import Settings
from smr.tables import MEASURES, interactions, members, named, stages, tags, unsorted_customers, visitors

NEVER = sa.cast(sa.null(), sa.BigInteger)
STAFFS = [str(kind) for kind in NOT_THE_CUSTOMERS]
RULE = "rule"
"""The source of tags given by a rule."""
AT_ONCE = 50
"""Segments whose memberships one statement ends."""

Known = Mapping[Measure, ColumnElement[Any]]
"""The columns of `unsorted_customers` that have measures of those to be judged."""


def refresh(
    connection: Connection,
    library: Library,
    settings: Settings,
    *,
    now: int,
    low: int,
    high: int,
    tell: bool = True,
) -> int:
    """Judge whoever is to be judged in buckets low..high; returns how many that were.

    With `tell`, they become `undecided_customers`; without, everybody is decided about anew anyhow.
    """
    bound = {"now": now, "low": low, "high": high}
    if not marks.take(connection, library, bound):
        return 0
    read_by_key(connection)
    cuts = known_cuts(connection)
    for statement in _statements_for(connection.dialect.name, library, settings, cuts):
        connection.execute(statement, bound)
    if tell:
        connection.execute(marks.undecided(connection), bound)
    done = sa.delete(unsorted_customers).where(unsorted_customers.c.bucket.between(LOW, HIGH))
    return connection.execute(done, bound).rowcount


class _Built(NamedTuple):
    """The statements of one version of the files."""

    dialect: str
    library: Library
    settings: Settings
    cuts: Mapping[tuple[str, int], int]
    statements: list[Any]


_built: deque[_Built] = deque(maxlen=4)
"""What was built last, for slices and later runs of the same version. Nothing in it knows the time."""


def _statements_for(
    dialect: str, library: Library, settings: Settings, cuts: Mapping[tuple[str, int], int]
) -> list[Any]:
    for one in tuple(_built):
        same = one.library is library and one.settings is settings
        if same and (one.dialect, one.cuts) == (dialect, cuts):
            return one.statements
    made = _Built(dialect, library, settings, cuts, statements(dialect, library, settings, cuts))
    _built.append(made)
    return made.statements


def statements(
    dialect: str, library: Library, settings: Settings, cuts: Mapping[tuple[str, int], int] | None = None
) -> list[Any]:
    """The statements of one refresh, in order: definitions come after those they use."""
    looks = (leaf for condition in definitions(library) for leaf in leaves(condition))
    known = placed(looks, [unsorted_customers.c[name] for name in MEASURES])
    found: list[Any] = [
        *_measure(dialect, known, settings),
        _visitors(dialect),
        _end_unknown(members, members.c.segment, list(library.segments)),
        _end_unknown(stages, stages.c.ladder, list(library.ladders)),
        _end_tags().where(tags.c.tag.not_in(list(library.tags))),
    ]
    alone = {name: one for name, one in library.segments.items() if _stands_alone(one)}
    found += _leave(alone, known, settings)
    for kind, name in library.order:
        if kind == "segment":
            segment = library.segments[name]
            if name not in alone:
                found += _leave({name: segment}, known, settings)
            found.append(_enter(dialect, name, segment, known, settings))
        elif kind == "tag":
            found += _tagging(dialect, library.tags[name], known, settings)
        else:
            rungs = library.ladders[name]
            found += [
                _step_off(name, rungs, known, settings),
                _step_on(dialect, name, rungs, known, settings),
            ]
    return [*found, *upkeep(dialect, spans_of(library, cuts or {}))]


def stage_of(rungs: Sequence[Rung], who: Who, settings: Settings) -> ColumnElement[Any]:
    """The stage at which the customer stands: the first rung whose condition holds; NULL where none does."""
    whens = [
        (condition_sql(rung.where, who, settings) if rung.where is not None else sa.true(), rung.stage)
        for rung in rungs
    ]
    return sa.case(*whens, else_=sa.null())


def _measure(dialect: str, known: Known, settings: Settings) -> Iterator[Any]:
    """Work out all measures of those to be judged, before anything is judged by them."""
    among = unsorted_customers.c.bucket.between(LOW, HIGH)
    for measures, select in measured(unsorted_customers, among, list(known), settings):
        names = [known[measure].name for measure in measures]
        columns = ["bucket", "customer_id", *names]
        yield insert_or_update(dialect, unsorted_customers, columns=columns, select=select, update=names)


def _person(known: Known) -> Who:
    return Who.of(unsorted_customers)._replace(known=known)


def _owner(table: sa.Table, known: Known) -> Who:
    """The customer of a row of those to be judged (see `_of_marked`)."""
    return Who.of(table)._replace(known=known)


def _stands_alone(segment: Segment) -> bool:
    """Whether it asks for no other definition, so that it may be judged before all of them."""
    return not any(isinstance(leaf, m.InSegment | m.AtStage | m.HasTag) for leaf in leaves(segment.where))


def _leave(segments: Mapping[str, Segment], known: Known, settings: Settings) -> list[Any]:
    """End the memberships of these segments that hold no more: each of a customer's is looked at once."""
    who = _owner(members, known)
    still = [(name, condition_sql(one.where, who, settings)) for name, one in segments.items()]
    asked = [(name, holds) for name, holds in still if not _is_of_everybody(holds)]
    some = (asked[first : first + AT_ONCE] for first in range(0, len(asked), AT_ONCE))
    return [_end(members).where(_is_over(few)) for few in some]


def _is_over(still: Sequence[tuple[str, ColumnElement[bool]]]) -> ColumnElement[bool]:
    """Whether what must hold in a membership's segment holds no more."""
    segment = unindexed(members.c.segment)
    if len(still) == 1:
        ((name, holds),) = still
        return sa.and_(segment == name, sa.not_(holds))
    return sa.case(*((segment == name, sa.not_(holds)) for name, holds in still), else_=sa.false())


def _is_of_everybody(condition: ColumnElement[bool]) -> bool:
    """Whether a condition holds for anybody, however it is put together, so that it never ends anything."""
    return str(condition.compile()) == "true"


def _enter(dialect: str, name: str, segment: Segment, known: Known, settings: Settings) -> Any:
    who = _person(known)
    inside = named(members, "inside")
    already = sa.select(sa.literal(1)).where(
        who.owns(inside), inside.c.segment == name, inside.c.left_at.is_(None)
    )
    select = _people(sa.literal(name, sa.Text), NOW, NEVER).where(
        sa.not_(already.exists()), condition_sql(segment.where, who, settings)
    )
    columns = ["bucket", "customer_id", "segment", "entered_at", "left_at"]
    return insert_or_update(dialect, members, columns=columns, select=select, update=["left_at"])


def _step_off(name: str, rungs: Sequence[Rung], known: Known, settings: Settings) -> Any:
    stands = stage_of(rungs, _owner(stages, known), settings)
    return _end(stages).where(unindexed(stages.c.ladder) == name, stages.c.stage.is_distinct_from(stands))


def _step_on(dialect: str, name: str, rungs: Sequence[Rung], known: Known, settings: Settings) -> Any:
    who = _person(known)
    standing = named(stages, "standing")
    already = sa.select(sa.literal(1)).where(
        who.owns(standing), standing.c.ladder == name, standing.c.left_at.is_(None)
    )
    stands = stage_of(rungs, who, settings)
    found = _people(sa.literal(name, sa.Text), NOW, stands.label("stage"), NEVER)
    found = found.where(sa.not_(already.exists()))
    if rungs[-1].where is not None:
        found = found.where(stands.is_not(None))
    columns = ["bucket", "customer_id", "ladder", "entered_at", "stage", "left_at"]
    return insert_or_update(dialect, stages, columns=columns, select=found, update=["stage", "left_at"])


def _tagging(dialect: str, rule: TagRule, known: Known, settings: Settings) -> list[Any]:
    """Take the tag off where its condition holds no more, unless it stays for a set time; else set it.

    A tag that is there is left as it is, so that it comes out alike however often a customer is judged.
    """
    who = _person(known)
    holds = condition_sql(rule.when, who, settings)
    still = condition_sql(rule.when, _owner(tags, known), settings)
    ended = _end_tags().where(unindexed(tags.c.tag) == rule.tag, sa.not_(still))
    if rule.for_ is not None:
        # Set while it stayed as long as the condition held, and left over from then.
        ended = ended.where(tags.c.expires_at.is_(None))
    found = [] if _is_of_everybody(still) else [ended]
    there = named(tags, "there")
    active = sa.or_(there.c.expires_at.is_(None), there.c.expires_at > NOW)
    already = sa.select(sa.literal(1)).where(
        who.owns(there), there.c.tag == rule.tag, there.c.source == RULE, active
    )
    until = NEVER if rule.for_ is None else NOW + rule.for_
    why = rule.title or written(rule.when)
    literals = (
        sa.literal(rule.tag, sa.Text),
        sa.literal(RULE, sa.Text),
        NOW,
        until,
        sa.literal(why, sa.Text),
    )
    select = _people(*literals).where(sa.not_(already.exists()), holds)
    columns = ["bucket", "customer_id", "tag", "source", "set_at", "expires_at", "reason"]
    found.append(
        insert_or_update(
            dialect, tags, columns=columns, select=select, update=["set_at", "expires_at", "reason"]
        )
    )
    return found


def _visitors(dialect: str) -> Any:
    """When each first and last did something other than buying."""
    person, deed = unsorted_customers, named(interactions, "deed_of")
    at = deed.c.happened_at
    select = (
        sa.select(person.c.bucket, person.c.customer_id, sa.func.min(at), sa.func.max(at))
        .select_from(person.join(deed, Who.of(person).owns(deed)))
        .where(person.c.bucket.between(LOW, HIGH), at <= NOW, deed.c.kind.not_in(STAFFS))
        .group_by(person.c.bucket, person.c.customer_id)
    )
    columns = ["bucket", "customer_id", "first_interacted_at", "last_interacted_at"]
    return insert_or_update(dialect, visitors, columns=columns, select=select, update=columns[2:])


def _people(*columns: Any) -> sa.Select[Any]:
    person = unsorted_customers
    return sa.select(person.c.bucket, person.c.customer_id, *columns).where(
        person.c.bucket.between(LOW, HIGH)
    )


def _of_marked(table: sa.Table) -> ColumnElement[bool]:
    """Rows of those to be judged, who are few: SQLite has to begin with them, and look their rows up."""
    person = unsorted_customers
    return sa.and_(
        person.c.bucket.between(LOW, HIGH),
        table.c.bucket == unindexed(person.c.bucket),
        table.c.customer_id == unindexed(person.c.customer_id),
    )


def _end(table: sa.Table) -> Any:
    return sa.update(table).values(left_at=NOW).where(_of_marked(table), table.c.left_at.is_(None))


def _end_tags() -> Any:
    active = sa.or_(tags.c.expires_at.is_(None), tags.c.expires_at > NOW)
    return sa.update(tags).values(expires_at=NOW).where(_of_marked(tags), tags.c.source == RULE, active)


def _end_unknown(table: sa.Table, column: sa.Column[Any], known: list[str]) -> Any:
    return _end(table).where(column.not_in(known))
