"""Whether a channel may reach a customer: an address, and the customer's latest word on it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.conditions.purchases import NOW, Who
from smr.database.unindexed import unindexed
from smr.settings import Settings
from smr.tables import addresses, consents, named

ANY = "*"
"""Stands for every channel, or every purpose."""


def latest_word(who: Who, channel: str, purpose: str) -> ColumnElement[int]:
    """The customer's latest decision on a channel and purpose: an even number for a consent, an odd one for a
    refusal, NULL where there is none. All that a customer said is read at once, which is little.

    Twice the instant, and one more for a refusal: the greatest is the latest, and a refusal wins its second.
    """
    said = named(consents, "said")
    decided = sa.type_coerce(said.c.decided_at, sa.BigInteger)
    word = decided * 2 + sa.case((said.c.granted == sa.true(), 0), else_=1)
    return (
        sa.select(sa.func.max(word))
        .where(
            who.owns(said),
            unindexed(said.c.channel).in_([channel, ANY]),
            unindexed(said.c.purpose).in_([purpose, ANY]),
            said.c.decided_at <= NOW,
        )
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
    return sa.func.coalesce(latest_word(who, channel, purpose) % 2, 0) == 1


def may_reach(
    who: Who, channel: str, purpose: str, settings: Settings, *, address: bool = True
) -> ColumnElement[bool]:
    """Whether the channel may be used for that purpose: an address, and consent as it asks for it."""
    without_a_word = 0 if settings.channel(channel).consent == "opt_out" else 1
    consented = sa.func.coalesce(latest_word(who, channel, purpose) % 2, without_a_word) == 0
    return sa.and_(has_address(who, channel, settings), consented) if address else consented
