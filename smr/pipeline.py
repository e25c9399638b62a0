"""The stages of a run, in order: the engine's table of contents.

    supplies → segments → due → guards → limits → messages → outbox

In: facts, playbooks, `now`. Out: candidates with their reasons, messages in the outbox, a report. Work goes
in slices of buckets, each slice one short transaction, so that other processes share the database; killed
at any point and run again, it ends with the same messages, each once. A plan is the same pass in one
transaction that is rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock, due, guards, runs, segments
from smr.crash_points import reached
from smr.database import Database
from smr.messages.rendering import FailedMessage, RenderedMessage, render
from smr.outbox import put
from smr.playbook.model import Library, Playbook
from smr.publication import live_since, publish
from smr.report import RunReport
from smr.settings import Settings
from smr.slices import Slice, changed_slices, customer_slices
from smr.tables import candidates

BATCH = 2_000
"""Messages rendered and queued in one transaction."""

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
    playbooks: tuple[Playbook, ...]
    allow_blast: bool = False
    progress: Progress = _silent

    @property
    def seconds(self) -> int:
        """Now, in seconds."""
        return clock.seconds(self.now)


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
    scope = Scope(library, settings, now, begun.run_id, chosen, allow_blast, progress)

    @contextmanager
    def transaction() -> Iterator[Connection]:
        with database.write() as connection:
            runs.keep(connection, begun)
            yield connection

    running = _Pass(scope, transaction)
    _decide(running)
    _queue(running, database)
    with transaction() as connection:
        reached("before_finish")
        running.report.count_facts(connection)
        runs.finish(connection, begun, running.report.counts())
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
        scope = Scope(library, settings, now, runs.next_id(connection), chosen, allow_blast, progress)

        @contextmanager
        def transaction() -> Iterator[Connection]:
            yield connection

        planning = _Pass(scope, transaction)
        _decide(planning)
        shown = _samples(connection, scope, samples)
        planning.report.queued = planning.report.accepted
        planning.report.count_facts(connection)
        planning.report.compare(runs.last_counts(connection))
    return planning.report, shown


def rebuild(database: Database, library: Library, settings: Settings, *, now: datetime) -> None:
    """Compute all derived tables again from facts and playbooks."""
    with database.write() as connection:
        publish(connection, library, now=now)
        due.mark_everyone(connection)
        run_id = runs.next_id(connection)
    scope = Scope(library, settings, now, run_id, library.playbooks)
    _refresh(_Pass(scope, database.write))


def _decide(running: _Pass) -> None:
    """Everything up to the verdicts: the left half of the data's way."""
    scope = running.scope
    with running.transaction() as connection:
        publish(connection, scope.library, now=scope.now)
        if due.publish_catalog(connection, scope.library.catalog):
            due.mark_everyone(connection)
        _mind_the_clock(connection, scope)
        slices = customer_slices(connection)
    reached("after_publish")
    _refresh(running)
    for number, part in enumerate(slices):
        scope.progress(number, len(slices), "judging")
        with running.transaction() as connection:
            _judge(connection, running, part)
            reached("in_judging")
    reached("after_judging")
    with running.transaction() as connection:
        running.report.blast = guards.limit_run(
            connection, scope.library, scope.settings, run_id=scope.run_id, allow_blast=scope.allow_blast
        )
    for part in slices:
        with running.transaction() as connection:
            _settle(connection, running, part)
        reached("after_settling")


def _mind_the_clock(connection: Connection, scope: Scope) -> None:
    latest = runs.latest_now(connection)
    if latest is not None and scope.seconds < latest:
        due.mark_later_than(connection, scope.seconds)


