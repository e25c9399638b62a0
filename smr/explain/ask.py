"""Asking the rules about one customer: the same SELECTs and guards as a run, without its window.

Works on the customer's bucket in a transaction that is rolled back, after bringing supplies, segments and
stages there up to `now`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr import clock, due, guards, segments
from smr.almanac import almanac_of, next_anniversary, read_lunar
from smr.conditions import Who
from smr.conditions.purchases import kept
from smr.database import Database
from smr.due.customer_rhythm import Rhythm
from smr.due.triggers import allows, cron_times
from smr.due.window import Today
from smr.errors import OperatorError, did_you_mean
from smr.events import Reason
from smr.explain.because import Because, because
from smr.explain.leaves import Leaf, leaves
from smr.explain.rules import Asked, RuleView
from smr.guards import contact, quiet_hours, stock
from smr.guards.frequency_cap import begun, under_way
from smr.guards.handing_over import goes_to_a_person
from smr.guards.holdout import held_out
from smr.playbook.model import Library, OnDate, OnFestival, Playbook, Purchased, RunsOut, Scheduled, Step
from smr.publication import live_since, publish
from smr.settings import Settings
from smr.tables import (
    WINNER,
    bucket_of,
    candidates,
    changed_customers,
    customers,
    members,
    messages,
    named,
    products,
    purchases,
    stages,
    supplies,
    tags,
)

FAR = 400
"""Days within which the next slot or festival is looked for."""
SECOND = timedelta(seconds=1)
RUN = 2**62
"""A run number that no run has; everything happens in a transaction that is rolled back."""


@dataclass(frozen=True)
class SupplyView:
    """A supply as people read it."""

    kind: str
    line: str
    last_purchased_at: datetime
    product: str
    quantity: float
    purchases: int
    unit_lasts: int
    basis: str
    runs_out_at: datetime
    rhythm: Rhythm | None = None


@dataclass(frozen=True)
class StepView:
    """One step for one anchor (or for none, where the trigger has not fired).

    `blocks` are the reasons that hold now, the first of which decides; `passed` those that do not.
    """

    playbook: str
    title: str
    status: str
    step: str
    send: str
    anchor: str | None = None
    anchor_at: datetime | None = None
    line: str | None = None
    order_id: str | None = None
    runs_out_at: datetime | None = None
    due_at: datetime | None = None
    expires_at: datetime | None = None
    is_due: bool = False
    blocks: tuple[Reason, ...] = ()
    because: Because | None = None
    passed: tuple[Reason, ...] = ()
    held_out: bool = False
    channel: str | None = None
    waits_until: datetime | None = None
    message: Mapping[str, Any] | None = None
    last_verdict: Mapping[str, Any] | None = None
    next_at: datetime | None = None
    offer: str | None = None
    rounds: Mapping[str, object] | None = None
    """How many rounds the customer has had, where the playbook's own limit leaves no room for this one."""


@dataclass(frozen=True)
class PlaybookView:
    """One playbook for the customer."""

    name: str
    title: str
    status: str
    who: tuple[Leaf, ...]
    when: Mapping[str, tuple[Leaf, ...]]
    steps: tuple[StepView, ...]


@dataclass(frozen=True)
class Explanation:
    """Everything there is to say about one customer at one instant."""

    customer_id: str
    name: str | None
    now: datetime
    orders: int
    segments: tuple[str, ...]
    stages: Mapping[str, str]
    tags: tuple[str, ...]
    supplies: tuple[SupplyView, ...]
    rules: tuple[RuleView, ...]
    playbooks: tuple[PlaybookView, ...]
    refunded_until: datetime | None = None
    next_at: datetime | None = field(default=None)


def _send(playbook: Playbook, step: Step) -> str:
    """When a step is due, as an operator writes it."""
    bought = isinstance(playbook.trigger, Purchased | RunsOut)
    return str(replace(step.send, base="purchase") if bought and step.send.base == "anchor" else step.send)


