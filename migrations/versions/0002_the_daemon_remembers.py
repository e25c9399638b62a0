"""Tables of the daemon (firings, daemons, incidents, tallies); unknown messages are found by an index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Json = sa.JSON().with_variant(JSONB(), "postgresql")
Utc = sa.BigInteger
Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "firings",
        sa.Column("duty", Key, nullable=False),
        sa.Column("slot_at", Utc, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("lease_until", Utc, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("started_at", Utc, nullable=False),
        sa.Column("finished_at", Utc),
        sa.Column("detail", sa.Text),
        sa.PrimaryKeyConstraint("duty", "slot_at", name="firings_pk"),
    )
    op.create_table(
        "daemons",
        sa.Column("owner", Key, nullable=False),
        sa.Column("started_at", Utc, nullable=False),
        sa.Column("seen_at", Utc, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("faults", Json),
        sa.PrimaryKeyConstraint("owner", name="daemons_pk"),
    )
    op.create_table(
        "incidents",
        sa.Column("incident_id", Number, sa.Identity()),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("opened_at", Utc, nullable=False),
        sa.Column("closed_at", Utc),
        sa.Column("opening_told_at", Utc),
        sa.Column("closing_told_at", Utc),
        sa.Column("teller", sa.Text),
        sa.Column("tell_after", Utc),
        sa.PrimaryKeyConstraint("incident_id", name="incidents_pk"),
    )
    still_open = sa.text("closed_at IS NULL")
    op.create_index(
        "incidents_open",
        "incidents",
        ["kind", "subject"],
        unique=True,
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
    op.create_table(
        "tallies",
        sa.Column("channel", Key, nullable=False),
        sa.Column("since_at", Utc, nullable=False),
        sa.Column("state", Key, nullable=False),
        sa.Column("messages", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("channel", "since_at", "state", name="tallies_pk"),
    )
    unknown = sa.text("state = 'unknown'")
    op.create_index(
        "messages_unknown",
        "messages",
        ["channel", "bucket"],
        sqlite_where=unknown,
        postgresql_where=unknown,
    )


def downgrade() -> None:
    op.drop_index("messages_unknown", "messages")
    for name in ("tallies", "incidents", "daemons", "firings"):
        op.drop_table(name)
