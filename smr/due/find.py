"""Writing down who is due, one row per playbook, step, customer and anchor, with the first verdict on it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import sqlalchemy as sa
from sqlalchemy import Connection

from smr.almanac import Almanac
from smr.database import insert_or_update
from smr.due.found import CANDIDATE_COLUMNS, Found
from smr.due.run_outs import seek
from smr.due.triggers import candidates_of, given_of
from smr.playbook.model import Library, Playbook, Step
from smr.settings import Settings
from smr.tables import candidates, undecided_customers

FirstVerdict = Callable[[sa.FromClause], Mapping[str, Any]]
"""What is written beside a found candidate, by the name of its column: the first verdict on it.

A row is written once instead of twice: that is half the work of finding.
"""

Write = Callable[[FirstVerdict], Any]
"""Builds the statement that writes candidates down with their verdicts."""


class Judge(Protocol):
    """Has a statement built with the verdict on a step's candidates.

    `given`: a warehouse found them, so that they may be older than what is known here. Where `alike` is said,
    the statement is the same for whatever of the step has the same said of it, so that it may be kept; with
    `anyones`, for whatever of any step that is judged alike.
    """

    def __call__(
        self, step: Step, write: Write, /, *, given: bool, alike: Hashable | None, anyones: bool
    ) -> Any:
        """The statement, built now or kept from an earlier run."""


CHANGING = [
    "anchor_at",
    "product_id",
    "quantity",
    "runs_out_at",
    "due_at",
    "expires_at",
    "priority",
    "run_id",
]


class Query:
    """One SELECT of candidates of a step: how many there are, and writing them down.

    Its statements are built when they are needed first, and then serve all slices.
    """

    def __init__(self, dialect: str, step: Step, found: Found, judge: Judge, *place: int) -> None:
        self.bound = found.bound
        self.of_undecided = found.of_undecided
        self.gate = found.gate
        self.step = step.name
        self.news = None
        if found.news is not None:
            self.news = [
                Query(dialect, step, one, judge, *place, number) for number, one in enumerate(found.news)
            ]
        self._made_of = (dialect, found, step, judge)
        self._alike = self._said_alike(dialect, found, place)

    @staticmethod
    def _said_alike(dialect: str, found: Found, place: tuple[int, ...]) -> Hashable | None:
        if found.shape is not None:
            return (dialect, found.shape)
        return (dialect, *place, found.given) if found.timeless else None

    def may_find(self, *, anybody_undecided: bool) -> bool:
        """Whether there can be anything at all."""
        if self.of_undecided and not anybody_undecided:
            return False
        return "since" not in self.bound or bool(self.bound["since"] < self.bound["until"])

    @cached_property
    def upsert(self) -> Any:
        """Writes what is found."""
        return self._writing(self._made_of[1].select, self._alike)

    @cached_property
    def together(self) -> Any:
        """Writes what is found of all steps alike, where that is quicker; else there is none."""
        dialect, found, _step, _judge = self._made_of
        if found.together is None or dialect != "sqlite":
            return None
        return self._writing(found.together, (self._alike, "together"))

    def _writing(self, select: sa.Select[Any], alike: Hashable | None) -> Any:
        dialect, found, step, judge = self._made_of
        return judge(
            step,
            lambda verdict: _upsert(dialect, select, verdict),
            given=found.given,
            alike=alike,
            anyones=found.shape is not None,
        )

    @cached_property
    def count(self) -> Any:
        """Counts it."""
        return _count(self._made_of[1])


@dataclass(frozen=True)
class Search:
    """What finds who is due for one playbook."""

    playbook: str
    queries: tuple[Query, ...]


def search(
    dialect: str,
    playbook: Playbook,
    library: Library,
    settings: Settings,
    now: datetime,
    judge: Judge,
    before: datetime | None = None,
    almanac: Almanac | None = None,
    *,
    given: bool = False,
) -> Search:
    """What to execute for one playbook at `now`; `before` is when all were found last, where it is known.

    With `given`, what a warehouse found, too.
    """
    shop = (library, settings, now)
    queries = [
        Query(dialect, step, found, judge, number)
        for step in playbook.steps
        for number, found in enumerate(candidates_of(playbook, step, *shop, before=before, almanac=almanac))
    ]
    if given:
        queries += [Query(dialect, step, given_of(playbook, step, *shop), judge) for step in playbook.steps]
    return Search(playbook.name, tuple(queries))


class Tally(NamedTuple):
    """Of one step: how many are due at all; and of these, how many are still to be made.

    The latter is None where only news were looked for.
    """

    step: str
    seen: int
    found: int | None


def find(
    connection: Connection, searches: Iterable[Search], *, now: int, run_id: int, low: int, high: int
) -> list[tuple[str, Tally]]:
    """Find who is due in buckets low..high; by playbook, what there is of each of its steps.

    A candidate that is still open is found again and takes what is known now; one whose message is in
    the outbox, or that was held out or expired, stays as it is: its key is its reminder.
    """
    span = {"now": now, "run": run_id, "low": low, "high": high}
    anybody = connection.execute(_UNDECIDED, {"low": low, "high": high}).first() is not None
    tallies: list[tuple[str, Tally]] = []
    together: dict[Any, list[Mapping[str, Any]]] = {}
    for wanted in searches:
        for query in wanted.queries:
            values = {**span, **query.bound}
            seen = 0
            if query.gate is None or connection.execute(query.gate, {"now": now, **query.bound}).first():
                seen = connection.execute(query.count, values).scalar_one()
            found = 0
            for one in [query] if query.news is None else query.news:
                if not seen or not one.may_find(anybody_undecided=anybody):
                    continue
                if query.news is not None and one.together is not None:
                    together.setdefault(one.together, []).append(one.bound)
                else:
                    found += connection.execute(one.upsert, {**span, **one.bound}).rowcount
            tallies.append((wanted.playbook, Tally(query.step, seen, found if query.news is None else None)))
    for statement, steps in together.items():
        seek(connection, steps)
        connection.execute(statement, span)
    return tallies


_UNDECIDED = (
    sa.select(sa.literal(1))
    .where(
        undecided_customers.c.bucket.between(
            sa.bindparam("low", type_=sa.Integer), sa.bindparam("high", type_=sa.Integer)
        )
    )
    .limit(1)
)


def _upsert(dialect: str, select: sa.Select[Any], verdict: FirstVerdict) -> Any:
    found = select.subquery("found")
    said = verdict(found)
    names = [name for name in CANDIDATE_COLUMNS if name not in said]
    judged = sa.select(
        *(found.c[name] for name in names),
        *(sa.cast(value, candidates.c[name].type).label(name) for name, value in said.items()),
    )
    return insert_or_update(
        dialect,
        candidates,
        columns=[*names, *said],
        select=judged,
        update=[*CHANGING, *said],
        where=lambda _new: _still_open(),
    ).execution_options(preserve_rowcount=True)


def _count(found: Found) -> sa.Select[Any]:
    keys = found.select.subquery("found") if found.keys is None else found.keys
    return sa.select(sa.func.count()).select_from(keys)


def _still_open() -> sa.ColumnElement[bool]:
    return sa.and_(candidates.c.queued_at.is_(None), candidates.c.state.in_(["due", "blocked", "accepted"]))