def explain(
    database: Database,
    library: Library,
    settings: Settings,
    customer_id: str,
    *,
    now: datetime,
    only: frozenset[str] | None = None,
) -> Explanation:
    """Why this customer is, or is not, written to. Raises OperatorError where there is no such customer."""
    with database.trial() as connection:
        asking = _Asking(connection, library, settings, now, (bucket_of(customer_id), customer_id))
        asking.prepare()
        views = tuple(
            asking.playbook(playbook)
            for playbook in library.playbooks
            if only is None or playbook.name in only
        )
        return asking.explanation(views)


@dataclass
class _Asking:
    """One explanation being put together."""

    connection: Connection
    library: Library
    settings: Settings
    now: datetime
    customer: tuple[int, str]

    @property
    def today(self) -> Today:
        return Today(self.now, self.settings.shop.tz)

    @property
    def bound(self) -> dict[str, Any]:
        bucket, _ = self.customer
        return {
            "now": clock.seconds(self.now),
            "run": RUN,
            "low": bucket,
            "high": bucket,
        }

    def prepare(self) -> None:
        """Bring what is derived up to now, for the customer's bucket."""
        bucket, customer_id = self.customer
        self._person()
        publish(self.connection, self.library, now=self.now)
        due.publish_catalog(self.connection, self.library.catalog)
        due.publish_substitutes(self.connection, self.library.catalog)
        mark = {"bucket": bucket, "customer_id": customer_id, "import_id": 0}
        gone = sa.delete(changed_customers).where(_of(changed_customers, self.customer))
        self.connection.execute(gone)
        self.connection.execute(sa.insert(changed_customers), [mark])
        span = {"now": clock.seconds(self.now), "low": bucket, "high": bucket}
        offset = clock.standard_offset(self.settings.shop.tz)
        due.refresh(self.connection, self.library, run_id=RUN, offset=offset, **span)
        segments.refresh(self.connection, self.library, self.settings, **span, tell=True)
        self.quiet = guards.quiet_now(self.connection, self.now, self.settings)
        self.almanac = almanac_of(self.connection, self.settings)
        self.since = live_since(self.connection)
        self.rules = tuple(self._policy().rules())

    def _person(self) -> Any:
        row = self.connection.execute(sa.select(customers).where(_of(customers, self.customer))).one_or_none()
        if row is None:
            known = self.connection.execute(
                sa.select(customers.c.customer_id)
                .where(customers.c.customer_id.like(f"{self.customer[1][:2]}%"))
                .limit(50)
            )
            hint = (
                did_you_mean(self.customer[1], list(known.scalars())) or "import customers or purchases first"
            )
            raise OperatorError(f"there is no customer {self.customer[1]!r}; {hint}")
        return row

    def playbook(self, playbook: Playbook) -> PlaybookView:
        """Everything about one playbook."""
        when = {step.name: self._leaves(step.when) for step in playbook.steps if step.when is not None}
        steps = tuple(view for step in playbook.steps for view in self._steps(playbook, step))
        return PlaybookView(
            playbook.name, playbook.shown, playbook.status, self._leaves(playbook.who), when, steps
        )

    def _leaves(self, condition: Any) -> tuple[Leaf, ...]:
        if condition is None:
            return ()
        return tuple(leaves(self.connection, condition, self.customer, self.settings, self.bound))

    def _steps(self, playbook: Playbook, step: Step) -> Iterator[StepView]:
        views = []
        for found in due.candidates_of(
            playbook,
            step,
            self.library,
            self.settings,
            self.now,
            customer=self.customer,
            almanac=self.almanac,
        ):
            candidate = found.select.subquery("candidate")
            views += self._judged(playbook, step, candidate, {**self.bound, **found.bound})
        views.sort(key=lambda view: view.due_at or self.now)
        yield from views[-3:] or [self._idle(playbook, step)]

    def _idle(self, playbook: Playbook, step: Step) -> StepView:
        next_at = self._next_time(playbook, step)
        return StepView(
            playbook.name, playbook.shown, playbook.status, step.name, _send(playbook, step), next_at=next_at
        )

    def _judged(
        self, playbook: Playbook, step: Step, candidate: Any, bound: dict[str, Any]
    ) -> list[StepView]:
        bench = guards.Bench(
            playbook, step, self.library, self.settings, self.now, self.quiet, self.since.get(playbook.name)
        )
        found = candidate
        columns = (*found.c, stock.offered(found, bench).label("offer_id"))
        candidate = sa.select(*columns).subquery("judged")
        asked = {
            guard.reason: blocks
            for guard in guards.GUARDS
            if guard.reason is not Reason.NOT_DUE and (blocks := guard.blocks(candidate, bench)) is not None
        }
        handed = goes_to_a_person(candidate, playbook, self.settings)
        if handed is not None:
            asked[Reason.HANDED_OVER] = handed
        out = held_out(candidate, playbook, self.settings)
        limit = playbook.limits.per_customer
        had: ColumnElement[int] = sa.literal(0)
        is_new: ColumnElement[bool] = sa.false()
        if limit is not None:
            had = begun(candidate, playbook.name, self._policy().moments.since_now(limit))
            is_new = sa.not_(under_way(candidate))
        question = sa.select(
            *(
                candidate.c[name]
                for name in (
                    *("anchor", "anchor_at", "line", "order_id", "product_id", "offer_id"),
                    *("runs_out_at", "due_at", "expires_at"),
                )
            ),
            contact.channel_of(candidate, bench).label("channel"),
            quiet_hours.send_after(candidate, bench).label("waits_until"),
            (sa.false() if out is None else out).label("held_out"),
            had.label("rounds"),
            is_new.label("is_new_round"),
            *(blocks.label(f"blocks_{reason}") for reason, blocks in asked.items()),
        )
        views = []
        for row in self.connection.execute(question, bound):
            holding = tuple(reason for reason in asked if getattr(row, f"blocks_{reason}"))
            views.append(
                self._view(playbook, step, row, holding, tuple(r for r in asked if r not in holding))
            )
        return views

    def _view(
        self, playbook: Playbook, step: Step, row: Any, blocks: tuple[Reason, ...], passed: tuple[Reason, ...]
    ) -> StepView:
        due_at = _moment(row.due_at)
        reach = self.today.reach(step.send)
        key = (playbook.name, step.name, row.anchor)
        message = self._message(key)
        is_ahead = due_at is not None and clock.seconds(due_at) > reach
        rounds = None
        if not is_ahead and message is None:
            limit = playbook.limits.per_customer
            if limit is not None and row.is_new_round and row.rounds >= limit.count:
                rounds = {"used": row.rounds, "rate": str(limit)}
            held, free = self._held(playbook, step, row.channel, full=rounds is not None)
            blocks, passed = blocks + held, passed + free
        return StepView(
            playbook.name,
            playbook.shown,
            playbook.status,
            step.name,
            _send(playbook, step),
            row.anchor,
            _moment(row.anchor_at),
            row.line,
            row.order_id,
            _moment(row.runs_out_at),
            due_at,
            _moment(row.expires_at),
            is_due=due_at is not None and not is_ahead,
            blocks=blocks,
            because=self._because(playbook, step, blocks),
            passed=passed,
            held_out=bool(row.held_out),
            channel=row.channel,
            waits_until=_moment(row.waits_until),
            message=message,
            last_verdict=self._last_verdict(key),
            offer=row.offer_id,
            rounds=rounds,
            next_at=due_at if is_ahead and message is None else self._next_time(playbook, step),
        )

    def _because(self, playbook: Playbook, step: Step, blocks: tuple[Reason, ...]) -> Because | None:
        """The fact behind the reason that decides."""
        if not blocks:
            return None
        return because(self.connection, blocks[0], playbook, step, self.settings, self.customer, self.now)

    def _held(
        self, playbook: Playbook, step: Step, channel: str, *, full: bool
    ) -> tuple[tuple[Reason, ...], tuple[Reason, ...]]:
        """The rules of the contact policy that hold back what is due on a channel, and those that do not.

        `full`: the playbook's own limit does.
        """
        selling = playbook.content_of(step) == "selling"
        held = [Reason.FREQUENCY_CAP] if full else []
        held += [rule.reason for rule in self.rules if rule.holds(channel, self.settings, selling=selling)]
        free = [rule.reason for rule in self.rules if rule.reason not in held]
        return tuple(dict.fromkeys(held)), tuple(dict.fromkeys(free))

    def _message(self, key: tuple[str, str, str]) -> Mapping[str, Any] | None:
        columns = (
            messages.c.message_id,
            messages.c.state,
            messages.c.reason,
            messages.c.channel,
            messages.c.queued_at,
        )
        question = sa.select(*columns, messages.c.send_after, messages.c.sent_at, messages.c.body)
        return self._row(question.where(self._key(messages, key)))

    def _last_verdict(self, key: tuple[str, str, str]) -> Mapping[str, Any] | None:
        """What a run said of it last; with the message of the candidate that it gave way to, if to any."""
        won = named(messages, "won")
        theirs = sa.and_(
            Who.of(candidates).owns(won),
            *(candidates.c[name] == won.c[name.removeprefix("winner_")] for name in WINNER),
        )
        names = ("state", "reason", "detail", "judged_at", "queued_at", *WINNER)
        question = sa.select(
            *(candidates.c[name] for name in names),
            won.c.message_id.label("winner_message"),
            won.c.state.label("winner_state"),
        ).select_from(candidates.outerjoin(won, theirs))
        return self._row(question.where(self._key(candidates, key)))

    def _row(self, question: sa.Select[Any]) -> Mapping[str, Any] | None:
        row = self.connection.execute(question).mappings().one_or_none()
        return None if row is None else dict(row)

    def _key(self, table: sa.Table, key: tuple[str, str, str]) -> sa.ColumnElement[bool]:
        playbook, step, anchor = key
        return sa.and_(
            _of(table, self.customer),
            table.c.playbook == playbook,
            table.c.step == step,
            table.c.anchor == anchor,
        )

    def _next_time(self, playbook: Playbook, step: Step) -> datetime | None:
        """When a schedule or a date comes round next for this step."""
        if step.send.base not in ("due", "anchor"):
            return None
        if isinstance(playbook.trigger, Scheduled):
            return self._next_slot(playbook.trigger, timedelta(seconds=step.send.offset))
        if isinstance(playbook.trigger, OnDate):
            return self._next_birthday(playbook, step)
        if isinstance(playbook.trigger, OnFestival):
            return self._next_festival(playbook.trigger.festival, step)
        return None

    def _next_slot(self, trigger: Scheduled, offset: timedelta) -> datetime | None:
        zone, cron = self.settings.shop.tz, cron_times(trigger.schedule)
        following = cron.next_after(self.now - offset, zone)
        for _ in range(FAR):
            if following is None:
                return None
            day = clock.local_day(following, zone)
            if allows(trigger.schedule, day, self.almanac):
                return following + offset
            following = cron.next_after(clock.day_start(day + timedelta(days=1), zone) - SECOND, zone)
        return None

    def _next_festival(self, names: tuple[str, ...], step: Step) -> datetime | None:
        today = self._today_for(step)
        ahead = (today + timedelta(days=days) for days in range(1, FAR))
        return self._begins(next((day for day in ahead if self.almanac.falls(names, day)), None), step)

    def _today_for(self, step: Step) -> date:
        """The day that a step is about, were it due today."""
        return clock.local_day(self.now - timedelta(seconds=step.send.offset), self.settings.shop.tz)

    def _begins(self, day: date | None, step: Step) -> datetime | None:
        if day is None:
            return None
        return clock.day_start(day, self.settings.shop.tz) + timedelta(seconds=step.send.offset)

    def _next_birthday(self, playbook: Playbook, step: Step) -> datetime | None:
        trigger = playbook.trigger
        assert isinstance(trigger, OnDate)  # noqa: S101
        if trigger.date.field != "birthday":
            return None
        person, today = self._person(), self._today_for(step)
        if person.lunar_birthday and trigger.date.calendar != "solar":
            kept = read_lunar(person.lunar_birthday).month_day
            return self._begins(next_anniversary(kept, today), step)
        if not person.birthday or trigger.date.calendar == "lunar":
            return None
        days = (_in_year(date.fromisoformat(person.birthday), today.year + more) for more in (0, 1))
        return self._begins(next((day for day in days if day > today), None), step)

    def explanation(self, views: tuple[PlaybookView, ...]) -> Explanation:
        """All of it together."""
        person = self._person()
        ahead = [
            view.next_at for book in views for view in book.steps if view.next_at and book.status == "live"
        ]
        return Explanation(
            customer_id=self.customer[1],
            name=person.name,
            now=self.now,
            orders=self._orders(),
            segments=self._names(members, members.c.segment),
            stages=self._stages(),
            tags=self._tags(),
            supplies=self._supplies(),
            rules=self.rules,
            refunded_until=self._policy().refunded_until(),
            playbooks=views,
            next_at=min((at for at in ahead if at > self.now), default=None),
        )

    def _orders(self) -> int:
        """As the condition `orders` counts them: known by now, and something of each was kept."""
        bought = sa.select(sa.func.count(purchases.c.order_id.distinct()))
        counted = bought.where(_of(purchases, self.customer), kept(purchases))
        return int(self.connection.execute(counted, self.bound).scalar_one())

    def _names(self, table: sa.Table, column: sa.Column[Any]) -> tuple[str, ...]:
        found = sa.select(column).where(_of(table, self.customer), table.c.left_at.is_(None)).order_by(column)
        return tuple(self.connection.execute(found).scalars())

    def _stages(self) -> dict[str, str]:
        found = sa.select(stages.c.ladder, stages.c.stage).where(
            _of(stages, self.customer), stages.c.left_at.is_(None)
        )
        return {row.ladder: row.stage for row in self.connection.execute(found)}

    def _tags(self) -> tuple[str, ...]:
        open_until = sa.or_(tags.c.expires_at.is_(None), tags.c.expires_at > self.now)
        found = (
            sa.select(tags.c.tag)
            .distinct()
            .where(_of(tags, self.customer), tags.c.set_at <= self.now, open_until)
        )
        return tuple(self.connection.execute(found.order_by(tags.c.tag)).scalars())

    def _supplies(self) -> tuple[SupplyView, ...]:
        names = (
            "kind",
            "line",
            "last_purchased_at",
            "quantity",
            "purchases",
            "unit_lasts",
            "basis",
            "runs_out_at",
        )
        question = (
            sa.select(
                *(supplies.c[name] for name in names),
                sa.func.coalesce(products.c.name, supplies.c.product_id).label("product"),
            )
            .select_from(supplies.outerjoin(products, products.c.product_id == supplies.c.product_id))
            .where(_of(supplies, self.customer))
            .order_by(supplies.c.runs_out_at.desc())
        )
        told = due.rhythms_of_customer(
            self.connection,
            self.library,
            self.customer,
            now=clock.seconds(self.now),
            offset=clock.standard_offset(self.settings.shop.tz),
        )
        rows = self.connection.execute(question).mappings().all()
        return tuple(SupplyView(**row, rhythm=told.get((row["kind"], row["line"]))) for row in rows)

    def _policy(self) -> Asked:
        """The contact policy, as of when the customer can be written to: now, or when quiet hours end."""
        zone = self._person().zone
        ends = [end for end, zones in self.quiet.items() if zone in zones]
        at = clock.moment(ends[0]) if ends else self.now
        return Asked(self.connection, self.library, self.settings, self.customer, at, self.bound)


def _of(table: sa.Table, customer: tuple[int, str]) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.bucket == customer[0], table.c.customer_id == customer[1])


def _moment(value: Any) -> datetime | None:
    return clock.moment(value) if isinstance(value, int) else value


def _in_year(born: date, year: int) -> date:
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 2, 28)
