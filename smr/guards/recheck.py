"""The same guards once more, for messages about to be sent: bought, opted out, paused, quiet, the policy.

Each message is judged by itself, with what has gone out by now; then those of one customer that are to go
together are counted one after the other, in the order in which they are handed in. Of a message that is its
customer's only one the database tells nothing unless something stops it: most are, and may go.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr import clock
from smr.conditions import Who
from smr.conditions.contact import may_reach
from smr.database.given import Columns, bound, bucket_in, buckets_of, given, matches, within
from smr.discretion import naming
from smr.events import Reason
from smr.guards.chain import reason_of
from smr.guards.contacts import contact_at, personal, went_out
from smr.guards.content_mix import beyond, counts_of
from smr.guards.fatigue import answered_at
from smr.guards.frequency_cap import Cap, Counts, caps_of
from smr.guards.people import refunded_until
from smr.guards.purchases import bought_already, refunded
from smr.guards.quiet_hours import quiet_now, send_after
from smr.guards.verdict import Bench, Verdict
from smr.notation import Rate
from smr.playbook.model import Library, RunsOut
from smr.settings import Settings
from smr.tables import candidates, messages, named

SKIPPED = frozenset({Reason.NOT_DUE, Reason.BEFORE_PUBLICATION, Reason.QUIET_HOURS})
"""Not asked again: the run decided them, or (quiet hours) the answer is to wait."""
SOON = timedelta(hours=1)
"""When it is tried again where several contacts within hours fill a cap."""


class Written(Protocol):
    """A message: whose it is, its step and anchor, its channel, and its id, which begins with three hex
    digits of its bucket.
    """

    @property
    def playbook(self) -> str:
        """The playbook's name."""

    @property
    def step(self) -> str:
        """The step's name."""

    @property
    def anchor(self) -> str:
        """What made the step due."""

    @property
    def channel(self) -> str:
        """The channel it is to go by."""

    @property
    def customer_id(self) -> str:
        """Whose it is."""

    @property
    def message_id(self) -> str:
        """The message's id."""


class _Alike(NamedTuple):
    """What messages have in common that are asked about in one statement. `single`: each is the only one of
    its customer among those that are to go.
    """

    playbook: str
    step: str
    channel: str
    single: bool


class _Kept(threading.local):
    """The statements a thread asked last: a round of delivery asks the same ones, batch by batch."""

    def __init__(self) -> None:
        self.library: Library | None = None
        self.settings: Settings | None = None
        self.asked: tuple[Any, ...] = ()
        self.statements: dict[_Alike, sa.Select[Any]] = {}

    def statement(self, dialect: str, bench: Bench, alike: _Alike) -> sa.Select[Any]:
        """The statement for such messages, built once as long as nothing is different."""
        asked = (dialect, bench.now, bench.quiet_until)
        if self.library is not bench.library or self.settings is not bench.settings or self.asked != asked:
            self.library, self.settings, self.asked = bench.library, bench.settings, asked
            self.statements = {}
        if alike not in self.statements:
            self.statements[alike] = _statement(dialect, bench, alike)
        return self.statements[alike]


_kept = _Kept()


def recheck(
    connection: Connection,
    library: Library,
    settings: Settings,
    *,
    now: datetime,
    written: Sequence[Written],
) -> dict[str, Verdict]:
    """Which of these messages must not be sent now, and why. A verdict with `until` means: wait until then.

    Of one customer's messages the first goes first. Runs in the caller's transaction, the one that writes
    `sending`, so that nothing comes between the judgement and the record.
    """
    if not written:
        return {}
    groups = _groups(written)
    quiet = quiet_now(connection, now, settings)
    known = {playbook.name: playbook for playbook in library.playbooks}
    verdicts: dict[str, Verdict] = {}
    answers: dict[str, _Answer] = {}
    for alike, some in groups.items():
        playbook = known.get(alike.playbook)
        if playbook is None or alike.step not in {step.name for step in playbook.steps}:
            verdicts |= dict.fromkeys((one.message_id for one in some), Verdict(Reason.DELETED))
            continue
        bench = Bench(playbook, playbook.step(alike.step), library, settings, now, quiet, sending=True)
        answers |= _ask(connection, bench, alike, some)
    verdicts |= _Together(settings, now).verdicts(written, answers)
    discreet = {alike.channel for alike in groups if settings.is_discreet(alike.channel)}
    told = [one.message_id for one in written if one.channel in discreet] if discreet else []
    return verdicts | _named(connection, library, settings, told)


