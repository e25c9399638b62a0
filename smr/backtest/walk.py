"""The pipeline walked over days: each day what became known comes in, a run decides, and what it accepted is
sent.

    facts of the day → supplies, segments, due, guards, limits (the pipeline's own) → taken as sent

In: a `Past`, a library, the settings, the moments. Out: rows in `reminders`, `closings` and `candidates` of
the past's database; a `Day` for each day.
The judgement right before sending is the guards' own, too. Texts are not rendered: a template that would
fail for a customer is not noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock, guards, outbox, pipeline
from smr.backtest.chosen import parts_of
from smr.backtest.past import Past
from smr.backtest.tables import closings, reminders, standing
from smr.conditions import Who
from smr.conditions.model import Messaged
from smr.database import Database, insert_missing
from smr.due import with_chance
from smr.events import CandidateState, MessageState
from smr.playbook.model import Library
from smr.report import RunReport
from smr.settings import Settings
from smr.tables import OPEN, candidates, changed_customers, messages, supplies
from smr.tables.outbox import QUEUED, SENT

IDS_AT_ONCE = 2_000
OWNER = "walk"
"""Whose messages were sent by the walk, and not before it."""
NOW = sa.bindparam("now", type_=sa.BigInteger)
RUN = sa.bindparam("run", type_=sa.BigInteger)

Told = Callable[[int, int | None, str | None], None]


@dataclass(frozen=True)
class Days:
    """The days to walk, in the shop's zone, and the time of day at which a run takes place."""

    first: date
    last: date
    at: time

    def __len__(self) -> int:
        return (self.last - self.first).days + 1

    def moments(self, settings: Settings) -> list[datetime]:
        """When each day's run takes place, in UTC."""
        zone = settings.shop.tz
        days = [self.first + timedelta(days=number) for number in range(len(self))]
        return [datetime.combine(day, self.at, tzinfo=zone).astimezone(UTC) for day in days]


@dataclass(frozen=True)
class Day:
    """What a day's run decided, and how many messages went out after it, or since the run before."""

    at: datetime
    report: RunReport
    sent: int


@dataclass
class Sender:
    """Takes messages as sent when their time has come, after the guards judged them once more.

    What goes out in the very instant of its run is not judged twice on the same facts: only where a rule
    reads what was sent can the messages of one run change each other's verdicts.
    """

    library: Library
    settings: Settings
    within: int
    sent: int = field(default=0, init=False)
    decided: int = field(default=-1, init=False)
    reads_messages: bool = field(init=False)

    def __post_init__(self) -> None:
        self.reads_messages = any(isinstance(part, Messaged) for part in parts_of(self.library.playbooks))

    def queue(self, connection: Connection, now: int, run_id: int) -> None:
        """Put what a run accepted into the outbox, without its text."""
        bound = {"now": now, "run": run_id}
        connection.execute(_PUT, bound)
        self.decided = now
        span = {"now": now, "run_id": run_id, "low": 0, "high": 4095}
        guards.queued(connection, self.library.playbooks, self.settings, **span)

    def send_until(self, database: Database, now: int) -> None:
        """Send what waits until `now`, each at its own time."""
        while True:
            with database.read() as connection:
                at = connection.execute(_NEXT, {"now": now}).scalar_one()
            if at is None:
                return
            with database.write() as connection:
                self._send_at(connection, at)

    def _send_at(self, connection: Connection, at: int) -> None:
        channels = list(connection.execute(_CHANNELS, {"now": at}))
        for channel, priority in channels:
            bound = {"now": at, "channel": channel, "priority": priority}
            waiting = list(connection.execute(_WAITING, bound))
            for first in range(0, len(waiting), IDS_AT_ONCE):
                self._send_batch(connection, at, waiting[first : first + IDS_AT_ONCE])

    def _send_batch(self, connection: Connection, at: int, waiting: list[Any]) -> None:
        now = clock.moment(at)
        verdicts: dict[str, guards.Verdict] = {}
        if self.reads_messages or at != self.decided:
            verdicts = guards.recheck(connection, self.library, self.settings, now=now, written=waiting)
        going, stopped = [], []
        for row in waiting:
            verdict = verdicts.get(row.message_id)
            key = {"key_bucket": row.bucket, "key_id": row.message_id}
            if verdict is None and row.expires_at > at:
                going.append({**key, "now": at})
                continue
            state, reason, later = outbox.fate(verdict, clock.moment(row.expires_at), now)
            until = row.send_after if later is None else clock.seconds(later)
            stopped.append({**key, "new_state": str(state), "new_reason": str(reason), "until": until})
        if going:
            connection.execute(_SENT, going)
        if stopped:
            connection.execute(_STOPPED, stopped)
        self.sent += len(going)


