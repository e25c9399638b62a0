"""What all processes know together of each channel, and what the providers told."""

from __future__ import annotations

import sqlalchemy as sa

from smr.database.columns import Key, Utc
from smr.tables.base import metadata

# A channel without a row has no trouble and was never throttled. Instants called …_until are by the
# database's clock, as leases are.
channels = sa.Table(
    "channels",
    metadata,
    sa.Column("channel", Key, nullable=False),
    sa.Column("next_us", sa.BigInteger, nullable=False, server_default="0"),  # the next message, microseconds
    sa.Column("paused_until", Utc),  # the provider asked to be left alone
    sa.Column("open_until", Utc),  # the circuit is open
    sa.Column("probe_until", Utc),  # one worker is trying whether it may be closed
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),  # calls in a row
    sa.Column("trips", sa.Integer, nullable=False, server_default="0"),  # times it opened in a row
    sa.Column("reason", sa.Text),  # of the last failure
    sa.Column("detail", sa.Text),
    sa.Column("failed_at", Utc),
    sa.Column("worked_at", Utc),
    sa.Column("poll_cursor", sa.Text, nullable=False, server_default=""),
    sa.Column("poll_after", Utc),
    sa.PrimaryKeyConstraint("channel"),
    info={"owner": "engine"},
)

# Everything a provider told, once; also of messages nobody here knows.
receipts = sa.Table(
    "receipts",
    metadata,
    sa.Column("channel", Key, nullable=False),
    sa.Column("receipt_id", Key, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("message_id", Key),
    sa.Column("provider_id", Key),
    sa.Column("happened_at", Utc, nullable=False),
    sa.Column("received_at", Utc, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),  # applied | nothing_new | unknown_message
    sa.Column("detail", sa.Text),
    sa.Column("address", Key),  # these two only while the outcome is unknown_message
    sa.Column("dead_address", sa.Boolean(create_constraint=False)),
    sa.PrimaryKeyConstraint("channel", "receipt_id"),
    info={"owner": "engine"},
)
sa.Index(
    "receipts_unmatched",
    receipts.c.received_at,
    sqlite_where=sa.text("outcome = 'unknown_message'"),
    postgresql_where=sa.text("outcome = 'unknown_message'"),
)