def _groups(written: Sequence[Written]) -> dict[_Alike, list[Written]]:
    """The messages by what they have in common."""
    several = {who for who, count in Counter(one.customer_id for one in written).items() if count > 1}
    groups: dict[tuple[str, str, str, bool], list[Written]] = defaultdict(list)
    for one in written:
        groups[one.playbook, one.step, one.channel, one.customer_id not in several].append(one)
    return {_Alike(*key): some for key, some in groups.items()}


def _named(
    connection: Connection, library: Library, settings: Settings, message_ids: Sequence[str]
) -> dict[str, Verdict]:
    """Those that name what is sensitive on a discreet channel: it may have been called so since."""
    if not message_ids:
        return {}
    m = messages.c
    these = sa.and_(m.bucket.in_(sorted(set(buckets_of(message_ids)))), m.message_id.in_(message_ids))
    found = naming(connection, library, settings, these)
    return {message_id: Verdict(Reason.SENSITIVE) for message_id in found}


def _rates(settings: Settings) -> list[tuple[Cap, Rate]]:
    return [(cap, rate) for cap in caps_of(settings) for rate in cap.rates]


class _Answer(NamedTuple):
    """What the database says of one message: the guards' reason, whether something named beside changed,
    until when there is quiet (of the night, or after a refund), whether it sells; and the contacts that each
    rule counts, by the rule's name.
    """

    customer: tuple[int, str]
    channel: str
    selling: bool
    reason: str | None
    changed: bool
    quiet: int | None
    refunded_until: int | None
    counts: Mapping[str, int | None]

    def count(self, name: str) -> int:
        """The contacts that a rule counts."""
        return self.counts[name] or 0


ASKED: Columns = {
    "bucket": sa.SmallInteger(),
    "customer_id": sa.Text(),
    "anchor": sa.Text(),
    "message_id": sa.Text(),
}
"""What the statement is given of each message."""
TOLD = 7
"""Columns of what is asked before those that count contacts."""
EVERY = "*"
"""All personal messages together."""
SELLING = "selling"


