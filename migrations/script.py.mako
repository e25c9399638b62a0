"""${message}

Expand first: add what the next release needs; take the old away a release later.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema to this version."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Take this version's changes back."""
    ${downgrades if downgrades else "pass"}
