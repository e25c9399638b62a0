"""What a moment of a scenario came to, read back from the tables, and why something did not happen.

In: a `Moment`. Out: `Sent` messages of the moment, the `Fate` of each reminder, and sentences for people.
Trap: a candidate that is not due has no row; when it will be is asked of the triggers themselves, in a
transaction that is rolled back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.almanac import almanac_of
from smr.due import candidates_of
from smr.events import CandidateState, MessageState, Reason
from smr.messages import FailedMessage, render
from smr.playbook.model import (
    DateOf,
    OnDate,
    OnFestival,
    Playbook,
    Purchased,
    RunsOut,
    Scheduled,
    Silent,
    Step,
)
from smr.scenarios.model import Named
from smr.scenarios.play import Moment
from smr.tables import bucket_of, candidates, messages
from smr.words import reason_in

SENT = frozenset({MessageState.SENT, MessageState.DELIVERED, MessageState.WITH_STAFF})


@dataclass(frozen=True)
class Fate:
    """What became of one reminder: its candidate's state and reason, and its message's, if there is one."""

    customer: str
    playbook: str
    step: str
    anchor: str
    due_at: datetime
    state: str
    reason: str | None
    message: Letter | None

    @property
    def blocked(self) -> str | None:
        """Why it is not sent; None where it is, or may be."""
        if self.message is not None:
            stopped = {MessageState.CANCELLED, MessageState.EXPIRED, MessageState.FAILED}
            return (self.message.reason or self.message.state) if self.message.state in stopped else None
        over = (CandidateState.BLOCKED, CandidateState.EXPIRED)
        return self.reason if self.state in over else None

    @property
    def held_out(self) -> bool:
        """Whether the customer is held out."""
        return self.state == CandidateState.HELD_OUT

    @property
    def waiting(self) -> bool:
        """Whether its message waits in the outbox."""
        return self.message is not None and self.message.state == MessageState.QUEUED


@dataclass(frozen=True)
class Letter:
    """A message as the outbox has it."""

    channel: str
    subject: str | None
    text: str
    state: str
    reason: str | None
    send_after: datetime
    sent_at: datetime | None


@dataclass(frozen=True)
class Witness:
    """A moment and everything that was decided by then."""

    moment: Moment
    fates: tuple[Fate, ...]

    @property
    def sent(self) -> list[Fate]:
        """Reminders whose messages went out at this moment."""
        return [fate for fate in self.fates if self._went_out(fate)]

    def _went_out(self, fate: Fate) -> bool:
        if fate.message is None or fate.message.state not in SENT or fate.message.sent_at is None:
            return False
        return self.moment.since < fate.message.sent_at <= self.moment.at

    def of(self, named: Named) -> list[Fate]:
        """The reminders that an expectation means."""
        return [
            fate
            for fate in self.fates
            if (fate.customer, fate.step) == (named.customer, named.step)
            and named.playbook in (None, fate.playbook)
        ]

    def truth(self, named: Named) -> list[str]:
        """What became of a reminder instead of what was expected: a sentence for each that it may be."""
        told = [self.tell(fate) for fate in self.of(named)]
        return told or [why for why in self._not_due(named) if why]

    def tell(self, fate: Fate) -> str:
        """What became of a reminder."""
        zone = self.moment.settings.shop.tz
        letter = fate.message
        if letter is not None and letter.sent_at is not None:
            when = (
                ""
                if self._went_out(fate)
                else f" on {letter.sent_at.astimezone(zone):%Y-%m-%d %H:%M} already"
            )
            return f"it was sent by {letter.channel}{when}"
        if letter is not None and letter.state == MessageState.QUEUED:
            until = letter.send_after.astimezone(zone)
            return f"it waits for {letter.channel} until quiet hours end, on {until:%Y-%m-%d %H:%M}"
        if letter is not None:
            return f"it was queued and then {letter.state}: {self._reason(letter.reason)}"
        if fate.held_out:
            share = self.moment.library.playbook(fate.playbook).holdout
            return (
                f"{fate.customer} is held out ({share:.0%} of customers, drawn by their id): "
                "give the customer another id, or expect held_out"
            )
        if fate.reason == Reason.TEMPLATE:
            return f"it was blocked: template ({self._template_error(fate)})"
        how = "it expired" if fate.state == CandidateState.EXPIRED else "it was blocked"
        return f"{how}: {self._reason(fate.reason)}"

    def _reason(self, reason: str | None) -> str:
        said = reason_in(self.moment.settings.shop.language, reason or "")
        return f"{reason} ({said})" if said != reason else said

    def _template_error(self, fate: Fate) -> str:
        """The template's own words: the rendering is tried again, and what it changes thrown away."""
        moment = self.moment
        with moment.database.trial() as connection:
            run_id = _accept_again(connection, fate)
            made = render(
                connection,
                moment.library,
                moment.settings,
                now=moment.at,
                run_id=run_id,
                low=0,
                high=4095,
                limit=1,
            )
            return next((one.detail for one in made if isinstance(one, FailedMessage)), "")

    def _not_due(self, named: Named) -> Iterator[str]:
        for playbook in self.moment.library.playbooks:
            if named.playbook not in (None, playbook.name):
                continue
            for step in playbook.steps:
                if step.name == named.step:
                    yield self._why_not_due(playbook, step, named.customer)

    def _why_not_due(self, playbook: Playbook, step: Step, customer: str) -> str:
        if step.send.base not in ("due", "anchor"):
            return f"not due: it counts from {step.send.base}, which has not been sent to {customer}"
        days = sorted(self._due(playbook, step, customer), key=lambda row: row.due_at)
        later = [row for row in days if row.due_at > clock.seconds(self.moment.at)]
        if not days:
            return f"not due: {_nothing(playbook, customer)}"
        row = later[0] if later else days[-1]
        return self._day(row, step, playbook)

    def _day(self, row: Any, step: Step, playbook: Playbook) -> str:
        due = self._local(row.due_at)
        because = ""
        if row.runs_out_at is not None:
            because = f"{row.line} runs out {self._local(row.runs_out_at)}, "
        elif isinstance(playbook.trigger, Purchased):
            because = f"order {row.order_id} was made {self._local(row.anchor_at)}, "
        if row.due_at > clock.seconds(self.moment.at):
            return f"not due: {because}{step.name} is due {due}"
        return (
            f"no longer due: {because}{step.name} was due {due}, useful until {self._local(row.expires_at)}"
        )

    def _due(self, playbook: Playbook, step: Step, customer: str) -> list[Any]:
        """When the triggers would make the step due, whatever the time is now."""
        place = (bucket_of(customer), customer)
        moment = self.moment
        bound = {"now": clock.seconds(moment.at), "run": 0}
        rows: list[Any] = []
        with moment.database.read() as connection:
            for found in candidates_of(
                playbook,
                step,
                moment.library,
                moment.settings,
                moment.at,
                customer=place,
                almanac=almanac_of(connection, moment.settings),
            ):
                part = found.select.subquery()
                columns = [
                    sa.type_coerce(part.c[name], sa.BigInteger).label(name)
                    for name in ("due_at", "expires_at", "runs_out_at", "anchor_at")
                ]
                wanted = sa.select(part.c.line, part.c.order_id, *columns)
                rows += connection.execute(wanted, {**bound, **found.bound}).all()
        return rows

    def _local(self, seconds: int) -> str:
        local = clock.moment(seconds).astimezone(self.moment.settings.shop.tz)
        return f"{local:%Y-%m-%d}" if (local.hour, local.minute) == (0, 0) else f"{local:%Y-%m-%d %H:%M}"


