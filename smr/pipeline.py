"""The stages of a run, in order: the engine's table of contents.

    supplies → segments → due → guards → limits → messages → outbox

In: facts, playbooks, `now`. Out: candidates with their reasons, messages in the outbox, a report. Work goes
in slices of buckets, each slice one short transaction, so that other processes share the database; killed
at any point and run again, it ends with the same messages, each once. A plan is the same pass in one
transaction that is rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import __version__, clock, due, guards, runs, segments
from smr.almanac import Almanac, almanac_of
from smr.crash_points import reached
from smr.database import Database
from smr.errors import StateError
from smr.messages.rendering import FailedMessage, RenderedMessage, render
from smr.outbox import put
from smr.playbook.model import Bundle, Library, Playbook, Step
from smr.publication import live_since, publish
from smr.report import RunReport
from smr.settings import Settings
from smr.slices import Slice, changed_slices, customer_slices, cut
from smr.tables import candidates

MESSAGES_A_SLICE = 5_000
"""About how many messages are rendered and queued in one transaction."""

BATCH = 2_000
"""Messages put at once."""

Progress = Callable[[int, int | None, str | None], None]
Transaction = Callable[[], Any]


def _silent(_done: int, _total: int | None, _what: str | None) -> None:
    pass


@dataclass(frozen=True)
class Scope:
    """What one pass works with."""

    library: Library
    settings: Settings
    now: datetime
    run_id: int
    almanac: Almanac
    playbooks: tuple[Playbook, ...]
    allow_blast: bool = False
    progress: Progress = _silent
    everything: bool = True  # all playbooks, so that everybody is decided about

    @cached_property
    def rules(self) -> str:
        """A name for all that decides and was written by people: playbooks, catalog, settings, smr itself."""
        said = (
            __version__,
            self.library.version,
            self.library.playbooks,
            self.settings,
            self.almanac.version,
        )
        return sha256(repr(said).encode()).hexdigest()[:16]

    @property
    def seconds(self) -> int:
        """Now, in seconds."""
        return clock.seconds(self.now)

    def span(self, part: Slice) -> dict[str, int]:
        """What statements about a slice are bound with."""
        return {"now": self.seconds, "run_id": self.run_id, "low": part.low, "high": part.high}


@dataclass
class _Pass:
    """A pass under way: how to get a transaction, and what was counted."""

    scope: Scope
    transaction: Transaction
    report: RunReport = field(default_factory=RunReport)


def run(
    database: Database,
    library: Library,
    settings: Settings,
    *,
    now: datetime,
    only: frozenset[str] | None = None,
    slot: str | None = None,
    allow_blast: bool = False,
    progress: Progress = _silent,
) -> RunReport | runs.UnderWay:
    """Decide for everybody, and queue the messages. Returns UnderWay where another run is doing it."""
    owner = runs.this_process()
    begun = runs.begin(database, now=now, version=library.version, slot=slot, owner=owner)
    if isinstance(begun, runs.UnderWay):
        return begun
    chosen = tuple(playbook for playbook in library.playbooks if only is None or playbook.name in only)
    with database.read() as connection:
        almanac = almanac_of(connection, settings)
    scope = Scope(library, settings, now, begun.run_id, almanac, chosen, allow_blast, progress, only is None)

    @contextmanager
    def transaction() -> Iterator[Connection]:
        with database.write() as connection:
            runs.keep(connection, begun)
            yield connection

    running = _Pass(scope, transaction)
    _decide(running)
    _queue(running)
    with transaction() as connection:
        reached("before_finish")
        if scope.everything:
            guards.note_decided(connection, scope.rules, scope.seconds)
        running.report.count_facts(connection, runs.last_counts(connection))
        counts = {**running.report.counts(), "imports": running.report.imports}
        runs.finish(connection, begun, counts)
    return running.report


def plan(
    database: Database,
    library: Library,
    settings: Settings,
    *,
    now: datetime,
    only: frozenset[str] | None = None,
    allow_blast: bool = False,
    samples: int = 3,
    progress: Progress = _silent,
) -> tuple[RunReport, list[RenderedMessage | FailedMessage]]:
    """The same pass with nothing written: the report, and some of the messages it would queue."""
    chosen = tuple(playbook for playbook in library.playbooks if only is None or playbook.name in only)
    with database.trial() as connection:
        run_id = runs.next_id(connection)
        almanac = almanac_of(connection, settings)
        scope = Scope(library, settings, now, run_id, almanac, chosen, allow_blast, progress, only is None)

        @contextmanager
        def transaction() -> Iterator[Connection]:
            yield connection

        planning = _Pass(scope, transaction)
        _decide(planning)
        shown = _samples(connection, scope, samples)
        planning.report.queued = planning.report.accepted
        last = runs.last_counts(connection)
        planning.report.count_facts(connection, last)
        planning.report.compare(last)
    return planning.report, shown


def decide(
    database: Database,
    library: Library,
    settings: Settings,
    *,
    now: datetime,
    run_id: int,
    allow_blast: bool = False,
) -> RunReport:
    """The same pass up to the verdicts, with nothing queued and no run noted.

    For a database of its own in which another clock runs: nobody else may be at work in it.
    """
    with database.read() as connection:
        almanac = almanac_of(connection, settings)
    scope = Scope(library, settings, now, run_id, almanac, library.playbooks, allow_blast)
    deciding = _Pass(scope, database.write)
    _decide(deciding)
    with database.write() as connection:
        guards.note_decided(connection, scope.rules, scope.seconds)
    return deciding.report


def rebuild(
    database: Database, library: Library, settings: Settings, *, now: datetime, progress: Progress = _silent
) -> None:
    """Compute supplies, segments and stages anew. Raises StateError where a run is under way."""
    begun = runs.begin(database, now=now, version=library.version, slot=None, owner=runs.this_process())
    if isinstance(begun, runs.UnderWay):
        raise StateError(f"a run ({begun.slot}, by {begun.owner}) is under way; try again when it has ended")

    @contextmanager
    def transaction() -> Iterator[Connection]:
        with database.write() as connection:
            runs.keep(connection, begun)
            yield connection

    with transaction() as connection:
        publish(connection, library, now=now)
        due.publish_catalog(connection, library.catalog)
        due.mark_everyone(connection)
        guards.decide_anew(connection)
        almanac = almanac_of(connection, settings)
    scope = Scope(library, settings, now, begun.run_id, almanac, library.playbooks, progress=progress)
    _refresh(_Pass(scope, transaction))
    with database.write() as connection:
        runs.finish(connection, begun, None)


def _decide(running: _Pass) -> None:
    """Everything up to the verdicts: the left half of the data's way."""
    scope = running.scope
    with running.transaction() as connection:
        publish(connection, scope.library, now=scope.now)
        if due.publish_catalog(connection, scope.library.catalog):
            due.mark_everyone(connection)
        due.publish_substitutes(connection, scope.library.catalog)
        _mind_the_clock(connection, scope)
        if guards.decided_at(connection, scope.rules, scope.seconds) is None:
            guards.decide_anew(connection)
    reached("after_publish")
    _refresh(running)
    with running.transaction() as connection:
        slices = customer_slices(connection)
        rules = _Rules.of(connection, scope)
    for number, part in enumerate(slices):
        scope.progress(number, len(slices), "judging")
        with running.transaction() as connection:
            _judge(connection, running, rules, part)
            reached("in_judging")
    reached("after_judging")
    with running.transaction() as connection:
        running.report.blast = guards.limit_run(
            connection, scope.library, scope.settings, run_id=scope.run_id, allow_blast=scope.allow_blast
        )
    for part in slices:
        with running.transaction() as connection:
            shared = [wanted.fate for wanted in rules.bundlings]
            span = scope.span(part)
            for verdict in guards.settle(connection, scope.playbooks, scope.settings, **span, shared=shared):
                running.report.judged(*verdict)
        reached("after_settling")


