"""Several processes share a run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

Json = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Make the table of slices; a run says who may share it."""
    op.add_column("runs", sa.Column("shared_by", sa.Text))
    op.create_table(
        "run_slices",
        sa.Column("run_id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("stage", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("number", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("low", sa.SmallInteger, nullable=False),
        sa.Column("high", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("told", Json),
        sa.PrimaryKeyConstraint("run_id", "stage", "number", name="run_slices_pk"),
    )


def downgrade() -> None:
    """Forget who shared what."""
    op.drop_table("run_slices")
    op.drop_column("runs", "shared_by")
