"""Candidates that a warehouse found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "given_candidates",
        sa.Column("bucket", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("customer_id", Key, nullable=False),
        sa.Column("playbook", Key, nullable=False),
        sa.Column("step", Key, nullable=False),
        sa.Column("anchor", Key, nullable=False),
        sa.Column("anchor_at", sa.BigInteger, nullable=False),
        sa.Column("kind", Key),
        sa.Column("supply_line", Key),
        sa.Column("order_id", Key),
        sa.Column("product_id", Key),
        sa.Column("quantity", sa.Double),
        sa.Column("runs_out_at", sa.BigInteger),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            "bucket", "customer_id", "playbook", "step", "anchor", name="given_candidates_pk"
        ),
        sa.CheckConstraint("bucket BETWEEN 0 AND 4095", name=op.f("given_candidates_bucket_range")),
        sqlite_with_rowid=False,
    )
    columns = ["playbook", "step", "due_at", "bucket", "customer_id"]
    op.create_index("given_candidates_due", "given_candidates", columns)


def downgrade() -> None:
    """Forget them."""
    op.drop_table("given_candidates")
