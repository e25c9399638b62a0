"""About whom a run is to decide again; of all others its decisions stand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "undecided_customers",
        sa.Column("bucket", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("customer_id", Key, nullable=False),
        sa.PrimaryKeyConstraint("bucket", "customer_id", name="undecided_customers_pk"),
        sa.CheckConstraint("bucket BETWEEN 0 AND 4095", name=op.f("undecided_customers_bucket_range")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Forget whom."""
    op.drop_table("undecided_customers")
