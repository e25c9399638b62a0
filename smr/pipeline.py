"""The stages of a run, in order: the engine's table of contents.

    supplies → segments → due → guards → limits → messages → outbox

In: facts, playbooks, `now`. Out: candidates with their reasons, messages in the outbox, a report. Work goes
in slices of buckets, each slice one short transaction, so that other processes share the database; killed
at any point and run again, it ends with the same messages, each once. Several processes may share a run (see
`sharing`). A plan is the same pass in one transaction that is rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import __version__, clock, due, guards, runs, segments, sharing
from smr.almanac import Almanac, almanac_of
from smr.crash_points import reached
from smr.database import Database, count_grown
from smr.errors import StateError
from smr.messages.rendering import FailedMessage, RenderedMessage, render
from smr.outbox import put
from smr.playbook.model import Bundle, Library, Playbook, Step
from smr.publication import live_since, publish
from smr.report import RunReport
from smr.settings import Settings
from smr.slices import Slice, changed_slices, customer_slices, cut, finer
from smr.tables import candidates

MESSAGES_A_SLICE = 5_000
"""About how many messages are rendered and queued in one transaction."""

NO_RULES = frozenset({"database", "playbooks", "files", "imports", "sources", "daemon", "alerts"})
"""Settings that may differ between processes that share a run."""

Progress = Callable[[int, int | None, str | None], None]
Transaction = Callable[[], Any]
Told = dict[str, Any]
"""What the beginning of a stage lets its slices know, as plain data: they may be done by other processes."""


def _silent(_done: int, _total: int | None, _what: str | None) -> None:
    pass


@dataclass(frozen=True)
class Scope:
    """What one pass works with. `processes` is how many share it."""

    library: Library
    settings: Settings
    now: datetime
    run_id: int
    almanac: Almanac
    playbooks: tuple[Playbook, ...]
    allow_blast: bool = False
    progress: Progress = _silent
    everything: bool = True  # all playbooks, so that everybody is decided about
    processes: int = 1

    @cached_property
    def rules(self) -> str:
        """A name for all that decides and was written by people: playbooks, catalog, settings, smr itself."""
        return _name_of(self.library, self.settings, self.almanac.version)

    @property
    def seconds(self) -> int:
        """Now, in seconds."""
        return clock.seconds(self.now)

    @cached_property
    def shop(self) -> dict[str, int]:
        """What is asked with by the shop's days."""
        return {"now": self.seconds, "offset": clock.standard_offset(self.settings.shop.tz)}

    def span(self, part: Slice) -> dict[str, int]:
        """What statements about a slice are bound with."""
        return {"now": self.seconds, "run_id": self.run_id, "low": part.low, "high": part.high}


@dataclass
class _Pass:
    """A pass under way: how to get a transaction, and what was counted.

    `report` is what is counted at present, `before` what was counted by other processes.
    """

    scope: Scope
    transaction: Transaction
    report: RunReport = field(default_factory=RunReport)
    begun: runs.Run | None = None
    before: Callable[[Connection], RunReport] = lambda _connection: RunReport()
    judging: _Rules | None = None

    def rules(self, connection: Connection) -> _Rules:
        """The statements that find and judge, built when they are needed first."""
        if self.judging is None:
            self.judging = _Rules.of(connection, self.scope)
        return self.judging

    def so_far(self, connection: Connection) -> RunReport:
        """What was counted by everybody."""
        found = self.before(connection)
        found.add(self.report)
        return found


@dataclass(frozen=True)
class Stage:
    """One stage of a pass. `begin` is what is done once for the whole shop, and gives the slices that follow.

    `work` does one slice. Each is one transaction. `after` is a crash point behind each slice.
    """

    name: str
    begin: Callable[[Connection, _Pass], tuple[list[Slice], Told]]
    work: Callable[[Connection, _Pass, Slice, Told], None] | None = None
    after: str = ""


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
    with database.read() as connection:
        almanac = almanac_of(connection, settings)
    scope = _scope(library, settings, now, begun.run_id, almanac, only, allow_blast, progress)
    running = _Pass(scope, _kept(database, begun), begun=begun)
    _work_off(running, RUN)
    return running.report


