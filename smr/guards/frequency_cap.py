"""Caps and gaps: how often a customer may be written to, and whose message it is where there is room for one.

Judged over all candidates of a customer that passed the other guards, of all playbooks together: rounds of
one playbook first, then each channel's gap and caps, at last those for all personal messages.
Among candidates the higher priority comes first, then the earlier due. What finds no room is judged again in
the next run. A gap is a cap of one message in a span.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.conditions import Who
from smr.events import COUNTED, Reason
from smr.guards.contacts import Moments, contact_at, is_contact, personal
from smr.notation import Rate
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import OPEN_CANDIDATES, WINNER, candidates, messages, named

LOW = sa.bindparam("low", type_=sa.Integer)
HIGH = sa.bindparam("high", type_=sa.Integer)
RUN = sa.bindparam("run", type_=sa.BigInteger)

Counts = Callable[[Any], ColumnElement[bool]]
"""Whether a message, or a candidate, counts."""

KEY = ("bucket", "customer_id", "playbook", "step", "anchor")


@dataclass(frozen=True)
class Cap:
    """At most so many contacts: on one channel, or (None) of all personal ones together."""

    channel: str | None
    rates: tuple[Rate, ...]
    reason: Reason

    def counts(self, settings: Settings) -> Counts:
        """Whether a message or a candidate is one of those that the cap counts."""
        if self.channel is None:
            return personal(settings)
        return lambda row: row.c.channel == self.channel

    def is_on(self, channel: str, settings: Settings) -> bool:
        """The same, of a message on that channel."""
        return channel == self.channel if self.channel is not None else settings.is_personal(channel)


def caps_of(settings: Settings) -> Iterator[Cap]:
    """All caps of a shop, in the order in which they are judged."""
    for name in settings.channel_names:
        channel = settings.channel(name)
        yield from _caps(name, channel.gap, channel.cap)
    yield from _caps(None, settings.policy.gap, settings.policy.caps)


def _caps(channel: str | None, gap: int | None, caps: tuple[Rate, ...]) -> Iterator[Cap]:
    if gap is not None:
        yield Cap(channel, (Rate(1, gap),), Reason.TOO_SOON)
    if caps:
        yield Cap(channel, caps, Reason.FREQUENCY_CAP)


def is_passing(row: Any) -> ColumnElement[bool]:
    """Whether a candidate of this run passed all guards so far."""
    return sa.and_(
        row.c.bucket.between(LOW, HIGH),
        row.c.run_id == RUN,
        row.c.state == "accepted",
        row.c.reason.is_(None),
        row.c.queued_at.is_(None),
    )


def prior(
    row: Any, counts: Counts, since: ColumnElement[int], holdout: bool, *, sent: Any = is_contact
) -> ColumnElement[int]:
    """How many messages count already. Whom a playbook holds out counts as written to by it.

    Otherwise the place of one held out would go to another playbook, and the groups would not compare.
    """
    who, made = Who.of(row), named(messages, "made")
    before = sa.select(sa.func.count()).select_from(made)
    before = before.where(sent(made, who), contact_at(made) >= since, counts(made))
    if not holdout:
        return before.correlate(row).scalar_subquery()
    out = named(candidates, "out")
    judged = sa.type_coerce(out.c.judged_at, sa.BigInteger)
    held = (
        sa.select(sa.func.count())
        .select_from(out)
        .where(who.owns(out), out.c.state == "held_out", counts(out), judged >= since)
        .where(out.c.winner_playbook.is_(None))
    )
    return before.correlate(row).scalar_subquery() + held.correlate(row).scalar_subquery()


def in_turn(row: Any, *which: ColumnElement[bool], **asked: ColumnElement[Any]) -> Any:
    """The candidates that passed so far, each with its place among those of its customer, the one that has
    the first place (`winner_…`), and what else is asked.
    """
    order: dict[str, Any] = {
        "partition_by": [row.c.bucket, row.c.customer_id],
        "order_by": [row.c.priority.desc(), row.c.due_at, row.c.playbook, row.c.step, row.c.anchor],
    }
    return (
        sa.select(
            *(row.c[name] for name in KEY),
            sa.func.row_number().over(**order).label("place"),
            *(
                sa.func.first_value(row.c[name.removeprefix("winner_")]).over(**order).label(name)
                for name in WINNER
            ),
            *(one.label(name) for name, one in asked.items()),
        )
        .where(is_passing(row), *which)
        .subquery("ranked")
    )


def give(ranked: Any, reason: Reason, *, before: ColumnElement[bool], full: ColumnElement[bool]) -> sa.Update:
    """Give the candidates for which there is no room their reason: `before` any of this run took a place, or
    since another playbook's did.
    """
    outbid = sa.and_(sa.not_(before), ranked.c.winner_playbook != ranked.c.playbook)
    winner = {name: sa.case((outbid, ranked.c[name])) for name in WINNER}
    return _give(ranked, sa.case((outbid, str(Reason.SUPERSEDED)), else_=str(reason)), full, winner)


def rounds(library: Library, moments: Moments) -> Iterator[sa.Update]:
    """The statements that hold back rounds beyond a playbook's own limit."""
    for playbook in library.playbooks:
        if playbook.status == "live" and playbook.limits.per_customer is not None:
            yield _rounds(playbook.name, playbook.limits.per_customer, moments)