def walk(
    past: Past,
    library: Library,
    settings: Settings,
    moments: Sequence[datetime],
    *,
    within: int,
    first_run: int = 1,
    allow_blast: bool = False,
    told: Told = lambda _done, _total, _what: None,
) -> Iterator[Day]:
    """A run at each moment, one a day; each day is given when it is over. Within `within` days is a hit.

    `first_run` is the number of the first run: greater than any that the tables know already.
    """
    database = past.database
    sender = Sender(library, settings, within)
    before = clock.seconds(moments[0])
    for number, moment in enumerate(moments, start=first_run):
        now = clock.seconds(moment)
        told(number - first_run, len(moments), f"{clock.local_day(moment, settings.shop.tz)}")
        sender.sent = 0
        # What waited for the end of quiet hours went out before this day's run, knowing what was known then.
        _advance(past, sender, before, now, number)
        with database.write() as connection:
            connection.execute(_STANDING)
        report = pipeline.decide(
            database, library, settings, now=moment, run_id=number, allow_blast=allow_blast
        )
        with database.write() as connection:
            connection.execute(_CLOSED, {"now": now})
            connection.execute(sa.delete(standing))
            sender.queue(connection, now, number)
        sender.send_until(database, now)
        _note_sent(database, settings, within, before)
        yield Day(moment, report, sender.sent)
        before = now
    told(len(moments), len(moments), None)


def _advance(past: Past, sender: Sender, before: int, now: int, number: int) -> None:
    """Let the facts up to now in, stopping at each time at which messages are to go out."""
    since = before
    while True:
        with past.database.read() as connection:
            at = connection.execute(_NEXT, {"now": now - 1}).scalar_one()
        until = now if at is None else max(at, since)
        with past.database.write() as connection:
            past.advance(connection, since=since, until=until, number=number)
        if at is None:
            return
        sender.send_until(past.database, until)
        since = until


def _note_sent(database: Database, settings: Settings, within: int, since: int) -> None:
    """Keep what has been sent, with the day and until when a purchase is a hit."""
    with database.write() as connection:
        connection.execute(_REMINDED, {"since": since})
        new = connection.execute(sa.select(_SENT_AT).where(reminders.c.day.is_(None)).distinct())
        zone = settings.shop.tz
        rows = []
        for (at,) in new:
            day = clock.local_day(clock.moment(at), zone)
            last = clock.day_start(day + timedelta(days=within + 1), zone)
            rows.append({"key_at": at, "day_sent": day.isoformat(), "until": clock.seconds(last) - 1})
        if rows:
            connection.execute(_DATED, rows)


_SENT_AT = sa.type_coerce(reminders.c.sent_at, sa.BigInteger)
_WAITS = sa.and_(QUEUED, messages.c.send_after <= NOW)
_NEXT = sa.select(sa.func.min(sa.type_coerce(messages.c.send_after, sa.BigInteger))).where(_WAITS)
_CHANNELS = (
    sa.select(messages.c.channel, messages.c.priority)
    .where(_WAITS)
    .distinct()
    .order_by(messages.c.channel, messages.c.priority.desc())
)
_WAITING = (
    sa.select(
        messages.c.bucket,
        messages.c.customer_id,
        messages.c.message_id,
        messages.c.playbook,
        messages.c.step,
        messages.c.anchor,
        messages.c.channel,
        sa.type_coerce(messages.c.send_after, sa.BigInteger).label("send_after"),
        sa.type_coerce(messages.c.expires_at, sa.BigInteger).label("expires_at"),
    )
    .where(
        _WAITS,
        messages.c.channel == sa.bindparam("channel"),
        messages.c.priority == sa.bindparam("priority"),
    )
    .order_by(messages.c.bucket, messages.c.due_at, messages.c.message_id)
)
_KEY = sa.and_(
    messages.c.bucket == sa.bindparam("key_bucket"), messages.c.message_id == sa.bindparam("key_id")
)
_SENT = (
    sa.update(messages)
    .where(_KEY)
    .values(state=str(MessageState.SENT), sent_at=NOW, settled_at=NOW, owner=OWNER)
)
_STOPPED = (
    sa.update(messages)
    .where(_KEY)
    .values(
        state=sa.bindparam("new_state"),
        reason=sa.bindparam("new_reason"),
        send_after=sa.bindparam("until"),
    )
)
_DATED = (
    sa.update(reminders)
    .where(reminders.c.sent_at == sa.bindparam("key_at", type_=sa.BigInteger), reminders.c.day.is_(None))
    .values(day=sa.bindparam("day_sent"), until_at=sa.bindparam("until", type_=sa.BigInteger))
)