def share(
    database: Database,
    library: Library,
    settings: Settings,
    *,
    now: datetime,
    place: sharing.Place,
    stated_now: bool = True,
    only: frozenset[str] | None = None,
    slot: str | None = None,
    allow_blast: bool = False,
    progress: Progress = _silent,
) -> RunReport | runs.UnderWay:
    """The same run by several processes: begin it, or join it where it is under way, and work to its end.

    Where `now` is not `stated_now`, a run of another instant is joined. Every process gets the whole report.
    """
    with database.read() as connection:
        almanac = almanac_of(connection, settings)
    rules = _name_of(library, settings, almanac.version, sorted(only or ()), allow_blast)
    agreed = runs.Agreed(rules, now if stated_now else None, _open_stages)
    owner = runs.this_process()
    begun = runs.begin(database, now=now, version=library.version, slot=slot, owner=owner, agreed=agreed)
    if isinstance(begun, runs.UnderWay):
        return begun
    scope = _scope(library, settings, begun.now, begun.run_id, almanac, only, allow_blast, progress, place.of)

    def tell(standing: sharing.Standing) -> None:
        slices = standing.of - 1
        progress(max(standing.done - 1, 0), slices or None, RUN[standing.stage].name)

    working = _Pass(scope, database.write, begun=begun, before=lambda one: _sum(sharing.told_by(one, begun)))
    while (task := sharing.next_task(database, begun, place, tell)) is not None:
        try:
            _work_on(working, begun, task)
        except BaseException:
            with suppress(Exception):
                sharing.put_back(database, begun, task)
            raise
    with database.read() as connection:
        told = sharing.told_by(connection, begun)
    # Where another run has begun since, what each told is gone.
    return _sum(told) if told else runs.UnderWay(begun.run_id, begun.slot, begun.owner, done=True)


def _name_of(library: Library, settings: Settings, *more: Any) -> str:
    """Where things lie, and when they are done, decides nothing: a moved database need not be judged anew."""
    deciding = [(name, value) for name, value in settings if name not in NO_RULES]
    said = (__version__, library.version, library.playbooks, deciding, *more)
    return sha256(repr(said).encode()).hexdigest()[:16]


def _scope(
    library: Library,
    settings: Settings,
    now: datetime,
    run_id: int,
    almanac: Almanac,
    only: frozenset[str] | None,
    allow_blast: bool,
    progress: Progress,
    processes: int = 1,
) -> Scope:
    chosen = tuple(playbook for playbook in library.playbooks if only is None or playbook.name in only)
    everything = only is None
    return Scope(
        library, settings, now, run_id, almanac, chosen, allow_blast, progress, everything, processes
    )


def _kept(database: Database, begun: runs.Run) -> Transaction:
    """Transactions of a run that one process has for itself: each renews its lease."""

    @contextmanager
    def transaction() -> Iterator[Connection]:
        with database.write() as connection:
            runs.keep(connection, begun)
            yield connection

    return transaction


def _open_stages(connection: Connection, run_id: int) -> None:
    sharing.open_stages(connection, run_id, len(RUN))


def _sum(told: list[Told]) -> RunReport:
    report = RunReport()
    for one in told:
        report.add(RunReport.from_plain(one["counted"]))
    return report


def _work_on(working: _Pass, begun: runs.Run, task: sharing.Task) -> None:
    """Do one task of a shared run, unless it was taken over meanwhile."""
    stage = RUN[task.stage]
    working.report, began = RunReport(), clock.monotonic()
    with working.transaction() as connection:
        if not sharing.is_mine(connection, begun, task):
            return
        told: Told = {}
        if task.number == 0:
            slices, told = stage.begin(connection, working)
            sharing.add_slices(connection, begun.run_id, task.stage, finer(slices, working.scope.processes))
        elif stage.work is not None:
            known = sharing.told_by(connection, begun, task.stage)[0]["told"]
            stage.work(connection, working, task.part, known)
        working.report.spent(stage.name, clock.monotonic() - began)
        sharing.done(connection, begun, task, {"told": told, "counted": working.report.as_plain()})
    if stage.after and task.number:
        reached(stage.after)


