"""When candidates were first held back by the contact policy, and by which of its rules."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

HELD = sa.text("held_at IS NOT NULL")


def upgrade() -> None:
    """Add the columns, and the index by which a period is found."""
    op.add_column("candidates", sa.Column("held_at", sa.BigInteger))
    op.add_column("candidates", sa.Column("held_by", sa.Text))
    op.create_index("candidates_held", "candidates", ["held_at"], sqlite_where=HELD, postgresql_where=HELD)


def downgrade() -> None:
    """Forget them."""
    op.drop_index("candidates_held", "candidates")
    op.drop_column("candidates", "held_by")
    op.drop_column("candidates", "held_at")
