"""Of one customer, one decision at a time: what may be sent is judged by what was sent before.

SQLite has one writer anyway. On PostgreSQL two channels may be judging messages of the same customer at once,
neither seeing what the other is about to send; so whoever has several is locked, in order, until the commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr.conditions import Who
from smr.database.given import PLACE, bound, given, matches, places, within
from smr.events import MessageState
from smr.guards.frequency_cap import caps_of
from smr.settings import Settings
from smr.tables import customers, messages, named

MAY_GO = [str(state) for state in (MessageState.QUEUED, MessageState.CLAIMED, MessageState.SENDING)]


def take_turns(connection: Connection, settings: Settings, message_ids: Sequence[str]) -> None:
    """Hold the customers of these messages who have others that may go at the same time."""
    policy = settings.policy
    counted = any(caps_of(settings)) or policy.fatigue is not None or policy.mix is not None
    if connection.dialect.name == "postgresql" and counted and message_ids:
        connection.execute(HELD, bound(connection, PLACE, places(message_ids)))


def _held(dialect: str) -> sa.Select[Any]:
    wanted = given(dialect, PLACE)
    mine, other = named(messages, "mine"), named(messages, "other")
    more = (
        sa.select(sa.func.count())
        .select_from(other)
        .where(Who.of(customers).owns(other), other.c.state.in_(MAY_GO))
        .scalar_subquery()
    )
    return (
        sa.select(customers.c.bucket)
        .select_from(
            mine.join(wanted, matches(mine, wanted, PLACE)).join(customers, Who.of(mine).owns(customers))
        )
        .where(within(dialect, mine), within(dialect, customers), more > 1)
        .order_by(customers.c.bucket, customers.c.customer_id)
        .with_for_update(of=customers)
    )


HELD = _held("postgresql")