def _work_off(running: _Pass, stages: Sequence[Stage]) -> None:
    """Do stage after stage, slice after slice."""
    for stage in stages:
        began = clock.monotonic()
        with running.transaction() as connection:
            parts, told = stage.begin(connection, running)
        for number, part in enumerate(parts):
            running.scope.progress(number, len(parts), stage.name)
            if stage.work is not None:
                with running.transaction() as connection:
                    stage.work(connection, running, part, told)
            if stage.after:
                reached(stage.after)
        running.report.spent(stage.name, clock.monotonic() - began)


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
    with database.trial() as connection:
        run_id, almanac = runs.next_id(connection), almanac_of(connection, settings)
        scope = _scope(library, settings, now, run_id, almanac, only, allow_blast, progress)

        @contextmanager
        def transaction() -> Iterator[Connection]:
            yield connection

        planning = _Pass(scope, transaction)
        _work_off(planning, DECIDING)
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
    _work_off(deciding, DECIDING)
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

    transaction = _kept(database, begun)
    with transaction() as connection:
        publish(connection, library, now=now)
        due.publish_catalog(connection, library.catalog)
        due.mark_everyone(connection)
        guards.decide_anew(connection)
        almanac = almanac_of(connection, settings)
    scope = Scope(library, settings, now, begun.run_id, almanac, library.playbooks, progress=progress)
    _work_off(_Pass(scope, transaction), REFRESHING)
    with transaction() as connection:
        runs.finish(connection, begun, None)


def _publish(connection: Connection, running: _Pass) -> tuple[list[Slice], Told]:
    """Take note of playbooks and catalog as they are now."""
    scope = running.scope
    publish(connection, scope.library, now=scope.now)
    if due.publish_catalog(connection, scope.library.catalog):
        due.mark_everyone(connection)
    due.publish_substitutes(connection, scope.library.catalog)
    _mind_the_clock(connection, scope)
    if guards.decided_at(connection, scope.rules, scope.seconds) is None:
        guards.decide_anew(connection)
    return [], {}


def _mind_the_clock(connection: Connection, scope: Scope) -> None:
    latest = runs.latest_now(connection)
    if latest is not None and scope.seconds < latest:
        due.mark_later_than(connection, scope.seconds)


def _begin_supplies(connection: Connection, running: _Pass) -> tuple[list[Slice], Told]:
    """Whose facts changed, or whose supplies a new week concerns; and what segments are now."""
    reached("after_publish")
    scope = running.scope
    due.begin_week(connection, scope.library, **scope.shop)
    segments.begin(connection, scope.library, scope.settings, now=scope.seconds)
    if scope.processes > 1:
        due.take_all(connection, run_id=scope.run_id)
    return changed_slices(connection), {}


def _supplies(connection: Connection, running: _Pass, part: Slice, _told: Told) -> None:
    scope = running.scope
    segments.note_changes(connection, low=part.low, high=part.high)
    span = {"run_id": scope.run_id, "low": part.low, "high": part.high}
    due.refresh(connection, scope.library, **span, **scope.shop)
    reached("in_supplies")


def _begin_learning(connection: Connection, running: _Pass) -> tuple[list[Slice], Told]:
    """What all purchases say of each line."""
    learned = due.learn_lines(connection, running.scope.library, **running.scope.shop)
    if not learned:
        return [], {}
    guards.decide_anew(connection)
    return customer_slices(connection), {"learned": learned}


