"""What an operator does by hand: cancel what waits, send again what failed.

In: messages by id, or by playbook or state. Out: how many were moved. Messages that have gone out, or
are going out at this moment, are left alone. `actor` is kept as the message's owner, `reason` as its
reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from smr.database import Database
from smr.database.each import update_each
from smr.events import MessageState, Reason
from smr.outbox import sql
from smr.outbox.rescue import slices
from smr.outbox.states import AGAIN, STOPPABLE, check_arrow
from smr.tables import messages


def cancel(
    database: Database,
    *where: sa.ColumnElement[bool],
    actor: str,
    now: datetime,
    reason: Reason = Reason.OPERATOR,
) -> int:
    """Cancel the waiting messages of which all of `where` holds; returns how many."""
    same = {
        "state": MessageState.CANCELLED,
        "reason": reason.value,
        "owner": actor,
        "settled_at": now,
        **sql.FREE,
    }
    return _move(database, where, STOPPABLE, same)


def retry(
    database: Database,
    *where: sa.ColumnElement[bool],
    actor: str,
    now: datetime,
    states: Sequence[MessageState] = AGAIN,
) -> int:
    """Queue again what is failed, unknown or cancelled and still useful; returns how many.

    Trap: an unknown message may have gone out; sent again, it may arrive twice.
    """
    useful = messages.c.expires_at > sa.bindparam("useful_at", now, type_=messages.c.expires_at.type)
    same = {
        "state": MessageState.QUEUED,
        "reason": Reason.OPERATOR.value,
        "owner": actor,
        "send_after": now,
        "settled_at": None,
        **sql.FREE,
    }
    return _move(database, (*where, useful), states, same)


def _move(
    database: Database,
    where: Sequence[sa.ColumnElement[bool]],
    sources: Sequence[MessageState],
    same: Mapping[str, Any],
) -> int:
    for source in sources:
        check_arrow(source, same["state"])
    conditions = (messages.c.state.in_(sources), *where)
    moved = 0
    for buckets in slices(database, conditions, {}):
        with database.write() as connection:
            rows = connection.execute(sql.lock_where(buckets, *conditions, wait=True)).all()
            keys = [{"bucket": row.bucket, "message_id": row.message_id} for row in rows]
            moved += update_each(connection, messages, keys, key=sql.KEY, same=same)
    return moved
