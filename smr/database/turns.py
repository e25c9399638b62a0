"""Who goes first: facts that are being stored, or messages that are about to be sent.

A message is judged and recorded as being sent in one transaction, and a purchase or an opt-out is stored in
another. On SQLite one of them comes first. On PostgreSQL both could read the state before the other; so
whoever stores facts keeps all recording of sendings waiting for the end of the transaction, and the other way
round. What is stored before a `sending` is seen by its judgement; what is stored after it finds it in flight.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

TURN = 0x736D72_FAC7
"""The advisory lock; the same for all shops of a server, which costs a moment and nothing else."""


def store_facts(connection: Connection) -> None:
    """Call first in a transaction that stores what guards ask about."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(TURN)))


def record_sending(connection: Connection) -> None:
    """Call first in a transaction that judges messages and records that they are being sent.

    All it asks for is found by keys that it hands in; a server that guesses at how many there are would
    rather read whole tables.
    """
    if connection.dialect.name == "postgresql":
        by_key = sa.func.set_config("enable_seqscan", "off", True)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(TURN), by_key))