def capped(
    library: Library, settings: Settings, moments: Moments, *, by_channel: bool
) -> Iterator[sa.Update]:
    """The statements that hold back what finds no room: on its channel, or among all personal messages."""
    for cap in caps_of(settings):
        if (cap.channel is not None) == by_channel:
            yield _capped(cap, settings, moments, has_holdout(library))


def has_holdout(library: Library) -> bool:
    """Whether any playbook holds customers out."""
    return any(playbook.holdout for playbook in library.playbooks)


def _capped(cap: Cap, settings: Settings, moments: Moments, holdout: bool) -> sa.Update:
    row = named(candidates, "row")
    counts = cap.counts(settings)
    priors = {
        f"prior_{n}": prior(row, counts, moments.since(rate, row), holdout)
        for n, rate in enumerate(cap.rates)
    }
    ranked = in_turn(row, counts(row), **priors)
    counted = [(ranked.c[f"prior_{n}"], rate.count) for n, rate in enumerate(cap.rates)]
    before = sa.or_(*(taken >= most for taken, most in counted))
    full = sa.or_(*(taken + ranked.c.place > most for taken, most in counted))
    return give(ranked, cap.reason, before=before, full=full)


def full_before(
    row: Any, library: Library, settings: Settings, moments: Moments
) -> ColumnElement[bool] | None:
    """Whether what was sent before fills a cap for the channel of a candidate, whenever it could be sent.

    None where no cap is set.
    """
    holdout = has_holdout(library)
    found = [
        sa.and_(
            cap.counts(settings)(row),
            prior(row, cap.counts(settings), moments.since_at_latest(rate), holdout) >= rate.count,
        )
        for cap in caps_of(settings)
        for rate in cap.rates
    ]
    return sa.or_(*found) if found else None


def _rounds(playbook: str, rate: Rate, moments: Moments) -> sa.Update:
    """A round is all steps of one anchor; the steps of a round under way are not counted again."""
    row = named(candidates, "row")
    place = sa.func.dense_rank().over(
        partition_by=[row.c.bucket, row.c.customer_id], order_by=[row.c.anchor_at, row.c.anchor]
    )
    begun_before = begun(row, playbook, moments.since(rate, row))
    ranked = (
        sa.select(*(row.c[name] for name in KEY), place.label("place"), begun_before.label("before"))
        .where(is_passing(row), row.c.playbook == playbook, sa.not_(under_way(row)))
        .subquery("ranked")
    )
    return _give(ranked, sa.literal(str(Reason.FREQUENCY_CAP)), ranked.c.before + ranked.c.place > rate.count)


def begun(row: Any, playbook: str, since: ColumnElement[int]) -> ColumnElement[int]:
    """How many rounds of a playbook the customer was written to about since then."""
    made = named(messages, "made")
    return (
        sa.select(sa.func.count(made.c.anchor.distinct()))
        .where(is_contact(made, Who.of(row)), contact_at(made) >= since, made.c.playbook == playbook)
        .correlate(row)
        .scalar_subquery()
    )


def under_way(row: Any) -> ColumnElement[bool]:
    """Whether a candidate's round has begun: a step of it was sent, or named in a message, or waits to be."""
    who, begun, beside = Who.of(row), named(messages, "begun"), named(candidates, "beside")
    same = [begun.c.playbook == row.c.playbook, begun.c.anchor == row.c.anchor]
    counts = begun.c.state.in_([str(state) for state in COUNTED])
    sent = sa.select(sa.literal(1)).where(who.owns(begun), *same, counts).correlate(row).exists()
    theirs = [beside.c.playbook == row.c.playbook, beside.c.anchor == row.c.anchor]
    was_named = [beside.c.reason == str(Reason.BUNDLED), beside.c.queued_at.is_not(None)]
    bundled = sa.select(sa.literal(1)).where(who.owns(beside), *theirs, *was_named).correlate(row).exists()
    return sa.or_(sent, bundled)


def _give(
    ranked: Any, reason: ColumnElement[Any], full: ColumnElement[bool], winner: Mapping[str, Any] = {}
) -> sa.Update:
    same = sa.and_(*(candidates.c[name] == ranked.c[name] for name in KEY))
    return sa.update(candidates).values({"reason": reason, **winner}).where(same, full)


def won_in_the_end() -> sa.Update:
    """The winner of a loser's winner is the loser's winner."""
    won = named(candidates, "won")
    theirs = sa.and_(
        Who.of(candidates).owns(won),
        *(candidates.c[name] == won.c[name.removeprefix("winner_")] for name in WINNER),
    )
    lost = [row.c.reason == str(Reason.SUPERSEDED) for row in (candidates, won)]
    return (
        sa.update(candidates)
        .values({name: won.c[name] for name in WINNER})
        .where(
            OPEN_CANDIDATES, candidates.c.bucket.between(LOW, HIGH), candidates.c.run_id == RUN, *lost, theirs
        )
        .where(won.c.run_id == RUN)
    )