def _learn(connection: Connection, running: _Pass, part: Slice, told: Told) -> None:
    """What that changes for supplies."""
    library = running.scope.library
    due.project(connection, library, told["learned"], low=part.low, high=part.high)
    segments.note_supplies(connection, library, low=part.low, high=part.high)
    reached("in_learning")


def _begin_segments(connection: Connection, running: _Pass) -> tuple[list[Slice], Told]:
    scope = running.scope
    due.applied(connection)
    # Where all is decided anew, nobody need be noted.
    tell = guards.decided_at(connection, scope.rules, scope.seconds) is not None
    return segments.slices(connection, scope.library, now=scope.seconds), {"tell": tell}


def _segments(connection: Connection, running: _Pass, part: Slice, told: Told) -> None:
    scope = running.scope
    span = {"now": scope.seconds, "low": part.low, "high": part.high}
    segments.refresh(connection, scope.library, scope.settings, **span, tell=told["tell"])
    reached("in_segments")


@dataclass(frozen=True)
class _Rules:
    """The statements that find and judge, built once for all slices.

    Where everybody was decided about before, they look for news and for what the clock may have changed.
    """

    searches: list[due.Search]
    judgements: list[Any]
    bundlings: list[guards.Bundling]
    arbitrations: list[Any]
    settling: guards.Settling
    only_news: bool

    @classmethod
    def of(cls, connection: Connection, scope: Scope) -> _Rules:
        quiet = guards.quiet_now(connection, scope.now, scope.settings)
        decided = guards.decided_at(connection, scope.rules, scope.seconds) if scope.everything else None
        moments = guards.Moments.of(scope.settings, scope.now, quiet)
        since = live_since(connection)
        given = due.anything_given(connection)
        shop = (scope.library, scope.settings, scope.now)
        benches = {
            (playbook.name, step.name): guards.Bench(
                playbook, step, *shop, quiet, since.get(playbook.name), only_news=decided is not None
            )
            for playbook in scope.playbooks
            for step in playbook.steps
        }

        groups = guards.judged_alike(benches.values())
        first = {(one.playbook.name, one.step.name): group[0] for group in groups for one in group}

        def search(playbook: Playbook) -> due.Search:
            def judge(
                step: Step, write: due.Write, *, given: bool, alike: Hashable | None, anyones: bool
            ) -> Any:
                bench = (first if anyones else benches)[playbook.name, step.name]
                return guards.with_verdict(replace(bench, given=given), write, alike)

            before = None if decided is None else clock.moment(decided)
            about = (playbook, *shop, judge, before, scope.almanac)
            return due.search(connection.dialect.name, *about, given=given)

        return cls(
            searches=[search(playbook) for playbook in scope.playbooks if playbook.status == "live"],
            judgements=guards.judgements(groups),
            bundlings=[
                _bundling(connection.dialect.name, scope, benches[playbook.name, step.name], bundle)
                for playbook, step, bundle in guards.bundlings(scope.library)
                if (playbook.name, step.name) in benches
            ],
            arbitrations=list(guards.arbitrations(scope.library, scope.settings, moments)),
            settling=guards.Settling.of(connection.dialect.name, scope.playbooks, scope.settings),
            only_news=decided is not None,
        )


def _bundling(dialect: str, scope: Scope, bench: guards.Bench, bundle: Bundle) -> guards.Bundling:
    """How a step makes one message of several products, with what is due soon."""
    step = (bench.playbook, bench.step, scope.library, scope.settings, scope.now)

    def early(whom: sa.FromClause) -> Iterator[tuple[sa.Select[Any], Mapping[str, Any]]]:
        for found in due.early(*step, within=bundle.within, whom=whom):
            yield found.select, found.bound

    return guards.Bundling.of(dialect, bench, bundle, early)


def _begin_judging(connection: Connection, running: _Pass) -> tuple[list[Slice], Told]:
    return _deciding_slices(connection, running), {}


def _deciding_slices(connection: Connection, running: _Pass) -> list[Slice]:
    """Where only news are looked for, there is little in each slice, and its own cost is what counts."""
    playbooks = 1 if running.rules(connection).only_news else len(running.scope.playbooks)
    return customer_slices(connection, playbooks)


