"""Of one customer, one decision at a time: what may be sent is judged by what was sent before.

SQLite has one writer anyway. On PostgreSQL two channels may be judging messages of the same customer at once,
neither seeing what the other is about to send; so whoever has several is locked, in order, until the commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy import Connection

from smr.conditions import Who
from smr.database.given import Columns, bound, bucket_in, given, matches, within
from smr.events import MessageState
from smr.guards.frequency_cap import caps_of
from smr.settings import Settings
from smr.tables import customers, messages, named

MAY_GO = [str(state) for state in (MessageState.QUEUED, MessageState.CLAIMED, MessageState.SENDING)]
OWNER: Columns = {"bucket": sa.SmallInteger(), "customer_id": sa.Text()}


class Owned(Protocol):
    """A message: whose it is, and its id, which begins with three hex digits of its bucket."""

    @property
    def customer_id(self) -> str:
        """Whose it is."""

    @property
    def message_id(self) -> str:
        """The message's id."""


def take_turns(connection: Connection, settings: Settings, written: Sequence[Owned]) -> None:
    """Hold the customers of these messages who have others that may go at the same time."""
    policy = settings.policy
    counted = any(caps_of(settings)) or policy.fatigue is not None or policy.mix is not None
    if connection.dialect.name == "postgresql" and counted and written:
        owners = {(bucket_in(one.message_id), one.customer_id) for one in written}
        connection.execute(HELD, bound(connection, OWNER, sorted(owners)))


def _held(dialect: str) -> sa.Select[Any]:
    wanted = given(dialect, OWNER)
    their = named(messages, "their")
    several = (
        sa.select(their.c.bucket, their.c.customer_id)
        .select_from(their.join(wanted, matches(their, wanted, OWNER)))
        .where(within(dialect, their), their.c.state.in_(MAY_GO))
        .group_by(their.c.bucket, their.c.customer_id)
        .having(sa.func.count() > 1)
        .subquery("several")
    )
    return (
        sa.select(customers.c.bucket)
        .select_from(customers.join(several, Who.of(several).owns(customers)))
        .where(within(dialect, customers), within(dialect, several))
        .order_by(customers.c.bucket, customers.c.customer_id)
        .with_for_update(of=customers)
    )


HELD = _held("postgresql")