def _put() -> Any:
    """What a run accepted, as messages without text.

    The id begins with the bucket in three hexadecimal digits, as everywhere; the rest is the reminder's key.
    """
    made = candidates
    bucket = sa.func.printf("%03x", made.c.bucket)
    key = (made.c.customer_id, made.c.playbook, made.c.step, made.c.anchor)
    message_id: Any = bucket
    for part in key:
        message_id = message_id + "/" + part
    values: dict[str, Any] = {
        "bucket": made.c.bucket,
        "customer_id": made.c.customer_id,
        "playbook": made.c.playbook,
        "step": made.c.step,
        "anchor": made.c.anchor,
        "message_id": message_id,
        "channel": made.c.channel,
        "address": sa.literal("", sa.Text),
        "purpose": sa.literal("", sa.Text),
        "body": sa.literal("", sa.Text),
        "priority": made.c.priority,
        "due_at": made.c.due_at,
        "send_after": sa.func.coalesce(sa.type_coerce(made.c.send_after, sa.BigInteger), NOW),
        "expires_at": made.c.expires_at,
        "state": sa.literal(str(MessageState.QUEUED), sa.Text),
        "run_id": made.c.run_id,
        "version": sa.literal("", sa.Text),
        "queued_at": NOW,
    }
    accepted = sa.and_(
        OPEN,
        made.c.run_id == RUN,
        made.c.state == str(CandidateState.ACCEPTED),
    )
    select = sa.select(*values.values()).where(accepted)
    return insert_missing("sqlite", messages, columns=list(values), select=select)


def _standing() -> Any:
    """The supplies of those whose facts changed, as they are before the run looks at the change."""
    mark = changed_customers
    owner = (mark.c.bucket, mark.c.customer_id)
    marked = sa.select(*owner).distinct().subquery("marked")
    columns = ["bucket", "customer_id", "kind", "line", "order_id", "opened_at", "runs_out_at"]
    select = sa.select(
        supplies.c.bucket,
        supplies.c.customer_id,
        supplies.c.kind,
        supplies.c.line,
        supplies.c.order_id,
        supplies.c.last_purchased_at,
        supplies.c.runs_out_at,
    ).select_from(marked.join(supplies, Who.of(marked).owns(supplies)))
    return insert_missing("sqlite", standing, columns=columns, select=select)


def _closed() -> Any:
    """Supplies whose line was bought again since they were noted as standing."""
    line = sa.and_(standing.c.kind == supplies.c.kind, standing.c.line == supplies.c.line)
    names = [column.name for column in standing.columns]
    select = (
        sa.select(*standing.c, supplies.c.last_purchased_at)
        .select_from(standing.join(supplies, sa.and_(Who.of(standing).owns(supplies), line)))
        .where(supplies.c.last_purchased_at > standing.c.opened_at)
    )
    return insert_missing("sqlite", closings, columns=[*names, "closed_at"], select=select)


def _reminded() -> Any:
    """What was sent and is not noted yet, with what the supply then told."""
    made, found, supply = messages, candidates, supplies
    same = sa.and_(
        Who.of(made).owns(found),
        *(found.c[name] == made.c[name] for name in ("playbook", "step", "anchor")),
    )
    of_line = sa.and_(
        Who.of(found).owns(supply),
        supply.c.kind == found.c.kind,
        supply.c.line == found.c.line,
        supply.c.order_id == found.c.order_id,
    )
    values: dict[str, Any] = {
        **{name: made.c[name] for name in ("bucket", "customer_id", "playbook", "step", "anchor", "channel")},
        **{
            name: found.c[name] for name in ("kind", "line", "order_id", "anchor_at", "runs_out_at", "due_at")
        },
        "sent_at": made.c.sent_at,
        "rank": sa.cast(supply.c.purchases, sa.Double),
    }
    source, values["chance"] = with_chance(
        made.join(found, same).outerjoin(supply, of_line), supply, made.c.sent_at
    )
    select = (
        sa.select(*values.values())
        .select_from(source)
        .where(SENT, made.c.sent_at >= sa.bindparam("since", type_=sa.BigInteger), made.c.owner == OWNER)
    )
    return insert_missing("sqlite", reminders, columns=list(values), select=select)


_PUT = _put()
_STANDING = _standing()
_CLOSED = _closed()
_REMINDED = _reminded()
