"""A mark of a changed customer says since when purchases may differ."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; marks that are there already say nothing, so that everything is looked at."""
    op.add_column("changed_customers", sa.Column("bought_since", sa.BigInteger))


def downgrade() -> None:
    """Take the column away."""
    op.drop_column("changed_customers", "bought_since")
