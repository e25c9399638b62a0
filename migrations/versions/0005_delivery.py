"""What delivery needs: the state of channels, receipts, the order of the queue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Utc = sa.BigInteger

INDEXES = {
    "messages_queued": (
        ["channel", "priority", "due_at", "send_after", "expires_at", "bucket"],
        "state = 'queued'",
    ),
    "messages_with_staff": (["channel", "settled_at"], "state = 'with_staff'"),
    "messages_provider": (["provider_id"], "provider_id IS NOT NULL"),
}


def upgrade() -> None:
    """Add the tables and the indexes."""
    op.create_table(
        "channels",
        sa.Column("channel", Key, nullable=False),
        sa.Column("next_us", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("paused_until", Utc),
        sa.Column("open_until", Utc),
        sa.Column("probe_until", Utc),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("trips", sa.Integer, nullable=False, server_default="0"),
        sa.Column("reason", sa.Text),
        sa.Column("detail", sa.Text),
        sa.Column("failed_at", Utc),
        sa.Column("worked_at", Utc),
        sa.Column("poll_cursor", sa.Text, nullable=False, server_default=""),
        sa.Column("poll_after", Utc),
        sa.PrimaryKeyConstraint("channel", name=op.f("channels_pk")),
    )
    op.create_table(
        "receipts",
        sa.Column("channel", Key, nullable=False),
        sa.Column("receipt_id", Key, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("message_id", Key),
        sa.Column("provider_id", Key),
        sa.Column("happened_at", Utc, nullable=False),
        sa.Column("received_at", Utc, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("detail", sa.Text),
        sa.PrimaryKeyConstraint("channel", "receipt_id", name=op.f("receipts_pk")),
    )
    _index("receipts_unmatched", "receipts", ["received_at"], "outcome = 'unknown_message'")
    op.drop_index("messages_queued", "messages")
    for name, (columns, where) in INDEXES.items():
        _index(name, "messages", columns, where)


def downgrade() -> None:
    """Take them away again."""
    for name in INDEXES:
        op.drop_index(name, "messages")
    _index("messages_queued", "messages", ["channel", "send_after", "bucket"], "state = 'queued'")
    op.drop_table("receipts")
    op.drop_table("channels")


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    predicate = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=predicate, postgresql_where=predicate)
