"""The same guards once more, for messages about to be sent: bought, opted out, paused, quiet, capped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.conditions import Who
from smr.conditions.contact import may_reach
from smr.database.pairs import are, buckets_of, pairs, within
from smr.events import Reason
from smr.guards.chain import CONTACT, reason_of
from smr.guards.frequency_cap import counted_for, impersonal
from smr.guards.quiet_hours import quiet_now, send_after
from smr.guards.verdict import Bench, Verdict
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import candidates, messages, named

SKIPPED = frozenset({Reason.NOT_DUE, Reason.BEFORE_PUBLICATION, Reason.QUIET_HOURS})
"""Not asked again: the run decided them, or (quiet hours) the answer is to wait."""


def recheck(
    connection: Connection, library: Library, settings: Settings, *, now: datetime, message_ids: Sequence[str]
) -> dict[str, Verdict]:
    """Which of these messages must not be sent now, and why. A verdict with `until` means: wait until then.

    Message ids begin with three hexadecimal digits of their bucket. Runs in the caller's transaction, the
    one that writes `sending`, so that nothing comes between the judgement and the record.
    """
    if not message_ids:
        return {}
    steps = _by_step(connection, message_ids)
    quiet = quiet_now(connection, now, settings)
    known = {playbook.name: playbook for playbook in library.playbooks}
    verdicts: dict[str, Verdict] = {}
    for (name, step_name), ids in steps.items():
        playbook = known.get(name)
        if playbook is None or step_name not in {step.name for step in playbook.steps}:
            verdicts |= dict.fromkeys(ids, Verdict(Reason.DELETED))
            continue
        bench = Bench(playbook, playbook.step(step_name), library, settings, now, quiet)
        verdicts |= _judge(connection, bench, ids)
    return verdicts


def _by_step(connection: Connection, message_ids: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    buckets = buckets_of(message_ids)
    wanted = pairs(connection.dialect.name, buckets, message_ids)
    rows = connection.execute(
        sa.select(messages.c.playbook, messages.c.step, messages.c.message_id)
        .join_from(messages, wanted, are(messages, wanted))
        .where(within(messages, buckets))
    )
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for playbook, step, message_id in rows:
        found[playbook, step].append(message_id)
    return found


def _judge(connection: Connection, bench: Bench, ids: Sequence[str]) -> dict[str, Verdict]:
    tomorrow = clock.end_of_day(bench.now, bench.settings.shop.tz)
    bound = {"now": clock.seconds(bench.now), "run": 0, "tomorrow": clock.seconds(tomorrow)}
    verdicts: dict[str, Verdict] = {}
    for message_id, reason, may, quiet, capped in connection.execute(
        _statement(connection.dialect.name, bench, ids), bound
    ):
        if reason is not None and (reason not in CONTACT or not may):
            verdicts[message_id] = Verdict(Reason(reason))
        elif not may:
            verdicts[message_id] = Verdict(Reason.OPTED_OUT)
        elif quiet is not None:
            verdicts[message_id] = Verdict(Reason.QUIET_HOURS, clock.moment(quiet))
        elif capped:
            verdicts[message_id] = Verdict(Reason.FREQUENCY_CAP, tomorrow)
    return verdicts


def _statement(dialect: str, bench: Bench, ids: Sequence[str]) -> sa.Select[Any]:
    buckets = buckets_of(ids)
    wanted = pairs(dialect, buckets, ids)
    same = sa.and_(
        Who.of(messages).owns(candidates),
        candidates.c.playbook == messages.c.playbook,
        candidates.c.step == messages.c.step,
        candidates.c.anchor == messages.c.anchor,
    )
    who = Who.of(candidates)
    may = sa.case(
        *(
            (messages.c.channel == channel, may_reach(who, channel, bench.playbook.purpose, bench.settings))
            for channel in bench.settings.channel_names
        ),
        else_=sa.false(),
    )
    return (
        sa.select(
            messages.c.message_id,
            reason_of(candidates, bench, without=SKIPPED),
            may,
            send_after(candidates, bench),
            _capped(who, bench.settings),
        )
        .select_from(messages.join(wanted, are(messages, wanted)).join(candidates, same))
        .where(within(messages, buckets))
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
