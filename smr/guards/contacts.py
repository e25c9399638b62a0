"""Contacts: the messages that count for how often a customer is written to.

A contact is a message that has reached the customer, may have, or still will. Of whole days, weeks and months
the shop's calendar counts, with the day in question; of other spans the seconds before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr import clock
from smr.conditions import NOW, Who
from smr.events import COUNTED, MessageState
from smr.notation import Rate
from smr.settings import Settings

WAITING = (MessageState.QUEUED, MessageState.CLAIMED)
"""States of messages that have not gone out, and can still be stopped."""
IN_HAND = (MessageState.SENDING, MessageState.WITH_STAFF)
"""States of messages that a channel, or the staff, may be sending at this moment."""


@dataclass(frozen=True)
class Moments:
    """When what is decided now can be sent: now, or at one of the `ends` (seconds) of quiet hours.

    `zone` is the shop's, by whose calendar days are counted.
    """

    now: datetime
    zone: ZoneInfo
    ends: tuple[int, ...] = ()

    @classmethod
    def of(cls, settings: Settings, now: datetime, ends: Iterable[int] = ()) -> Moments:
        """The moments of a shop."""
        return cls(now, settings.shop.tz, tuple(sorted(ends)))

    def since(self, rate: Rate, row: Any) -> ColumnElement[int]:
        """From when contacts count for a rate, as seen from the time at which a candidate can be sent."""
        begin = self._begin(rate, clock.seconds(self.now))
        waits = {end: self._begin(rate, end) for end in self.ends}
        at = sa.type_coerce(row.c.send_after, sa.BigInteger)
        whens = [(at == end, sa.literal(one, sa.BigInteger)) for end, one in waits.items() if one != begin]
        otherwise: ColumnElement[int] = sa.literal(begin, sa.BigInteger)
        return sa.case(*whens, else_=otherwise) if whens else otherwise

    def since_now(self, rate: Rate) -> ColumnElement[int]:
        """The same, as seen from now."""
        return sa.literal(self._begin(rate, clock.seconds(self.now)), sa.BigInteger)

    def since_at_latest(self, rate: Rate) -> ColumnElement[int]:
        """The latest of them: what counts from then counts for every candidate."""
        times = (clock.seconds(self.now), *self.ends)
        return sa.literal(max(self._begin(rate, at) for at in times), sa.BigInteger)

    def _begin(self, rate: Rate, at: int) -> int:
        return clock.seconds(rate.since(clock.moment(at), self.zone))


def contact_at(made: Any) -> ColumnElement[int]:
    """When a message reached the customer, or will: of what others have in hand, now."""
    went = sa.func.coalesce(made.c.sent_at, made.c.settled_at, made.c.send_after)
    in_hand = made.c.state.in_(_names(IN_HAND))
    return sa.case((in_hand, NOW), else_=sa.type_coerce(went, sa.BigInteger))


def is_contact(made: Any, who: Who) -> ColumnElement[bool]:
    """Whether a message is a contact of the customer."""
    return sa.and_(who.owns(made), made.c.state.in_(_names(COUNTED)))


def went_out(made: Any, who: Who) -> ColumnElement[bool]:
    """Whether a message of the customer went out, may have, or is just going."""
    gone = [state for state in COUNTED if state not in WAITING]
    return sa.and_(who.owns(made), made.c.state.in_(_names(gone)))


def personal(settings: Settings) -> Callable[[Any], ColumnElement[bool]]:
    """Whether a message, or a candidate, is for one customer alone, and not one text that goes to many."""
    many = [name for name in settings.channel_names if not settings.is_personal(name)]
    return lambda row: row.c.channel.not_in(many)


def _names(states: Sequence[MessageState]) -> list[str]:
    return [str(state) for state in states]