@dataclass(frozen=True)
class _Rules:
    """The statements that find and judge, built once for all slices.

    Where everybody was decided about before, they look for news and for what the clock may have changed.
    """

    searches: list[due.Search]
    judgements: list[Any]
    bundlings: list[guards.Bundling]
    arbitrations: list[Any]
    tomorrow: int
    only_news: bool

    @classmethod
    def of(cls, connection: Connection, scope: Scope) -> _Rules:
        quiet = guards.quiet_now(connection, scope.now, scope.settings)
        decided = guards.decided_at(connection, scope.rules, scope.seconds) if scope.everything else None
        since = live_since(connection)
        shop = (scope.library, scope.settings, scope.now)
        benches = {
            (playbook.name, step.name): guards.Bench(
                playbook, step, *shop, quiet, since.get(playbook.name), only_news=decided is not None
            )
            for playbook in scope.playbooks
            for step in playbook.steps
        }

        def search(playbook: Playbook) -> due.Search:
            def judge(step: Step, found: sa.FromClause) -> dict[str, Any]:
                return guards.verdict(found, benches[playbook.name, step.name])

            before = None if decided is None else clock.moment(decided)
            return due.search(connection.dialect.name, playbook, *shop, judge, before, scope.almanac)

        return cls(
            searches=[search(playbook) for playbook in scope.playbooks if playbook.status == "live"],
            judgements=guards.judgements(benches.values()),
            bundlings=[
                _bundling(connection.dialect.name, scope, benches[playbook.name, step.name], bundle)
                for playbook, step, bundle in guards.bundlings(scope.library)
                if (playbook.name, step.name) in benches
            ],
            arbitrations=list(guards.arbitrations(scope.library, scope.settings)),
            only_news=decided is not None,
            tomorrow=clock.seconds(clock.end_of_day(scope.now, scope.settings.shop.tz)),
        )


