"""A day of the calendar may have several words said of it; customers may keep a lunar birthday."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the calendar anew with what it says, and the column."""
    op.execute("CREATE TABLE calendar_before AS SELECT * FROM calendar")
    op.drop_table("calendar")
    op.create_table(
        "calendar",
        sa.Column("day", Key, nullable=False),
        sa.Column("kind", Key, nullable=False),
        sa.Column("name", Key, nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("day", "kind", "name", name="calendar_pk"),
    )
    op.execute(
        "INSERT INTO calendar (day, kind, name) SELECT day, kind, coalesce(name, '') FROM calendar_before"
    )
    op.drop_table("calendar_before")
    op.add_column("customers", sa.Column("lunar_birthday", sa.Text))


def downgrade() -> None:
    """Let go of lunar birthdays, and of all but the first word said of a day."""
    op.drop_column("customers", "lunar_birthday")
    op.execute("CREATE TABLE calendar_after AS SELECT * FROM calendar")
    op.drop_table("calendar")
    op.create_table(
        "calendar",
        sa.Column("day", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.PrimaryKeyConstraint("day", name="calendar_pk"),
    )
    op.execute(
        "INSERT INTO calendar (day, kind, name) SELECT day, min(kind), min(name) FROM calendar_after "
        "WHERE kind <> 'festival' GROUP BY day"
    )
    op.drop_table("calendar_after")