@dataclass
class _Together:
    """Messages that are to go now, counted as they pass, by customer and by what counts them: a channel, all
    personal ones, or those that sell.
    """

    settings: Settings
    now: datetime
    rules: list[tuple[Cap, Rate, str, str]] = field(init=False)
    personal: frozenset[str] = field(init=False)
    passed: Counter[tuple[tuple[int, str], str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.rules = [
            (cap, rate, f"prior_{number}", f"last_{number}")
            for number, (cap, rate) in enumerate(_rates(self.settings))
        ]
        names = self.settings.channel_names
        self.personal = frozenset(name for name in names if self.settings.is_personal(name))

    def verdicts(self, written: Sequence[Written], answers: Mapping[str, _Answer]) -> dict[str, Verdict]:
        """Why messages must not be sent now; they pass one after the other."""
        if not answers:
            return {}
        asked = ((one.message_id, answers.get(one.message_id)) for one in written)
        told = ((name, self._verdict(answer)) for name, answer in asked if answer is not None)
        return {name: verdict for name, verdict in told if verdict is not None}

    def _verdict(self, answer: _Answer) -> Verdict | None:
        """Why it must not be sent now; None where it may, and then it counts for those after it."""
        if answer.reason == Reason.REFUND_OPEN and answer.refunded_until is not None:
            return Verdict(Reason.REFUND_OPEN, clock.moment(answer.refunded_until))
        if answer.reason is not None:
            return Verdict(Reason(answer.reason))
        if answer.changed:
            return Verdict(Reason.BUNDLE_CHANGED)
        if answer.quiet is not None:
            return Verdict(Reason.QUIET_HOURS, clock.moment(answer.quiet))
        found = self._capped(answer)
        if found is None and answer.channel in self.personal:
            found = self._tired(answer) or self._unbalanced(answer)
        if found is None:
            self._pass(answer)
        return found

    def _pass(self, answer: _Answer) -> None:
        self.passed[answer.customer, answer.channel] += 1
        if answer.channel in self.personal:
            self.passed[answer.customer, EVERY] += 1
            self.passed[answer.customer, SELLING] += answer.selling

    def _capped(self, answer: _Answer) -> Verdict | None:
        for cap, rate, prior, last in self.rules:
            if prior not in answer.counts:
                continue
            already = self.passed.get((answer.customer, cap.channel or EVERY), 0)
            if answer.count(prior) + already >= rate.count:
                last_at = None if already else answer.counts[last]
                return Verdict(cap.reason, self._until(rate, last_at))
        return None

    def _tired(self, answer: _Answer) -> Verdict | None:
        fatigue = self.settings.policy.fatigue
        if fatigue is None:
            return None
        already = self.passed[answer.customer, EVERY]
        unanswered, recent = answer.count("unanswered") + already, answer.count("recent") + already
        if unanswered < fatigue.after or recent < fatigue.slow_to.count:
            return None
        return Verdict(Reason.FATIGUE, self._until(fatigue.slow_to, None))

    def _unbalanced(self, answer: _Answer) -> Verdict | None:
        mix = self.settings.policy.mix
        if mix is None or not answer.selling:
            return None
        selling = answer.count("selling") + self.passed[answer.customer, SELLING] + 1
        if not beyond(mix, selling, answer.count("useful")):
            return None
        return Verdict(Reason.CONTENT_MIX, clock.end_of_day(self.now, self.settings.shop.tz))

    def _until(self, rate: Rate, last_at: int | None) -> datetime:
        """When there may be room again."""
        if rate.by_day:
            return clock.end_of_day(self.now, self.settings.shop.tz)
        if rate.count > 1 or last_at is None:
            return self.now + min(SOON, timedelta(seconds=rate.span))
        return clock.moment(last_at + rate.span)


def _ask(connection: Connection, bench: Bench, alike: _Alike, some: Sequence[Written]) -> dict[str, _Answer]:
    asked = [(bucket_in(one.message_id), one.customer_id, one.anchor, one.message_id) for one in some]
    values = {"now": clock.seconds(bench.now), "run": 0, **bound(connection, ASKED, asked)}
    statement = _kept.statement(connection.dialect.name, bench, alike)
    rows = connection.execute(statement, values)
    counted = list(rows.keys())[TOLD:]
    found: dict[str, _Answer] = {}
    for message_id, bucket, customer_id, reason, changed, quiet, refund, *counts in rows:
        told = (reason, bool(changed), quiet, refund, dict(zip(counted, counts, strict=True)))
        found[message_id] = _Answer((bucket, customer_id), alike.channel, _sells(bench), *told)
    return found


def _sells(bench: Bench) -> bool:
    return bench.playbook.content_of(bench.step) == "selling"


def _statement(dialect: str, bench: Bench, alike: _Alike) -> sa.Select[Any]:
    wanted, channel = given(dialect, ASKED), alike.channel
    its = sa.and_(
        matches(candidates, wanted, ("bucket", "customer_id", "anchor")),
        candidates.c.playbook == alike.playbook,
        candidates.c.step == alike.step,
    )
    who = Who.of(candidates)
    known = channel in bench.settings.channel_names
    may = may_reach(who, channel, bench.playbook.purpose, bench.settings) if known else sa.false()
    reason = reason_of(candidates, bench, without=SKIPPED, may=may)
    changed, quiet = _bundle_changed(bench), send_after(candidates, bench)
    counts = dict(_counts(who, bench, channel))
    stops = (reason.is_not(None), changed, quiet.is_not(None), *_full(counts, bench))
    return (
        sa.select(
            *(wanted.c[name] for name in ("message_id", "bucket", "customer_id")),
            reason.label("reason"),
            changed.label("changed"),
            quiet.label("quiet"),
            refunded_until(who, bench.settings).label("refunded_until"),
            *(column.label(name) for name, column in counts.items()),
        )
        .select_from(candidates.join(wanted, its))
        .where(within(dialect, candidates), sa.or_(*stops) if alike.single else sa.true())
    )


def _full(counts: Mapping[str, ColumnElement[Any]], bench: Bench) -> Iterator[ColumnElement[bool]]:
    """Where a rule for contacts leaves no room for one more: what `_Together` says of a customer's only
    message.
    """
    policy = bench.settings.policy
    for number, (_, rate) in enumerate(_rates(bench.settings)):
        if f"prior_{number}" in counts:
            yield counts[f"prior_{number}"] >= rate.count
    if "unanswered" in counts and policy.fatigue is not None:
        slow = counts["recent"] >= policy.fatigue.slow_to.count
        yield sa.and_(counts["unanswered"] >= policy.fatigue.after, slow)
    if "selling" in counts and policy.mix is not None and _sells(bench):
        yield beyond(policy.mix, counts["selling"] + 1, counts["useful"])


def _bundle_changed(bench: Bench) -> Any:
    """Whether something that is named beside was bought again or given back."""
    if bench.playbook.bundle is None or not isinstance(bench.playbook.trigger, RunsOut):
        return sa.false()
    beside = named(candidates, "beside")
    gone = (refunded(beside, bench), bought_already(beside, bench))
    changed = sa.or_(*(one for one in gone if one is not None))
    named_in = (
        beside.c.winner_playbook == candidates.c.playbook,
        beside.c.winner_step == candidates.c.step,
        beside.c.winner_anchor == candidates.c.anchor,
        beside.c.reason == str(Reason.BUNDLED),
    )
    return (
        sa.select(sa.literal(1))
        .select_from(beside)
        .where(Who.of(candidates).owns(beside), *named_in, changed)
        .correlate(candidates)
        .exists()
    )


def _counts(who: Who, bench: Bench, channel: str) -> Iterator[tuple[str, ColumnElement[Any]]]:
    """What the rules for a channel count of the customer's other messages, by the rule's name."""
    settings, policy, moments = bench.settings, bench.settings.policy, bench.moments
    for number, (cap, rate) in enumerate(_rates(settings)):
        if cap.is_on(channel, settings):
            counts, since = cap.counts(settings), moments.since_now(rate)
            yield f"prior_{number}", _others(who, counts, since)
            yield f"last_{number}", sa.null() if rate.by_day else _others(who, counts, since, last=True)
    if policy.fatigue is not None and settings.is_personal(channel):
        yield "unanswered", _others(who, personal(settings), answered_at(who) + 1)
        yield "recent", _others(who, personal(settings), moments.since_now(policy.fatigue.slow_to))
    if policy.mix is not None and settings.is_personal(channel):
        selling, useful = counts_of(bench.library, settings)
        yield "selling", _others(who, selling, moments.since_now(policy.mix.window))
        yield "useful", _others(who, useful, moments.since_now(policy.mix.window))


def _others(who: Who, counts: Counts, since: ColumnElement[int], *, last: bool = False) -> ColumnElement[int]:
    """How many of the customer's other messages went out since then and count; or when the last one did."""
    made = named(messages, "made")
    itself = sa.and_(
        made.c.playbook == candidates.c.playbook,
        made.c.step == candidates.c.step,
        made.c.anchor == candidates.c.anchor,
    )
    found = sa.select(sa.func.max(contact_at(made)) if last else sa.func.count()).select_from(made)
    found = found.where(went_out(made, who), contact_at(made) >= since, counts(made), sa.not_(itself))
    return found.correlate(candidates).scalar_subquery()
