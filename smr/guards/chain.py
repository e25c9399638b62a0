"""All guards in the order in which they are judged, and the statements that judge a slice.

Candidates found by a run are written with their first reason (`verdict`); those that are open from earlier
are judged by one UPDATE for each step. What has no reason is arbitrated across playbooks; the run's limits
follow (`limits`), then what is settled (`settling`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr.conditions import NOW
from smr.events import CandidateState, Reason
from smr.guards import (
    contact,
    content_mix,
    fatigue,
    frequency_cap,
    handing_over,
    people,
    purchases,
    quiet_hours,
    stock,
    timeliness,
)
from smr.guards.contacts import Moments
from smr.guards.frequency_cap import HIGH, LOW, RUN
from smr.guards.held import noted
from smr.guards.kept import built_once
from smr.guards.standing import may_differ
from smr.guards.verdict import Bench, Guard
from smr.playbook.model import Library, Playbook, RunsOut, asks_for_stock, counts_from_run_out
from smr.settings import Settings
from smr.tables import OPEN, WINNER, candidates

GUARDS: tuple[Guard, ...] = (
    Guard(Reason.PAUSED, timeliness.paused),
    Guard(Reason.EXPIRED, timeliness.expired),
    Guard(Reason.REFUNDED, purchases.refunded),
    Guard(Reason.BOUGHT_ALREADY, purchases.bought_already),
    Guard(Reason.STOPPED, purchases.stopped),
    Guard(Reason.NOT_DUE, timeliness.not_due),
    Guard(Reason.BEFORE_PUBLICATION, timeliness.before_publication),
    Guard(Reason.NOT_IN_SEGMENT, people.not_in_segment),
    Guard(Reason.STEP_CONDITION, people.step_condition),
    Guard(Reason.COMPLAINT_OPEN, people.complaint_open),
    Guard(Reason.OUT_OF_STOCK, stock.out_of_stock),
    Guard(Reason.REFUND_OPEN, people.refund_open),
    Guard(Reason.UNREACHABLE, contact.unreachable),
    Guard(Reason.OPTED_OUT, contact.opted_out),
    Guard(Reason.NO_CONSENT, contact.no_consent),
    Guard(Reason.QUIET_HOURS, quiet_hours.too_late),
    Guard(Reason.HANDED_OVER, handing_over.handed_over),
)
"""The guards that judge one candidate by itself; the first that blocks gives the reason."""


FirstVerdict = Callable[[Any], dict[str, Any]]
"""What the guards say of a candidate, as columns."""


CONTACT = frozenset({Reason.UNREACHABLE, Reason.OPTED_OUT, Reason.NO_CONSENT})
"""Reasons why no channel may reach a customer; asked apart only where none may."""


def reason_of(
    candidate: Any,
    bench: Bench,
    *,
    without: frozenset[Reason] = frozenset(),
    may: ColumnElement[bool] | None = None,
) -> ColumnElement[Any]:
    """The first guard's reason that blocks a candidate; NULL where none does.

    `may` tells whether its own channel may reach the customer, where that is settled; else any of the step's
    channels will do.
    """
    whens: list[Any] = []
    for guard in GUARDS:
        if guard.reason is Reason.UNREACHABLE:
            why = _why_none_may(candidate, bench)
            if may is None:
                whens.append((contact.none_may(candidate, bench), why))
            else:
                whens.append((sa.not_(may), sa.func.coalesce(why, str(Reason.OPTED_OUT))))
        if guard.reason in without or guard.reason in CONTACT:
            continue
        blocks = guard.blocks(candidate, bench)
        if blocks is not None:
            whens.append((blocks, str(guard.reason)))
    return sa.case(*whens, else_=sa.null())


def _why_none_may(candidate: Any, bench: Bench) -> ColumnElement[Any]:
    asked = [(guard.reason, guard.blocks(candidate, bench)) for guard in GUARDS if guard.reason in CONTACT]
    whens: list[Any] = [(blocks, str(reason)) for reason, blocks in asked if blocks is not None]
    return sa.case(*whens, else_=sa.null())


def verdict(candidate: Any, bench: Bench) -> dict[str, Any]:
    """What the guards say of a candidate by itself, as columns: accepted, unless there is a reason."""
    return {
        "state": str(CandidateState.ACCEPTED),
        "reason": reason_of(candidate, bench),
        "channel": contact.channel_of(candidate, bench),
        "send_after": quiet_hours.send_after(candidate, bench),
        "judged_at": NOW,
        "detail": sa.null(),
        "offer_id": stock.offered(candidate, bench),
        **dict.fromkeys(WINNER, sa.null()),
    }


def with_verdict(bench: Bench, write: Callable[[FirstVerdict], Any], alike: Hashable | None) -> Any:
    """The statement that `write` builds with the verdict on a bench's candidates.

    Where `alike` is said, it is kept, and serves for whatever of that bench has the same said of it.
    """

    def build(group: list[Bench]) -> Any:
        return write(lambda candidate: verdict(candidate, group[0]))

    return build([bench]) if alike is None else built_once([bench], build, alike)


def judged_alike(benches: Iterable[Bench]) -> list[list[Bench]]:
    """Benches of which the guards ask the same, together: any of them serves for all."""
    alike: dict[str, list[Bench]] = defaultdict(list)
    for bench in benches:
        alike[_asks(bench)].append(bench)
    return list(alike.values())


def judgements(groups: Iterable[list[Bench]]) -> list[Any]:
    """The statements that judge again the open candidates that this run did not find: one for each group of
    steps that are judged alike.
    """
    return [built_once(group, _judgement) for group in groups]


def any_open(connection: Connection, *, low: int, high: int) -> bool:
    """Whether a reminder in buckets low..high is open: of an earlier run, until this one looks for others."""
    is_open = sa.exists().where(OPEN, candidates.c.bucket.between(LOW, HIGH))
    return bool(connection.execute(sa.select(is_open), {"low": low, "high": high}).scalar_one())


def judge(
    connection: Connection,
    statements: Iterable[Any],
    *,
    now: int,
    run_id: int,
    low: int,
    high: int,
) -> None:
    """Judge the open candidates of these steps in buckets low..high that this run did not find."""
    for statement in statements:
        bound = {"now": now, "run": run_id, "low": low, "high": high}
        connection.execute(statement, bound)


def _asks(bench: Bench) -> str:
    """What the guards read of a playbook and step: equal texts mean equal questions."""
    book, step = bench.playbook, bench.step
    parts: tuple[Any, ...] = (
        book.status,
        counts_from_run_out(book, step),
        book.trigger,
        book.who,
        purchases.own_stops(book),
        book.purpose,
        book.backfill,
        step.when,
        step.via,
        asks_for_stock(book) and (stock.offers(bench) or "plain"),
        step.send if book.bundle is not None else None,
    )
    if isinstance(book.trigger, RunsOut):
        # Which line has run out stands in the candidate.
        parts = (*parts[:2], "runs_out", *parts[3:])
    since = bench.live_since if book.backfill is not None else None
    return repr((step.name, since, parts))


def _judgement(group: list[Bench]) -> Any:
    bench = group[0]
    which = [
        open_of([one.playbook.name for one in group]),
        candidates.c.step == bench.step.name,
        candidates.c.run_id != RUN,
    ]
    if bench.only_news:
        which.append(may_differ(candidates, bench))
    return sa.update(candidates).values(**verdict(candidates, bench), run_id=RUN).where(*which)


def arbitrations(library: Library, settings: Settings, moments: Moments) -> Iterator[Any]:
    """The statements that judge a customer's candidates against each other, in the order to be executed.

    What cannot go anyhow must not take the place of what can: so the mix first holds back what even alone is
    too much, a channel's rules come before those for all, and these hold back all of a customer alike.
    """
    shop = (library, settings, moments)
    yield from frequency_cap.rounds(library, moments)
    yield from content_mix.unbalanced(*shop, alone=True)
    yield from frequency_cap.capped(*shop, by_channel=True)
    yield from content_mix.unbalanced(*shop, alone=False)
    yield from fatigue.tired(*shop)
    yield from frequency_cap.capped(*shop, by_channel=False)
    if several_rules(settings):
        # Whoever won by one rule may have lost by the next.
        yield frequency_cap.won_in_the_end()


def several_rules(settings: Settings) -> bool:
    """Whether candidates are judged against each other more than once."""
    policy = settings.policy
    others = [rule for rule in (policy.fatigue, policy.mix) if rule is not None]
    return len([*frequency_cap.caps_of(settings), *others]) > 1


def arbitrate(
    connection: Connection,
    statements: Iterable[Any],
    *,
    now: int,
    run_id: int,
    low: int,
    high: int,
) -> None:
    """Judge the candidates that passed so far against each other: rounds, gaps, caps, mix, priority."""
    for statement in statements:
        bound = {"now": now, "run": run_id, "low": low, "high": high}
        connection.execute(statement, bound)


def queued(
    connection: Connection,
    playbooks: Sequence[Playbook],
    settings: Settings,
    *,
    now: int,
    run_id: int,
    low: int,
    high: int,
) -> None:
    """Note of what this run accepted, in buckets low..high, that its message is in the outbox, and whether it
    waits for the end of quiet hours.
    """
    state = candidates.c.state == str(CandidateState.ACCEPTED)
    accepted = sa.and_(candidates.c.run_id == RUN, state, candidates.c.reason.is_(None))
    values: dict[str, Any] = {"queued_at": NOW}
    if settings.policy.quiet_hours is not None:
        quiet = sa.literal(str(Reason.QUIET_HOURS), sa.Text)
        values |= noted(candidates.c.send_after.is_not(None), quiet)
    marked = sa.update(candidates).values(values).where(open_of([one.name for one in playbooks]), accepted)
    connection.execute(marked, {"now": now, "run": run_id, "low": low, "high": high})


def open_of(playbooks: Sequence[str]) -> ColumnElement[bool]:
    """Candidates of these playbooks in the slice whose reminder is still open."""
    return sa.and_(candidates.c.playbook.in_(playbooks), candidates.c.bucket.between(LOW, HIGH), OPEN)