def _refresh(running: _Pass) -> None:
    """Supplies and segments: what is true of customers now."""
    scope = running.scope
    with running.transaction() as connection:
        changed = changed_slices(connection)
        everyone = customer_slices(connection)
    for number, part in enumerate(changed):
        scope.progress(number, len(changed), "supplies")
        with running.transaction() as connection:
            due.refresh(
                connection,
                scope.library,
                now=scope.seconds,
                run_id=scope.run_id,
                low=part.low,
                high=part.high,
            )
            reached("in_supplies")
    for number, part in enumerate(everyone):
        scope.progress(number, len(everyone), "segments")
        with running.transaction() as connection:
            segments.refresh(
                connection, scope.library, scope.settings, now=scope.seconds, low=part.low, high=part.high
            )
            reached("in_segments")


def _judge(connection: Connection, running: _Pass, part: Slice) -> None:
    scope = running.scope
    span = {"run_id": scope.run_id, "low": part.low, "high": part.high}
    quiet = guards.quiet_now(connection, scope.now, scope.settings)
    since = live_since(connection)
    for playbook in scope.playbooks:
        if playbook.status == "live":
            tally = due.find(connection, playbook, scope.library, scope.settings, now=scope.now, **span)
            running.report.found(playbook.name, tally.due, tally.settled)
        for step in playbook.steps:
            bench = guards.Bench(
                playbook, step, scope.library, scope.settings, scope.now, quiet, since.get(playbook.name)
            )
            guards.judge(connection, bench, **span)
    guards.arbitrate(
        connection,
        scope.library,
        scope.settings,
        now=scope.seconds,
        tomorrow=clock.seconds(clock.end_of_day(scope.now, scope.settings.shop.tz)),
        **span,
    )


def _settle(connection: Connection, running: _Pass, part: Slice) -> None:
    scope = running.scope
    span = {"now": scope.seconds, "run_id": scope.run_id, "low": part.low, "high": part.high}
    for playbook in scope.playbooks:
        for step, reason, count in guards.settle(connection, playbook, scope.settings, **span):
            running.report.judged(playbook.name, step, reason, count)


def _queue(running: _Pass, database: Database) -> None:
    """Messages and outbox: render what was accepted, queue it in batches."""
    scope = running.scope
    with database.read() as connection:
        parts = customer_slices(connection)
    total = running.report.accepted
    for part in parts:
        while batch := _next_batch(running, part):
            running.report.rendered(*batch)
            scope.progress(running.report.queued, total, "messages")


def _next_batch(running: _Pass, part: Slice) -> tuple[int, list[tuple[str, str]]] | None:
    """Render and queue one batch in one transaction: how many, and which steps failed; None at the end."""
    scope = running.scope
    with running.transaction() as connection:
        made = render(
            connection,
            scope.library,
            scope.settings,
            now=scope.now,
            run_id=scope.run_id,
            low=part.low,
            high=part.high,
            limit=BATCH,
        )
        good: list[RenderedMessage] = []
        failed: list[FailedMessage] = []
        for message in made:
            if isinstance(message, FailedMessage):
                failed.append(message)
            else:
                good.append(message)
        if not good and not failed:
            return None
        put(connection, good)
        reached("outbox_before_mark")
        _mark_queued(connection, scope, [message[:5] for message in good])
        _mark_failed(connection, [message[:5] for message in failed])
    reached("outbox_after_commit")
    return len(good), [(message.playbook, message.step) for message in failed]


def _key() -> list[Any]:
    names = ("bucket", "customer_id", "playbook", "step", "anchor")
    return [candidates.c[name] == sa.bindparam(f"key_{name}") for name in names]


def _keys(keys: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    names = ("key_bucket", "key_customer_id", "key_playbook", "key_step", "key_anchor")
    return [dict(zip(names, key, strict=True)) for key in keys]


def _mark_queued(connection: Connection, scope: Scope, keys: list[tuple[Any, ...]]) -> None:
    if keys:
        connection.execute(sa.update(candidates).where(*_key()).values(queued_at=scope.seconds), _keys(keys))


def _mark_failed(connection: Connection, keys: list[tuple[Any, ...]]) -> None:
    if keys:
        failed = sa.update(candidates).where(*_key()).values(state="blocked", reason="template")
        connection.execute(failed, _keys(keys))


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
