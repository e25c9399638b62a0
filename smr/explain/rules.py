"""The contact policy as it stands for one customer: each rule, and how much of it is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr import clock
from smr.conditions import Who
from smr.events import Reason
from smr.guards.contacts import Moments, contact_at, is_contact, personal, went_out
from smr.guards.content_mix import beyond, counts_of
from smr.guards.fatigue import answered_at
from smr.guards.frequency_cap import Counts, caps_of
from smr.guards.people import refunded_until
from smr.notation import span_text
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import messages, named


@dataclass(frozen=True)
class RuleView:
    """A rule for one channel, or (None) for all personal messages, and the customer's own figures.

    `full`: it holds back what is due now. `selling`: it is asked of selling messages alone.
    """

    reason: Reason
    channel: str | None
    figures: Mapping[str, object]
    full: bool
    selling: bool = False

    def holds(self, channel: str, settings: Settings, *, selling: bool) -> bool:
        """Whether it holds back such a message on that channel."""
        here = channel == self.channel if self.channel is not None else settings.is_personal(channel)
        return self.full and here and (selling or not self.selling)


@dataclass(frozen=True)
class Asked:
    """What the policy is asked with: whom, and when what is decided now could be sent."""

    connection: Connection
    library: Library
    settings: Settings
    customer: tuple[int, str]
    at: datetime
    bound: Mapping[str, Any]

    @property
    def who(self) -> Who:
        """The customer, in SQL."""
        bucket, customer_id = self.customer
        return Who(sa.literal(bucket), sa.literal(customer_id))

    @property
    def moments(self) -> Moments:
        """From when contacts count."""
        return Moments.of(self.settings, self.at)

    def rules(self) -> Iterator[RuleView]:
        """The rules of the shop, in the order in which they are judged."""
        yield from self._caps()
        yield from self._fatigue()
        yield from self._mix()

    def _caps(self) -> Iterator[RuleView]:
        for cap in caps_of(self.settings):
            for rate in cap.rates:
                since, counts = self.moments.since_now(rate), cap.counts(self.settings)
                used = self._number(self._contacts(counts, since))
                figures: dict[str, object] = {"used": used, "rate": str(rate)}
                if cap.reason is Reason.TOO_SOON:
                    figures = {"gap": span_text(rate.span), **self._last(counts, rate.span)}
                yield RuleView(cap.reason, cap.channel, figures, used >= rate.count)

    def _last(self, counts: Counts, span: int) -> dict[str, object]:
        """When the last contact was, and from when on the gap is over."""
        made = named(messages, "made")
        last = self._number(sa.func.coalesce(self._contacts(counts, sa.literal(0), what=contact_at(made)), 0))
        if not last:
            return {"last_at": None, "free_at": None}
        zone, at = self.settings.shop.tz, clock.moment(last)
        day = clock.local_day(at, zone) + timedelta(seconds=span)
        free = clock.day_start(day, zone) if span % clock.DAY == 0 else at + timedelta(seconds=span)
        return {"last_at": at, "free_at": free}

    def _fatigue(self) -> Iterator[RuleView]:
        fatigue = self.settings.policy.fatigue
        if fatigue is None:
            return
        counts = personal(self.settings)
        unanswered = self._number(self._contacts(counts, answered_at(self.who) + 1))
        recent = self._number(self._contacts(counts, self.moments.since_now(fatigue.slow_to)))
        figures = {
            "unanswered": unanswered,
            "after": fatigue.after,
            "used": recent,
            "rate": str(fatigue.slow_to),
        }
        tired = unanswered >= fatigue.after
        yield RuleView(Reason.FATIGUE, None, figures, tired and recent >= fatigue.slow_to.count)

    def _mix(self) -> Iterator[RuleView]:
        mix = self.settings.policy.mix
        if mix is None:
            return
        selling, useful = counts_of(self.library, self.settings)
        since = self.moments.since_now(mix.window)
        sold = self._number(self._contacts(selling, since))
        helped = self._number(self._contacts(useful, since, of=went_out))
        figures = {
            "selling": sold,
            "all": sold + helped,
            "share": f"{mix.selling_at_most:.0%}",
            "within": span_text(mix.within),
        }
        full = bool(beyond(mix, sold + 1, helped))
        yield RuleView(Reason.CONTENT_MIX, None, figures, full, selling=True)

    def refunded_until(self) -> datetime | None:
        """Until when the customer is left in peace after a refund; None where that is over."""
        until = self._number(sa.func.coalesce(refunded_until(self.who, self.settings), 0))
        return clock.moment(until) if until > self.bound["now"] else None

    def _contacts(
        self, counts: Counts, since: ColumnElement[int], *, what: Any = None, of: Any = is_contact
    ) -> ColumnElement[int]:
        """How many contacts count since then, or the latest of what is asked of them."""
        made = named(messages, "made")
        found = sa.select(sa.func.count() if what is None else sa.func.max(what)).select_from(made)
        found = found.where(of(made, self.who), contact_at(made) >= since, counts(made))
        return found.scalar_subquery()

    def _number(self, asked: ColumnElement[Any]) -> int:
        return int(self.connection.execute(sa.select(asked), dict(self.bound)).scalar_one())