def witness(moment: Moment) -> Witness:
    """Everything that was decided up to a moment."""
    joined = candidates.outerjoin(
        messages,
        sa.and_(
            messages.c.bucket == candidates.c.bucket,
            messages.c.customer_id == candidates.c.customer_id,
            messages.c.playbook == candidates.c.playbook,
            messages.c.step == candidates.c.step,
            messages.c.anchor == candidates.c.anchor,
        ),
    )
    told = ("channel", "subject", "body", "send_after", "sent_at", "message_id")
    columns = [messages.c[name] for name in told]
    states = [messages.c.state.label("message_state"), messages.c.reason.label("message_reason")]
    order = (candidates.c.due_at, candidates.c.customer_id, candidates.c.playbook, candidates.c.step)
    kept = [
        candidates.c[name]
        for name in ("customer_id", "playbook", "step", "anchor", "due_at", "state", "reason")
    ]
    found = sa.select(*kept, *columns, *states).select_from(joined).order_by(*order, candidates.c.anchor)
    with moment.database.read() as connection:
        rows = connection.execute(found).all()
    return Witness(moment, tuple(_fate(row) for row in rows))


def _fate(row: Any) -> Fate:
    letter = None
    if row.message_id is not None:
        said = (row.channel, row.subject, row.body, row.message_state, row.message_reason)
        letter = Letter(*said, row.send_after, row.sent_at)
    key = (row.customer_id, row.playbook, row.step, row.anchor)
    return Fate(*key, row.due_at, row.state, row.reason, letter)


def _accept_again(connection: Connection, fate: Fate) -> int:
    mine = [candidates.c.bucket == bucket_of(fate.customer)] + [
        candidates.c[name] == value
        for name, value in (
            ("customer_id", fate.customer),
            ("playbook", fate.playbook),
            ("step", fate.step),
            ("anchor", fate.anchor),
        )
    ]
    again = sa.update(candidates).where(*mine).values(state="accepted", reason=None, queued_at=None)
    return int(connection.execute(again.returning(candidates.c.run_id)).scalar_one())


def _nothing(playbook: Playbook, customer: str) -> str:
    """Why the triggers find nothing at all of a customer."""
    match playbook.trigger:
        case RunsOut(runs_out=goods):
            lines = goods.category or goods.product
            what = ", ".join(lines) if lines else "anything"
            why = "nothing of it was bought and kept by now, or the catalog says no cycle"
            return f"{customer} has no supply of {what}: {why}"
        case Purchased():
            return f"{customer} has bought and kept nothing that starts this playbook by now"
        case Scheduled():
            return f"the schedule has no slot that is due now, or {customer} is not in the playbook's who"
        case OnDate(date=DateOf(field=field)):
            return f"{field} of {customer} is no day that makes it due now"
        case OnFestival(festival=names):
            return f"none of {', '.join(names)} is near, or {customer} is not in the playbook's who"
        case Silent():
            return f"{customer} has neither bought nor done anything yet, or not been silent for so long"
        case _:
            return f"nothing that starts this playbook has happened to {customer} by now"
