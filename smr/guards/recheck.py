"""The same guards once more, for messages about to be sent: bought, opted out, paused, quiet, capped."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.conditions import Who
from smr.conditions.contact import may_reach
from smr.database.given import PLACE, bound, buckets_of, given, matches, places, within
from smr.discretion import naming
from smr.events import Reason
from smr.guards.chain import reason_of
from smr.guards.frequency_cap import counted_for, impersonal
from smr.guards.purchases import bought_already, refunded
from smr.guards.quiet_hours import quiet_now, send_after
from smr.guards.verdict import Bench, Verdict
from smr.playbook.model import Library, RunsOut
from smr.settings import Settings
from smr.tables import candidates, messages, named

SKIPPED = frozenset({Reason.NOT_DUE, Reason.BEFORE_PUBLICATION, Reason.QUIET_HOURS})
"""Not asked again: the run decided them, or (quiet hours) the answer is to wait."""


class Written(Protocol):
    """A message: its step, its channel, and its id, which begins with three hex digits of its bucket."""

    @property
    def playbook(self) -> str:
        """The playbook's name."""

    @property
    def step(self) -> str:
        """The step's name."""

    @property
    def channel(self) -> str:
        """The channel it is to go by."""

    @property
    def message_id(self) -> str:
        """The message's id."""


class _Kept(threading.local):
    """The statements a thread asked last: a round of delivery asks the same ones, batch by batch."""

    def __init__(self) -> None:
        self.library: Library | None = None
        self.settings: Settings | None = None
        self.asked: tuple[Any, ...] = ()
        self.statements: dict[tuple[str, str, str], sa.Select[Any]] = {}

    def statement(self, dialect: str, bench: Bench, channel: str) -> sa.Select[Any]:
        """The statement of a step and channel, built once as long as nothing is different."""
        asked = (dialect, bench.now, bench.quiet_until)
        if self.library is not bench.library or self.settings is not bench.settings or self.asked != asked:
            self.library, self.settings, self.asked = bench.library, bench.settings, asked
            self.statements = {}
        key = bench.playbook.name, bench.step.name, channel
        if key not in self.statements:
            self.statements[key] = _statement(dialect, bench, channel)
        return self.statements[key]


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

    Runs in the caller's transaction, the one that writes `sending`, so that nothing comes between the
    judgement and the record.
    """
    if not written:
        return {}
    alike: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for message in written:
        alike[message.playbook, message.step, message.channel].append(message.message_id)
    quiet = quiet_now(connection, now, settings)
    known = {playbook.name: playbook for playbook in library.playbooks}
    verdicts: dict[str, Verdict] = {}
    for (name, step_name, channel), ids in alike.items():
        playbook = known.get(name)
        if playbook is None or step_name not in {step.name for step in playbook.steps}:
            verdicts |= dict.fromkeys(ids, Verdict(Reason.DELETED))
            continue
        bench = Bench(playbook, playbook.step(step_name), library, settings, now, quiet, sending=True)
        verdicts |= _judge(connection, bench, channel, ids)
    discreet = [one.message_id for one in written if settings.is_discreet(one.channel)]
    return verdicts | _named(connection, library, settings, discreet)


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


def _judge(connection: Connection, bench: Bench, channel: str, ids: Sequence[str]) -> dict[str, Verdict]:
    tomorrow = clock.end_of_day(bench.now, bench.settings.shop.tz)
    values = {"now": clock.seconds(bench.now), "run": 0, "tomorrow": clock.seconds(tomorrow)}
    values |= bound(connection, PLACE, places(ids))
    verdicts: dict[str, Verdict] = {}
    statement = _kept.statement(connection.dialect.name, bench, channel)
    for message_id, reason, changed, quiet, capped in connection.execute(statement, values):
        if reason is not None:
            verdicts[message_id] = Verdict(Reason(reason))
        elif changed:
            verdicts[message_id] = Verdict(Reason.BUNDLE_CHANGED)
        elif quiet is not None:
            verdicts[message_id] = Verdict(Reason.QUIET_HOURS, clock.moment(quiet))
        elif capped:
            verdicts[message_id] = Verdict(Reason.FREQUENCY_CAP, tomorrow)
    return verdicts


def _statement(dialect: str, bench: Bench, channel: str) -> sa.Select[Any]:
    wanted = given(dialect, PLACE)
    same = sa.and_(
        Who.of(messages).owns(candidates),
        candidates.c.playbook == messages.c.playbook,
        candidates.c.step == messages.c.step,
        candidates.c.anchor == messages.c.anchor,
    )
    who = Who.of(candidates)
    known = channel in bench.settings.channel_names
    may = may_reach(who, channel, bench.playbook.purpose, bench.settings) if known else sa.false()
    return (
        sa.select(
            messages.c.message_id,
            reason_of(candidates, bench, without=SKIPPED, may=may),
            _bundle_changed(bench),
            send_after(candidates, bench),
            _capped(who, bench.settings),
        )
        .select_from(messages.join(wanted, matches(messages, wanted, PLACE)).join(candidates, same))
        .where(within(dialect, messages))
    )


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


def _capped(who: Who, settings: Settings) -> Any:
    """Whether other personal messages that were sent already use up a cap."""
    if not settings.policy.caps:
        return sa.false()
    made = named(messages, "made")
    many = impersonal(settings)
    # Not IS NOT NULL, which would match the index of all that was ever sent: these are one customer's.
    was_sent = sa.func.coalesce(made.c.sent_at, 0) > 0
    counts = [
        sa.select(sa.func.count())
        .select_from(made)
        .where(counted_for(made, who, rate), was_sent, made.c.channel.not_in(many))
        .correlate(candidates, messages)
        .scalar_subquery()
        >= rate.count
        for rate in settings.policy.caps
    ]
    return sa.and_(messages.c.channel.not_in(many), sa.or_(*counts))