def _bundling(dialect: str, scope: Scope, bench: guards.Bench, bundle: Bundle) -> guards.Bundling:
    """How a step makes one message of several products, with what is due soon."""
    step = (bench.playbook, bench.step, scope.library, scope.settings, scope.now)

    def early(whom: sa.FromClause) -> Iterator[tuple[sa.Select[Any], Mapping[str, Any]]]:
        for found in due.early(*step, within=bundle.within, whom=whom):
            yield found.select, found.bound

    return guards.Bundling.of(dialect, bench, bundle, early)


def _mind_the_clock(connection: Connection, scope: Scope) -> None:
    latest = runs.latest_now(connection)
    if latest is not None and scope.seconds < latest:
        due.mark_later_than(connection, scope.seconds)


def _refresh(running: _Pass) -> None:
    """Supplies and segments: what is true of customers now."""
    scope = running.scope
    shop = {"now": scope.seconds, "offset": clock.standard_offset(scope.settings.shop.tz)}
    with running.transaction() as connection:
        due.begin_week(connection, scope.library, **shop)
        changed = changed_slices(connection)
        segments.begin(connection, scope.library, scope.settings, now=scope.seconds)
    for number, part in enumerate(changed):
        scope.progress(number, len(changed), "supplies")
        with running.transaction() as connection:
            segments.note_changes(connection, low=part.low, high=part.high)
            due.refresh(
                connection,
                scope.library,
                run_id=scope.run_id,
                low=part.low,
                high=part.high,
                **shop,
            )
            reached("in_supplies")
    _learn(running, shop)
    with running.transaction() as connection:
        # Where all is decided anew, nobody need be noted.
        tell = guards.decided_at(connection, scope.rules, scope.seconds) is not None
    with running.transaction() as connection:
        unsorted = segments.slices(connection, scope.library, now=scope.seconds)
    for number, part in enumerate(unsorted):
        scope.progress(number, len(unsorted), "segments")
        with running.transaction() as connection:
            span = {"now": scope.seconds, "low": part.low, "high": part.high}
            segments.refresh(connection, scope.library, scope.settings, **span, tell=tell)
            reached("in_segments")


