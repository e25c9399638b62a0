"""A receipt that waits for its message keeps the address it names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns."""
    op.add_column("receipts", sa.Column("address", Key))
    op.add_column("receipts", sa.Column("dead_address", sa.Boolean(create_constraint=False)))


def downgrade() -> None:
    """Take the columns away."""
    op.drop_column("receipts", "dead_address")
    op.drop_column("receipts", "address")
