"""Who took a candidate's place, or names it in its message; and which substitute is offered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
COLUMNS = ("winner_playbook", "winner_step", "winner_anchor", "offer_id")
BUNDLED = sa.text("reason = 'bundled'")


def upgrade() -> None:
    """Add the columns, and the way to what is named in other messages."""
    for name in COLUMNS:
        op.add_column("candidates", sa.Column(name, Key))
    op.create_index(
        "candidates_bundled",
        "candidates",
        ["bucket", "expires_at"],
        sqlite_where=BUNDLED,
        postgresql_where=BUNDLED,
    )


def downgrade() -> None:
    """Forget who won."""
    op.drop_index("candidates_bundled", table_name="candidates")
    for name in reversed(COLUMNS):
        op.drop_column("candidates", name)