def _learn(running: _Pass, shop: dict[str, int]) -> None:
    """What all purchases say of each line, and what that changes for supplies."""
    scope = running.scope
    with running.transaction() as connection:
        learned = due.learn_lines(connection, scope.library, **shop)
        if learned:
            guards.decide_anew(connection)
        everyone = customer_slices(connection)
    if not learned:
        return
    for number, part in enumerate(everyone):
        scope.progress(number, len(everyone), "learning")
        with running.transaction() as connection:
            due.project(connection, scope.library, learned, low=part.low, high=part.high)
            segments.note_supplies(connection, scope.library, low=part.low, high=part.high)
            reached("in_learning")
    with running.transaction() as connection:
        due.applied(connection)


def _judge(connection: Connection, running: _Pass, rules: _Rules, part: Slice) -> None:
    """Find who is due in a slice, and judge them: each by itself, then against each other."""
    span = running.scope.span(part)
    guards.set_free(connection, now=span["now"], low=part.low, high=part.high)
    for search in rules.searches:
        for tally in due.find(connection, search, **span):
            running.report.look(search.playbook, *tally)
    guards.judge(connection, rules.judgements, tomorrow=rules.tomorrow, **span)
    bound = {"now": span["now"], "run": span["run_id"], "tomorrow": rules.tomorrow}
    for wanted in rules.bundlings:
        taken = guards.arrange(connection, wanted, {**bound, "low": part.low, "high": part.high})
        running.report.look(wanted.playbook, wanted.step, taken, None if rules.only_news else taken)
    guards.arbitrate(connection, rules.arbitrations, tomorrow=rules.tomorrow, **span)
    if running.scope.everything:
        guards.note_slice(connection, low=part.low, high=part.high)


def _queue(running: _Pass) -> None:
    """Messages and outbox: render what was accepted, and queue it."""
    scope, report = running.scope, running.report
    for part in cut(-(-report.accepted // MESSAGES_A_SLICE)) if report.accepted else []:
        with running.transaction() as connection:
            _queue_slice(connection, running, part)
        reached("outbox_after_commit")
        scope.progress(report.queued, report.accepted, "messages")


def _queue_slice(connection: Connection, running: _Pass, part: Slice) -> None:
    scope = running.scope
    span = {"run_id": scope.run_id, "low": part.low, "high": part.high}
    failed: list[FailedMessage] = []
    made: list[RenderedMessage] = []
    for message in render(connection, scope.library, scope.settings, now=scope.now, **span):
        if isinstance(message, FailedMessage):
            failed.append(message)
        else:
            made.append(message)
    made.sort(
        key=itemgetter(0, 1, 2, 3, 4)
    )  # by their key: rows that lie side by side are written side by side
    for first in range(0, len(made), BATCH):
        running.report.queued += put(connection, made[first : first + BATCH])
    running.report.render_failed((message.playbook, message.step, message.reason) for message in failed)
    _mark_failed(connection, failed)
    reached("outbox_before_mark")
    guards.queued(connection, scope.playbooks, now=scope.seconds, **span)


def _mark_failed(connection: Connection, failed: list[FailedMessage]) -> None:
    names = ("bucket", "customer_id", "playbook", "step", "anchor")
    if failed:
        same = [candidates.c[name] == sa.bindparam(f"key_{name}") for name in names]
        blocked = (
            sa.update(candidates)
            .where(*same)
            .values(state="blocked", reason=sa.bindparam("said_reason"), detail=sa.bindparam("said_detail"))
        )
        connection.execute(
            blocked,
            [
                {f"key_{name}": getattr(message, name) for name in names}
                | {"said_reason": message.reason, "said_detail": message.detail}
                for message in failed
            ],
        )


def _samples(connection: Connection, scope: Scope, count: int) -> list[RenderedMessage | FailedMessage]:
    if not count:
        return []
    found: list[RenderedMessage | FailedMessage] = []
    for part in customer_slices(connection):
        span = {"low": part.low, "high": part.high, "limit": count - len(found)}
        found += render(connection, scope.library, scope.settings, now=scope.now, run_id=scope.run_id, **span)
        if len(found) >= count:
            break
    return found
