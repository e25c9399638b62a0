"""All tables of the first release.

Written out in full and importing nothing from the program, so that it makes the same tables for ever.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Json = sa.JSON().with_variant(JSONB(), "postgresql")
Utc = sa.BigInteger
Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")

TABLES = (
    "runs",
    "candidates",
    "changed_customers",
    "buyers",
    "supplies",
    "cycles",
    "members",
    "stages",
    "customers",
    "addresses",
    "consents",
    "purchases",
    "refunds",
    "interactions",
    "tags",
    "imports",
    "rejected_rows",
    "messages",
    "deliveries",
    "products",
    "staff",
    "stores",
    "calendar",
    "publications",
)


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "runs",
        sa.Column("run_id", Number, sa.Identity(), nullable=False),
        sa.Column("slot", sa.Text, nullable=False),
        sa.Column("now_at", Utc, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("lease_until", Utc, nullable=False),
        sa.Column("started_at", Utc, nullable=False),
        sa.Column("finished_at", Utc),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("counts", Json),
        sa.PrimaryKeyConstraint("run_id", name=op.f("runs_pk")),
        sa.UniqueConstraint("slot", name=op.f("runs_slot_unique")),
    )
    _index("runs_one_running", "runs", ["state"], unique=True, where="state = 'running'")
    _customer_owned(
        "candidates",
        sa.Column("playbook", Key, nullable=False),
        sa.Column("step", Key, nullable=False),
        sa.Column("anchor", Key, nullable=False),
        sa.Column("anchor_at", Utc, nullable=False),
        sa.Column("kind", Key),
        sa.Column("line", Key),
        sa.Column("order_id", Key),
        sa.Column("product_id", Key),
        sa.Column("quantity", sa.Double),
        sa.Column("runs_out_at", Utc),
        sa.Column("due_at", Utc, nullable=False),
        sa.Column("expires_at", Utc, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("channel", Key),
        sa.Column("send_after", Utc),
        sa.Column("run_id", sa.BigInteger, nullable=False),
        sa.Column("judged_at", Utc),
        sa.Column("queued_at", Utc),
        sa.Column("detail", sa.Text),
        key=("playbook", "step", "anchor"),
    )
    _index(
        "candidates_open",
        "candidates",
        ["bucket", "playbook", "step"],
        where="queued_at IS NULL AND state IN ('due', 'blocked', 'accepted')",
    )
    _customer_owned(
        "changed_customers",
        sa.Column("import_id", sa.BigInteger, nullable=False),
        sa.Column("taken_by", sa.BigInteger),
        key=("import_id",),
    )
    _customer_owned(
        "buyers",
        sa.Column("first_purchased_at", Utc, nullable=False),
        sa.Column("last_purchased_at", Utc, nullable=False),
    )
    _index("buyers_last_purchase", "buyers", ["last_purchased_at"])
    _customer_owned(
        "supplies",
        sa.Column("kind", Key, nullable=False),
        sa.Column("line", Key, nullable=False),
        sa.Column("order_id", Key, nullable=False),
        sa.Column("last_purchased_at", Utc, nullable=False),
        sa.Column("product_id", Key, nullable=False),
        sa.Column("quantity", sa.Double, nullable=False),
        sa.Column("purchases", sa.Integer, nullable=False),
        sa.Column("runs_out_at", Utc, nullable=False),
        sa.Column("unit_lasts", sa.BigInteger, nullable=False),
        sa.Column("basis", sa.Text, nullable=False),
        sa.Column("spread", sa.BigInteger),
        key=("kind", "line"),
    )
    _index("supplies_run_out", "supplies", ["kind", "line", "runs_out_at", "bucket", "customer_id"])
    op.create_table(
        "cycles",
        sa.Column("kind", Key, nullable=False),
        sa.Column("line", Key, nullable=False),
        sa.Column("unit_lasts", sa.BigInteger),
        sa.Column("learn", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("category", Key),
        sa.Column("units", sa.Double),
        sa.PrimaryKeyConstraint("kind", "line", name=op.f("cycles_pk")),
    )
    _customer_owned(
        "members",
        sa.Column("segment", Key, nullable=False),
        sa.Column("entered_at", Utc, nullable=False),
        sa.Column("left_at", Utc),
        key=("segment", "entered_at"),
    )
    _index(
        "members_one_open",
        "members",
        ["bucket", "customer_id", "segment"],
        unique=True,
        where="left_at IS NULL",
    )
    _customer_owned(
        "stages",
        sa.Column("ladder", Key, nullable=False),
        sa.Column("entered_at", Utc, nullable=False),
        sa.Column("stage", Key, nullable=False),
        sa.Column("left_at", Utc),
        key=("ladder", "entered_at"),
    )
    _index(
        "stages_one_open", "stages", ["bucket", "customer_id", "ladder"], unique=True, where="left_at IS NULL"
    )
    _customer_owned(
        "customers",
        sa.Column("dice", sa.Integer, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("gender", sa.Text),
        sa.Column("birthday", sa.Text),
        sa.Column("zone", sa.Text),
        sa.Column("locale", sa.Text),
        sa.Column("staff_id", Key),
        sa.Column("store_id", Key),
        sa.Column("attributes", Json),
        sa.Column("first_seen_at", Utc, nullable=False),
        clustered=False,
    )
    _customer_owned(
        "addresses",
        sa.Column("channel", Key, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("undeliverable_since", Utc),
        key=("channel",),
    )
    _customer_owned(
        "consents",
        sa.Column("channel", Key, nullable=False),
        sa.Column("purpose", Key, nullable=False),
        sa.Column("decided_at", Utc, nullable=False),
        sa.Column("granted", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("source", sa.Text),
        key=("channel", "purpose", "decided_at", "granted"),
    )
    _customer_owned(
        "purchases",
        sa.Column("order_id", Key, nullable=False),
        sa.Column("product_id", Key, nullable=False),
        sa.Column("line_no", sa.Integer, nullable=False),
        sa.Column("purchased_at", Utc, nullable=False),
        sa.Column("quantity", sa.Double, nullable=False),
        sa.Column("amount", sa.BigInteger),
        sa.Column("currency", sa.Text),
        sa.Column("delivered_at", Utc),
        sa.Column("kind", sa.Text),
        key=("order_id", "product_id", "line_no"),
    )
    _customer_owned(
        "refunds",
        sa.Column("refund_id", Key, nullable=False),
        sa.Column("order_id", Key, nullable=False),
        sa.Column("product_id", Key, nullable=False),
        sa.Column("line_no", sa.Integer, nullable=False),
        sa.Column("refunded_at", Utc, nullable=False),
        sa.Column("quantity", sa.Double),
        sa.Column("amount", sa.BigInteger),
        key=("refund_id", "order_id", "product_id", "line_no"),
    )
    _customer_owned(
        "interactions",
        sa.Column("interaction_id", Key, nullable=False),
        sa.Column("happened_at", Utc, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("channel", Key),
        sa.Column("content", sa.Text),
        sa.Column("attributes", Json),
        key=("interaction_id",),
        clustered=False,
    )
    _customer_owned(
        "tags",
        sa.Column("tag", Key, nullable=False),
        sa.Column("source", sa.Text),
        sa.Column("set_at", Utc, nullable=False),
        sa.Column("expires_at", Utc),
        key=("tag",),
    )
    op.create_table(
        "imports",
        sa.Column("import_id", Number, sa.Identity(), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("started_at", Utc, nullable=False),
        sa.Column("finished_at", Utc),
        sa.Column("counts", Json),
        sa.Column("cursor", sa.Text),
        sa.PrimaryKeyConstraint("import_id", name=op.f("imports_pk")),
    )
    op.create_table(
        "rejected_rows",
        sa.Column("rejected_id", Number, sa.Identity(), nullable=False),
        sa.Column("import_id", sa.BigInteger, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("line", sa.BigInteger, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("content", sa.Text),
        sa.PrimaryKeyConstraint("rejected_id", name=op.f("rejected_rows_pk")),
    )
    _index("rejected_rows_import_id", "rejected_rows", ["import_id"])
    _customer_owned(
        "messages",
        sa.Column("playbook", Key, nullable=False),
        sa.Column("step", Key, nullable=False),
        sa.Column("anchor", Key, nullable=False),
        sa.Column("message_id", Key, nullable=False),
        sa.Column("channel", Key, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("purpose", Key, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("html", sa.Text),
        sa.Column("attachments", Json),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("due_at", Utc, nullable=False),
        sa.Column("send_after", Utc, nullable=False),
        sa.Column("expires_at", Utc, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("run_id", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("queued_at", Utc, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("token", sa.Text),
        sa.Column("lease_until", Utc),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("sent_at", Utc),
        sa.Column("settled_at", Utc),
        sa.Column("provider_id", sa.Text),
        key=("playbook", "step", "anchor"),
        clustered=False,
    )
    _index("messages_held", "messages", ["lease_until"], where="state IN ('claimed', 'sending')")
    _index("messages_id", "messages", ["bucket", "message_id"], unique=True)
    _index("messages_queued", "messages", ["channel", "send_after", "bucket"], where="state = 'queued'")
    _index("messages_sent", "messages", ["sent_at"], where="sent_at IS NOT NULL")
    _customer_owned(
        "deliveries",
        sa.Column("message_id", Key, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("channel", Key, nullable=False),
        sa.Column("started_at", Utc, nullable=False),
        sa.Column("finished_at", Utc),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("provider_id", sa.Text),
        key=("message_id", "attempt"),
    )
    op.create_table(
        "products",
        sa.Column("product_id", Key, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("category", Key),
        sa.Column("price", sa.BigInteger),
        sa.Column("currency", sa.Text),
        sa.Column("units", sa.Double, nullable=False, server_default="1"),
        sa.Column("attributes", Json),
        sa.PrimaryKeyConstraint("product_id", name=op.f("products_pk")),
    )
    op.create_table(
        "staff",
        sa.Column("staff_id", Key, nullable=False),
        sa.Column("name", sa.Text),
        sa.PrimaryKeyConstraint("staff_id", name=op.f("staff_pk")),
    )
    op.create_table(
        "stores",
        sa.Column("store_id", Key, nullable=False),
        sa.Column("name", sa.Text),
        sa.PrimaryKeyConstraint("store_id", name=op.f("stores_pk")),
    )
    op.create_table(
        "calendar",
        sa.Column("day", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.PrimaryKeyConstraint("day", name=op.f("calendar_pk")),
    )
    op.create_table(
        "publications",
        sa.Column("playbook", Key, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("live_since", Utc),
        sa.Column("seen_at", Utc, nullable=False),
        sa.PrimaryKeyConstraint("playbook", name=op.f("publications_pk")),
    )


def downgrade() -> None:
    """Take all tables away."""
    for name in reversed(TABLES):
        op.drop_table(name)


def _customer_owned(name: str, *parts: Any, key: tuple[str, ...] = (), clustered: bool = True) -> None:
    op.create_table(
        name,
        sa.Column("bucket", sa.SmallInteger, nullable=False),
        sa.Column("customer_id", Key, nullable=False),
        *parts,
        sa.PrimaryKeyConstraint("bucket", "customer_id", *key, name=op.f(f"{name}_pk")),
        sa.CheckConstraint("bucket BETWEEN 0 AND 4095", name=op.f(f"{name}_bucket_range")),
        sqlite_with_rowid=not clustered,
    )


def _index(
    name: str, table: str, columns: list[str], *, unique: bool = False, where: str | None = None
) -> None:
    predicate = None if where is None else sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=predicate, postgresql_where=predicate)