def _judge(connection: Connection, running: _Pass, part: Slice, _told: Told) -> None:
    """Find who is due in a slice, and judge them: each by itself, then against each other."""
    span, rules = running.scope.span(part), running.rules(connection)
    guards.set_free(connection, now=span["now"], low=part.low, high=part.high)
    any_before, seen = guards.any_open(connection, low=part.low, high=part.high), 0
    for playbook, tally in due.find(connection, rules.searches, **span):
        running.report.look(playbook, *tally)
        seen += tally.seen
    count_grown(connection, candidates, seen)
    if any_before:
        guards.judge(connection, rules.judgements, **span)
    bound = {"now": span["now"], "run": span["run_id"]}
    for wanted in rules.bundlings:
        taken = guards.arrange(connection, wanted, {**bound, "low": part.low, "high": part.high})
        running.report.look(wanted.playbook, wanted.step, taken, None if rules.only_news else taken)
    guards.arbitrate(connection, rules.arbitrations, **span)
    if running.scope.everything:
        guards.note_slice(connection, low=part.low, high=part.high)
    reached("in_judging")


def _begin_settling(connection: Connection, running: _Pass) -> tuple[list[Slice], Told]:
    """The limits of the whole run, once everybody was judged."""
    reached("after_judging")
    scope = running.scope
    running.report.blast = guards.limit_run(
        connection, scope.library, scope.settings, run_id=scope.run_id, allow_blast=scope.allow_blast
    )
    return _deciding_slices(connection, running), {}


def _settle(connection: Connection, running: _Pass, part: Slice, _told: Told) -> None:
    """Hold out, and turn reasons into states."""
    span, rules = running.scope.span(part), running.rules(connection)
    shared = [wanted.fate for wanted in rules.bundlings]
    bound = {"now": span["now"], "run": span["run_id"], "low": part.low, "high": part.high}
    for verdict in guards.settle(connection, rules.settling, bound, shared=shared):
        running.report.judged(*verdict)


def _begin_messages(connection: Connection, running: _Pass) -> tuple[list[Slice], Told]:
    accepted = running.so_far(connection).accepted
    return (cut(-(-accepted // MESSAGES_A_SLICE)) if accepted else []), {}


def _write_messages(connection: Connection, running: _Pass, part: Slice, _told: Told) -> None:
    """Render what was accepted in a slice, and queue it."""
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
    running.report.queued += put(connection, made)
    running.report.render_failed((message.playbook, message.step, message.reason) for message in failed)
    _mark_failed(connection, failed)
    reached("outbox_before_mark")
    guards.queued(connection, scope.playbooks, scope.settings, now=scope.seconds, **span)


def _finish(connection: Connection, running: _Pass) -> tuple[list[Slice], Told]:
    """Count what there is, and end the run."""
    reached("before_finish")
    scope = running.scope
    if scope.everything:
        guards.note_decided(connection, scope.rules, scope.seconds)
    running.report.count_facts(connection, runs.last_counts(connection))
    report = running.so_far(connection)
    if running.begun is not None:
        kept = {**report.counts(), "imports": report.imports, "stage_seconds": report.stage_seconds}
        runs.finish(connection, running.begun, kept)
    return [], {}


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


REFRESHING = (
    Stage("supplies", _begin_supplies, _supplies),
    Stage("learning", _begin_learning, _learn),
    Stage("segments", _begin_segments, _segments),
)
"""What is true of customers now."""

DECIDING = (
    Stage("playbooks", _publish),
    *REFRESHING,
    Stage("judging", _begin_judging, _judge),
    Stage("limits", _begin_settling, _settle, after="after_settling"),
)
"""Up to the verdicts: the left half of the data's way."""

RUN = (
    *DECIDING,
    Stage("messages", _begin_messages, _write_messages, after="outbox_after_commit"),
    Stage("report", _finish),
)
