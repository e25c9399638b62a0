"""Rhythms of customers, what the shop learns from them, and forecasts; supplies say what they rest on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Utc = sa.BigInteger


def upgrade() -> None:
    """Make the tables; supplies get columns that stay empty until a run learns."""
    op.create_table(
        "rhythms",
        sa.Column("bucket", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("customer_id", Key, nullable=False),
        sa.Column("kind", Key, nullable=False),
        sa.Column("line", Key, nullable=False),
        sa.Column("days", sa.Integer, nullable=False),
        sa.Column("starts_at", Utc, nullable=False),
        sa.Column("last_stock", sa.BigInteger, nullable=False),
        sa.Column("last_gap", sa.Integer),
        sa.Column("last_gap_stock", sa.BigInteger),
        sa.Column("weight", sa.BigInteger, nullable=False),
        sa.Column("log_gap", sa.BigInteger, nullable=False),
        sa.Column("log_gap_2", sa.BigInteger, nullable=False),
        sa.Column("log_stock", sa.BigInteger, nullable=False),
        sa.Column("log_stock_2", sa.BigInteger, nullable=False),
        sa.Column("log_both", sa.BigInteger, nullable=False),
        sa.Column("known_days", sa.Integer, nullable=False),
        sa.Column("known_last", sa.Integer),
        sa.Column("known_log_gap", sa.BigInteger, nullable=False),
        sa.Column("known_log_gap_2", sa.BigInteger, nullable=False),
        sa.Column("known_log_stock", sa.BigInteger, nullable=False),
        sa.Column("known_log_stock_2", sa.BigInteger, nullable=False),
        sa.Column("known_log_both", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("bucket", "customer_id", "kind", "line", name="rhythms_pk"),
        sa.CheckConstraint("bucket BETWEEN 0 AND 4095", name=op.f("rhythms_bucket_range")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "forecasts",
        sa.Column("bucket", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("customer_id", Key, nullable=False),
        sa.Column("kind", Key, nullable=False),
        sa.Column("line", Key, nullable=False),
        sa.Column("asked", Key, nullable=False),
        sa.Column("expected_at", Utc, nullable=False),
        sa.PrimaryKeyConstraint("bucket", "customer_id", "kind", "line", "asked", name="forecasts_pk"),
        sa.CheckConstraint("bucket BETWEEN 0 AND 4095", name=op.f("forecasts_bucket_range")),
        sqlite_with_rowid=False,
    )
    columns = ["kind", "line", "asked", "expected_at", "bucket", "customer_id"]
    op.create_index("forecasts_at", "forecasts", columns)
    op.create_table(
        "learned",
        sa.Column("kind", Key, nullable=False),
        sa.Column("level", Key, nullable=False),
        sa.Column("line", Key, nullable=False),
        sa.Column("as_of", sa.Integer, nullable=False),
        sa.Column("pairs", sa.Integer, nullable=False),
        sa.Column("gaps", sa.Integer, nullable=False),
        sa.Column("location", sa.Double, nullable=False),
        sa.Column("variance", sa.Double, nullable=False),
        sa.Column("exponent", sa.Double, nullable=False),
        sa.Column("log_stock", sa.Double, nullable=False),
        sa.Column("lift", sa.Double, nullable=False),
        sa.Column("between", sa.Double, nullable=False),
        sa.Column("patience", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("kind", "level", "line", name="learned_pk"),
    )
    op.create_table(
        "odds",
        sa.Column("kind", Key, nullable=False),
        sa.Column("what", Key, nullable=False),
        sa.Column("step", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("share", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("kind", "what", "step", name="odds_pk"),
    )
    op.create_table(
        "days_ahead",
        sa.Column("day", sa.Integer, nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("day", name="days_ahead_pk"),
    )
    op.add_column("supplies", sa.Column("stated_runs_out_at", Utc))
    op.add_column("supplies", sa.Column("own_gaps", sa.Integer))
    op.add_column("supplies", sa.Column("own_weight", sa.Double))
    op.add_column("supplies", sa.Column("starts_at", Utc))
    op.add_column("supplies", sa.Column("location", sa.Double))
    op.add_column("supplies", sa.Column("steepness", sa.Double))
    op.add_column("supplies", sa.Column("follows", sa.Double))


def downgrade() -> None:
    """Take them away."""
    op.drop_column("supplies", "follows")
    op.drop_column("supplies", "steepness")
    op.drop_column("supplies", "location")
    op.drop_column("supplies", "starts_at")
    op.drop_column("supplies", "own_weight")
    op.drop_column("supplies", "own_gaps")
    op.drop_column("supplies", "stated_runs_out_at")
    op.drop_table("days_ahead")
    op.drop_table("odds")
    op.drop_table("learned")
    op.drop_table("forecasts")
    op.drop_table("rhythms")
