"""Caps: how often a customer may be written to, and whose message it is where there is room for one.

Judged over all candidates of a customer that passed the other guards, of all playbooks together: rounds of
one playbook first, then each channel's cap, then the caps for all personal messages. Among candidates the
higher priority comes first, then the earlier due. What finds no room is judged again in the next run; where
another playbook's candidate took the place, its key stays with the loser.
A span of whole days counts calendar days of the shop, today included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr import clock
from smr.conditions import NOW, Who
from smr.events import COUNTED, Reason
from smr.notation import Rate
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import OPEN_CANDIDATES, WINNER, candidates, messages, named

LOW = sa.bindparam("low", type_=sa.Integer)
HIGH = sa.bindparam("high", type_=sa.Integer)
RUN = sa.bindparam("run", type_=sa.BigInteger)
TOMORROW = sa.bindparam("tomorrow", type_=sa.BigInteger)
"""When the shop's next day begins, in seconds."""

KEY = ("bucket", "customer_id", "playbook", "step", "anchor")


def since(rate: Rate) -> ColumnElement[int]:
    """The instant from which messages count for a rate."""
    return TOMORROW - rate.span if rate.span % clock.DAY == 0 else NOW - rate.span + 1


def counted_for(made: Any, who: Who, rate: Rate) -> ColumnElement[bool]:
    """Whether a message counts for a rate: sent to the customer in its span, or waiting to be."""
    at = sa.type_coerce(sa.func.coalesce(made.c.sent_at, made.c.send_after), sa.BigInteger)
    return sa.and_(who.owns(made), made.c.state.in_([str(state) for state in COUNTED]), at >= since(rate))


def impersonal(settings: Settings) -> list[str]:
    """Channels on which one text goes to many; they are not capped per customer."""
    return [name for name in settings.channel_names if not settings.is_personal(name)]


def arbitrations(library: Library, settings: Settings) -> Iterator[Any]:
    """The statements that give candidates without room their reason, in the order to be executed."""
    holdout = any(playbook.holdout for playbook in library.playbooks)
    for playbook in library.playbooks:
        if playbook.status == "live" and playbook.limits.per_customer is not None:
            yield _rounds(playbook.name, playbook.limits.per_customer)
    capped = False
    for name in settings.channel_names:
        cap = settings.channel(name).cap
        if cap is not None:
            capped = True
            yield _capped((cap,), lambda row, name=name: row.c.channel == name, holdout)
    if settings.policy.caps:
        many = impersonal(settings)
        yield _capped(settings.policy.caps, lambda row: row.c.channel.not_in(many), holdout)
        if capped:
            # Whoever won a channel's cap may have lost this one.
            yield _won_in_the_end()


def is_passing(row: Any) -> ColumnElement[bool]:
    """Whether a candidate of this run, in the slice, has met no objection so far."""
    return sa.and_(
        row.c.bucket.between(LOW, HIGH),
        row.c.run_id == RUN,
        row.c.state == "accepted",
        row.c.reason.is_(None),
        row.c.queued_at.is_(None),
    )


def _prior(row: Any, rate: Rate, counted: Any, holdout: bool) -> ColumnElement[int]:
    """How many messages count already. Whom a playbook holds out counts as written to by it.

    Otherwise the place of one held out would go to another playbook, and the groups would not compare.
    """
    who, made = Who.of(row), named(messages, "made")
    sent = sa.select(sa.func.count()).select_from(made).where(counted_for(made, who, rate), counted(made))
    if not holdout:
        return sent.correlate(row).scalar_subquery()
    out = named(candidates, "out")
    judged = sa.type_coerce(out.c.judged_at, sa.BigInteger)
    held = (
        sa.select(sa.func.count())
        .select_from(out)
        .where(who.owns(out), out.c.state == "held_out", counted(out), judged >= since(rate))
        .where(out.c.winner_playbook.is_(None))
    )
    return sent.correlate(row).scalar_subquery() + held.correlate(row).scalar_subquery()


def _capped(rates: tuple[Rate, ...], counted: Any, holdout: bool) -> Any:
    row = named(candidates, "row")
    order: dict[str, Any] = {
        "partition_by": [row.c.bucket, row.c.customer_id],
        "order_by": [row.c.priority.desc(), row.c.due_at, row.c.playbook, row.c.step, row.c.anchor],
    }
    priors = [_prior(row, rate, counted, holdout).label(f"prior_{n}") for n, rate in enumerate(rates)]
    ranked = (
        sa.select(
            *(row.c[name] for name in KEY),
            sa.func.row_number().over(**order).label("place"),
            *(
                sa.func.first_value(row.c[name]).over(**order).label(f"winner_{name}")
                for name in ("playbook", "step", "anchor")
            ),
            *priors,
        )
        .where(is_passing(row), counted(row))
        .subquery("ranked")
    )
    before = sa.or_(*(ranked.c[f"prior_{n}"] >= rate.count for n, rate in enumerate(rates)))
    full = sa.or_(*(ranked.c[f"prior_{n}"] + ranked.c.place > rate.count for n, rate in enumerate(rates)))
    outbid = sa.and_(sa.not_(before), ranked.c.winner_playbook != ranked.c.playbook)
    reason = sa.case((outbid, str(Reason.SUPERSEDED)), else_=str(Reason.FREQUENCY_CAP))
    winner = {name: sa.case((outbid, ranked.c[name])) for name in WINNER}
    return _give(ranked, reason, full, winner)


def full_before(row: Any, library: Library, settings: Settings) -> ColumnElement[bool] | None:
    """Whether what was sent before fills a cap for the channel of a candidate; None where none is set."""
    holdout = any(playbook.holdout for playbook in library.playbooks)
    found = []
    for name in settings.channel_names:
        cap = settings.channel(name).cap
        if cap is not None:
            prior = _prior(row, cap, lambda one, name=name: one.c.channel == name, holdout)
            found.append(sa.and_(row.c.channel == name, prior >= cap.count))
    many = impersonal(settings)
    for rate in settings.policy.caps:
        prior = _prior(row, rate, lambda one: one.c.channel.not_in(many), holdout)
        found.append(sa.and_(row.c.channel.not_in(many), prior >= rate.count))
    return sa.or_(*found) if found else None


def _rounds(playbook: str, rate: Rate) -> Any:
    """A round is all steps of one anchor; the steps of a round under way are not counted again."""
    row = named(candidates, "row")
    who = Who.of(row)
    place = sa.func.dense_rank().over(
        partition_by=[row.c.bucket, row.c.customer_id], order_by=[row.c.anchor_at, row.c.anchor]
    )
    made = named(messages, "made")
    prior = (
        sa.select(sa.func.count(made.c.anchor.distinct()))
        .where(counted_for(made, who, rate), made.c.playbook == playbook)
        .correlate(row)
        .scalar_subquery()
    )
    ranked = (
        sa.select(*(row.c[name] for name in KEY), place.label("place"), prior.label("prior"))
        .where(is_passing(row), row.c.playbook == playbook, sa.not_(under_way(row)))
        .subquery("ranked")
    )
    return _give(ranked, sa.literal(str(Reason.FREQUENCY_CAP)), ranked.c.prior + ranked.c.place > rate.count)


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
) -> Any:
    same = sa.and_(*(candidates.c[name] == ranked.c[name] for name in KEY))
    return sa.update(candidates).values({"reason": reason, **winner}).where(same, full)


def _won_in_the_end() -> Any:
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
