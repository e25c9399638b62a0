"""What a simulation expects of the days to come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "expected_messages",
        sa.Column("day", Key, nullable=False),
        sa.Column("playbook", Key, nullable=False),
        sa.Column("channel", Key, nullable=False),
        sa.Column("expected", sa.Double, nullable=False),
        sa.Column("low", sa.Double, nullable=False),
        sa.Column("high", sa.Double, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("day", "playbook", "channel", name="expected_messages_pk"),
    )


def downgrade() -> None:
    """Take the table away."""
    op.drop_table("expected_messages")
