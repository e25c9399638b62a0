"""Letting go of old texts.

A message's row stays, for it is the key under which a reminder is sent only once, and a contact that
caps count. Its text, address and attachments are no longer needed, and are the customer's business.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from smr.database import Database
from smr.database.each import update_each
from smr.events import MessageState
from smr.outbox import sql
from smr.outbox.rescue import slices
from smr.tables import messages

ENDED = (
    MessageState.SENT,
    MessageState.DELIVERED,
    MessageState.UNDELIVERED,
    MessageState.CANCELLED,
    MessageState.EXPIRED,
    MessageState.FAILED,
)


def prune(database: Database, *, before: datetime) -> int:
    """Empty the texts and addresses of messages that ended before an instant; returns how many."""
    emptied = {"subject": None, "body": "", "html": None, "attachments": sa.null(), "address": ""}
    old = (
        messages.c.state.in_(ENDED),
        messages.c.settled_at < sa.bindparam("before", before, type_=messages.c.settled_at.type),
        messages.c.body != "",
    )
    pruned = 0
    for buckets in slices(database, old, {}):
        with database.write() as connection:
            rows = connection.execute(sql.lock_where(buckets, *old)).all()
            keys = [{"bucket": row.bucket, "message_id": row.message_id} for row in rows]
            pruned += update_each(connection, messages, keys, key=sql.KEY, same=emptied)
    return pruned
