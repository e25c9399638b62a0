"""Messages and the attempts to send them. The unique key of a message is its reminder."""

from __future__ import annotations

import sqlalchemy as sa

from smr.database.columns import Json, Key, Utc
from smr.tables.base import customer_owned

messages = customer_owned(
    "messages",
    sa.Column("playbook", Key, nullable=False),
    sa.Column("step", Key, nullable=False),
    sa.Column("anchor", Key, nullable=False),
    sa.Column("message_id", Key, nullable=False),  # 3 hex digits of bucket, then a hash of the key
    sa.Column("channel", Key, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("purpose", Key, nullable=False),
    sa.Column("subject", sa.Text),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("html", sa.Text),
    sa.Column("attachments", Json),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("due_at", Utc, nullable=False),
    sa.Column("send_after", Utc, nullable=False),
    sa.Column("expires_at", Utc, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("run_id", sa.BigInteger, nullable=False),
    sa.Column("version", sa.Text, nullable=False),  # of the playbook that made it
    sa.Column("queued_at", Utc, nullable=False),
    sa.Column("owner", sa.Text),
    sa.Column("token", sa.Text),
    sa.Column("lease_until", Utc),  # by the database's clock
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("sent_at", Utc),
    sa.Column("settled_at", Utc),
    sa.Column("provider_id", sa.Text),
    key=("playbook", "step", "anchor"),
    clustered=False,
)
sa.Index("messages_id", messages.c.bucket, messages.c.message_id, unique=True)
QUEUED = sa.text("state = 'queued'")
sa.Index(
    "messages_queued",
    messages.c.channel,
    messages.c.priority,
    messages.c.due_at,
    messages.c.send_after,
    messages.c.expires_at,
    messages.c.bucket,
    sqlite_where=QUEUED,
    postgresql_where=QUEUED,
)
HELD = sa.text("state IN ('claimed', 'sending')")
sa.Index("messages_held", messages.c.lease_until, sqlite_where=HELD, postgresql_where=HELD)
UNKNOWN = sa.text("state = 'unknown'")
sa.Index(
    "messages_unknown", messages.c.channel, messages.c.bucket, sqlite_where=UNKNOWN, postgresql_where=UNKNOWN
)
SENT = sa.text("sent_at IS NOT NULL")
sa.Index("messages_sent", messages.c.sent_at, sqlite_where=SENT, postgresql_where=SENT)
WITH_STAFF = sa.text("state = 'with_staff'")
sa.Index(
    "messages_with_staff",
    messages.c.channel,
    messages.c.settled_at,
    sqlite_where=WITH_STAFF,
    postgresql_where=WITH_STAFF,
)
PROVIDER = sa.text("provider_id IS NOT NULL")
sa.Index("messages_provider", messages.c.provider_id, sqlite_where=PROVIDER, postgresql_where=PROVIDER)

deliveries = customer_owned(
    "deliveries",
    sa.Column("message_id", Key, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("channel", Key, nullable=False),
    sa.Column("started_at", Utc, nullable=False),
    sa.Column("finished_at", Utc),
    sa.Column("result", sa.Text, nullable=False),  # sending | sent | refused | put_off | unknown
    sa.Column("reason", sa.Text),
    sa.Column("provider_id", sa.Text),
    key=("message_id", "attempt"),
)
