"""Holdout: customers who passed every guard and are not written to, so that sending can be compared with it.

Drawn from the customer's own dice and the playbook's name, so the same customer is always in or out.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.conditions import Who
from smr.playbook.model import Playbook
from smr.settings import Settings
from smr.tables import customers, named

PRIME = 2**31 - 1


def draw(dice: ColumnElement[int], playbook: str, seed: str = "") -> ColumnElement[int]:
    """A number from 0 to PRIME-1 for a customer's dice and a playbook, the same on every database."""
    digest = sha256(f"{seed}\0{playbook}".encode()).digest()
    factor = int.from_bytes(digest[:4]) % (PRIME - 1) + 1
    shift = int.from_bytes(digest[4:8]) % PRIME
    # Cast before multiplying: the dice is a 31-bit integer and the product needs 62 bits.
    return (sa.cast(dice, sa.BigInteger) * sa.literal(factor, sa.BigInteger) + shift) % PRIME


def held_out(candidate: Any, playbook: Playbook, settings: Settings) -> ColumnElement[bool] | None:
    """Whether the candidate's customer is in the playbook's holdout; None where it has none."""
    if not playbook.holdout:
        return None
    person = named(customers, "person")
    drawn = draw(person.c.dice, playbook.name, settings.holdout_seed)
    return (
        sa.select(sa.literal(1))
        .select_from(person)
        .where(Who.of(candidate).owns(person), drawn < int(playbook.holdout * PRIME))
        .exists()
    )
