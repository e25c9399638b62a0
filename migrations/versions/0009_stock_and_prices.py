"""Whether products are in stock, what changed of their stock and price, and what may be offered instead."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Utc = sa.BigInteger
Flag = sa.Boolean(create_constraint=False)

COLUMNS = (("price_at", Utc), ("in_stock", Flag), ("stock", sa.Double), ("stock_at", Utc))


def upgrade() -> None:
    """Add the columns and the two tables."""
    for name, kind in COLUMNS:
        op.add_column("products", sa.Column(name, kind))
    op.create_table(
        "product_changes",
        sa.Column("product_id", Key, nullable=False),
        sa.Column("what", Key, nullable=False),
        sa.Column("changed_at", Utc, nullable=False, autoincrement=False),
        sa.Column("price", sa.BigInteger),
        sa.Column("price_before", sa.BigInteger),
        sa.Column("currency", sa.Text),
        sa.Column("in_stock", Flag),
        sa.Column("in_stock_before", Flag),
        sa.Column("import_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("product_id", "what", "changed_at", name=op.f("product_changes_pk")),
    )
    op.create_index("product_changes_at", "product_changes", ["what", "changed_at", "product_id"])
    op.create_table(
        "substitutes",
        sa.Column("product_id", Key, nullable=False),
        sa.Column("source", Key, nullable=False),
        sa.Column("place", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("substitute_id", Key, nullable=False),
        sa.PrimaryKeyConstraint("product_id", "source", "place", name=op.f("substitutes_pk")),
    )


def downgrade() -> None:
    """Forget stock and changes of price."""
    op.drop_table("substitutes")
    op.drop_index("product_changes_at", table_name="product_changes")
    op.drop_table("product_changes")
    for name, _ in reversed(COLUMNS):
        op.drop_column("products", name)
