"""Messages that wait with staff: a person sends them in the end, and has not said so yet.

In: which of them are to be let go of. Out: their state. Nothing here calls anybody; that staff surely will
not send a message any more is for the caller to find out first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.events import MessageState as S
from smr.outbox import sql
from smr.outbox.states import check_arrow
from smr.tables import messages


class WithStaff(NamedTuple):
    """A message that staff have not confirmed; they have it since `settled_at`."""

    channel: str
    bucket: int
    message_id: str
    customer_id: str
    playbook: str
    step: str
    anchor: str
    attempts: int
    provider_id: str | None
    settled_at: datetime
    expires_at: datetime


def with_staff(connection: Connection) -> list[WithStaff]:
    """All messages that staff have not confirmed."""
    return [WithStaff(*row) for row in connection.execute(sql.with_staff())]


def take_from_staff(
    connection: Connection, given: Sequence[WithStaff], *, state: S, reason: str, now: datetime
) -> list[WithStaff]:
    """Let go of these messages, as cancelled or expired; returns those that staff had not sent meanwhile."""
    check_arrow(S.WITH_STAFF, state)
    m, taken = messages.c, []
    values = {"state": state.value, "reason": reason, "settled_at": now, **sql.FREE}
    for one in given:
        mine = (m.bucket == one.bucket, m.message_id == one.message_id, m.state == S.WITH_STAFF.value)
        if connection.execute(sa.update(messages).where(*mine).values(values)).rowcount == 1:
            taken.append(one)
    return taken
