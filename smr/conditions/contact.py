"""Whether a channel may reach a customer: an address, and the customer's latest word on it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.conditions.purchases import NOW, Who
from smr.settings import Settings
from smr.tables import addresses, consents, named

ANY = "*"
"""Stands for every channel, or every purpose."""


def latest_word(who: Who, channel: str, purpose: str) -> ColumnElement[bool]:
    """The customer's latest decision on a channel and purpose: true, false, or NULL where there is none.

    A refusal wins over a consent of the same second.
    """
    said = named(consents, "said")
    return (
        sa.select(said.c.granted)
        .where(
            who.owns(said),
            said.c.channel.in_([channel, ANY]),
            said.c.purpose.in_([purpose, ANY]),
            said.c.decided_at <= NOW,
        )
        .order_by(said.c.decided_at.desc(), said.c.granted.asc())
        .limit(1)
        .scalar_subquery()
    )


def has_address(who: Who, channel: str, settings: Settings) -> ColumnElement[bool]:
    """Whether the customer can be reached there at all."""
    if settings.channel(channel).address == "customer_id":
        return sa.true()
    known = named(addresses, "known")
    return (
        sa.select(sa.literal(1))
        .select_from(known)
        .where(who.owns(known), known.c.channel == channel, known.c.undeliverable_since.is_(None))
        .exists()
    )


def refused(who: Who, channel: str, purpose: str) -> ColumnElement[bool]:
    """Whether the customer's latest word is a refusal."""
    return sa.func.coalesce(latest_word(who, channel, purpose) == sa.false(), sa.false())


def may_reach(
    who: Who, channel: str, purpose: str, settings: Settings, *, address: bool = True
) -> ColumnElement[bool]:
    """Whether the channel may be used for that purpose: an address, and consent as it asks for it."""
    word = latest_word(who, channel, purpose)
    assumed = settings.channel(channel).consent == "opt_out"
    allowed = sa.func.coalesce(word, sa.true() if assumed else sa.false())
    consented = allowed == sa.true()
    return sa.and_(has_address(who, channel, settings), consented) if address else consented
