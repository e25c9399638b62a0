"""What follows from facts, playbooks and the clock. Can be dropped and rebuilt with the same result.

`changed_customers` tells a refresh whom to look at. Its rows are written in the transaction of the fact,
each with the number of its import, so that a refresh deletes only the marks it has seen.
"""

from __future__ import annotations

import sqlalchemy as sa

from smr.database.columns import Key, Utc
from smr.tables.base import customer_owned, metadata

changed_customers = customer_owned(
    "changed_customers",
    sa.Column("import_id", sa.BigInteger, nullable=False),
    sa.Column("taken_by", sa.BigInteger),  # the run that is looking at it
    # Purchases before this instant are as they were; empty: anything may have changed.
    sa.Column("bought_since", Utc),
    key=("import_id",),
)
NEVER = 1 << 62
"""The `bought_since` of a mark that tells of no purchase at all, in seconds."""

# Customers with at least one purchase.
buyers = customer_owned(
    "buyers",
    sa.Column("first_purchased_at", Utc, nullable=False),
    sa.Column("last_purchased_at", Utc, nullable=False),
)
sa.Index("buyers_last_purchase", buyers.c.last_purchased_at)

# What a customer has left of a line (a category or a product), and when it runs out.
supplies = customer_owned(
    "supplies",
    sa.Column("kind", Key, nullable=False),  # category | product
    sa.Column("line", Key, nullable=False),
    sa.Column("order_id", Key, nullable=False),  # of the line's last purchase
    sa.Column("last_purchased_at", Utc, nullable=False),
    sa.Column("product_id", Key, nullable=False),
    sa.Column("quantity", sa.Double, nullable=False),
    sa.Column("purchases", sa.Integer, nullable=False),
    sa.Column("runs_out_at", Utc, nullable=False),
    sa.Column("unit_lasts", sa.BigInteger, nullable=False),  # seconds one unit lasts
    sa.Column("basis", sa.Text, nullable=False),
    sa.Column("spread", sa.BigInteger),  # seconds
    key=("kind", "line"),
)
sa.Index(
    "supplies_run_out",
    supplies.c.kind,
    supplies.c.line,
    supplies.c.runs_out_at,
    supplies.c.bucket,
    supplies.c.customer_id,
)

# How long one unit of a line lasts, and what else the catalog says of a product.
cycles = sa.Table(
    "cycles",
    metadata,
    sa.Column("kind", Key, primary_key=True),  # default | category | product
    sa.Column("line", Key, primary_key=True),
    sa.Column("unit_lasts", sa.BigInteger),  # seconds; empty: the catalog does not say
    sa.Column("learn", sa.Boolean(create_constraint=False), nullable=False),
    sa.Column("category", Key),  # of a product, instead of the imported one
    sa.Column("units", sa.Double),  # in one piece of a product, instead of the imported number
    info={"owner": "reference"},
)

# Customers who ever did something other than buying.
visitors = customer_owned(
    "visitors",
    sa.Column("first_interacted_at", Utc, nullable=False),
    sa.Column("last_interacted_at", Utc, nullable=False),
)
sa.Index("visitors_last", visitors.c.last_interacted_at)

# Open while `left_at` is empty; earlier stays are kept.
members = customer_owned(
    "members",
    sa.Column("segment", Key, nullable=False),
    sa.Column("entered_at", Utc, nullable=False),
    sa.Column("left_at", Utc),
    key=("segment", "entered_at"),
)
sa.Index(
    "members_one_open",
    members.c.bucket,
    members.c.customer_id,
    members.c.segment,
    unique=True,
    sqlite_where=members.c.left_at.is_(None),
    postgresql_where=members.c.left_at.is_(None),
)
sa.Index("members_entered", members.c.segment, members.c.entered_at, members.c.bucket, members.c.customer_id)
LEFT = sa.text("left_at IS NOT NULL")
sa.Index(
    "members_left",
    members.c.segment,
    members.c.left_at,
    members.c.bucket,
    members.c.customer_id,
    sqlite_where=LEFT,
    postgresql_where=LEFT,
)

stages = customer_owned(
    "stages",
    sa.Column("ladder", Key, nullable=False),
    sa.Column("entered_at", Utc, nullable=False),
    sa.Column("stage", Key, nullable=False),
    sa.Column("left_at", Utc),
    key=("ladder", "entered_at"),
)
sa.Index(
    "stages_one_open",
    stages.c.bucket,
    stages.c.customer_id,
    stages.c.ladder,
    unique=True,
    sqlite_where=stages.c.left_at.is_(None),
    postgresql_where=stages.c.left_at.is_(None),
)
sa.Index("stages_entered", stages.c.ladder, stages.c.entered_at, stages.c.bucket, stages.c.customer_id)

# Whose segments, stages and tags are to be judged again; written as facts are worked off, taken off when
# they were judged.
unsorted_customers = customer_owned("unsorted_customers")

# When an answer about a customer may change by the clock alone, by what it comes from.
next_changes = customer_owned(
    "next_changes",
    sa.Column("cause", Key, nullable=False),  # purchases | refunds | interactions | mentions | tags | ...
    sa.Column("changes_at", Utc, nullable=False),
    key=("cause",),
)
sa.Index("next_changes_at", next_changes.c.changes_at, next_changes.c.bucket, next_changes.c.customer_id)

# By which definitions customers were sorted last, and at what time.
sortings = sa.Table(
    "sortings",
    metadata,
    sa.Column("what", Key, primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("now_at", Utc, nullable=False),
    info={"owner": "engine"},
)
