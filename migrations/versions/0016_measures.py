"""What segments measure of a customer, worked out once for all of them while the customer is judged."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

MEASURES = tuple(f"measure_{number:02}" for number in range(32))


def upgrade() -> None:
    """Add the columns."""
    for name in MEASURES:
        op.add_column("unsorted_customers", sa.Column(name, sa.Double))


def downgrade() -> None:
    """Forget them."""
    for name in reversed(MEASURES):
        op.drop_column("unsorted_customers", name)
