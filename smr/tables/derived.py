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
    sa.Column("spread", sa.BigInteger),  # seconds: half of those alike buy within so much of the run-out
    # Where cycles are learned. The stated rule's run-out is kept beside the learned one.
    sa.Column("stated_runs_out_at", Utc),
    sa.Column("own_gaps", sa.Integer),  # gaps between purchases that the customer's own rhythm rests on
    sa.Column("own_weight", sa.Double),  # how much of the rhythm is the customer's own, 0..1
    sa.Column("starts_at", Utc),  # the last purchase or its delivery: from there the curve counts
    sa.Column("location", sa.Double),  # ln of the days after which half of those alike have bought again
    sa.Column("steepness", sa.Double),  # of the log-logistic curve round it
    sa.Column("follows", sa.Double),  # share of those alike who ever buy again
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

# The rhythm in which a customer buys a line, or visits at all (kind `visit`). Sums of logarithms are whole
# millionths: added in any order they are the same. `known_…` is what was known when the week began.
rhythms = customer_owned(
    "rhythms",
    sa.Column("kind", Key, nullable=False),  # category | product | visit
    sa.Column("line", Key, nullable=False),
    sa.Column("days", sa.Integer, nullable=False),  # on which it was bought
    sa.Column("starts_at", Utc, nullable=False),  # the last purchase, or its delivery
    sa.Column("last_stock", sa.BigInteger, nullable=False),  # seconds it lasts by the catalog
    sa.Column("last_gap", sa.Integer),  # days from the purchase before it
    sa.Column("last_gap_stock", sa.BigInteger),  # of that one
    # Over gaps, the latest weighing most: how many, ln days, its square, ln stock in days, its square, both.
    sa.Column("weight", sa.BigInteger, nullable=False),
    sa.Column("log_gap", sa.BigInteger, nullable=False),
    sa.Column("log_gap_2", sa.BigInteger, nullable=False),
    sa.Column("log_stock", sa.BigInteger, nullable=False),
    sa.Column("log_stock_2", sa.BigInteger, nullable=False),
    sa.Column("log_both", sa.BigInteger, nullable=False),
    sa.Column("known_days", sa.Integer, nullable=False),
    sa.Column("known_last", sa.Integer),  # day since 1970 of the last purchase
    sa.Column("known_log_gap", sa.BigInteger, nullable=False),
    sa.Column("known_log_gap_2", sa.BigInteger, nullable=False),
    sa.Column("known_log_stock", sa.BigInteger, nullable=False),
    sa.Column("known_log_stock_2", sa.BigInteger, nullable=False),
    sa.Column("known_log_both", sa.BigInteger, nullable=False),
    key=("kind", "line"),
)

# The days that live playbooks ask for beside the run-out.
forecasts = customer_owned(
    "forecasts",
    sa.Column("kind", Key, nullable=False),
    sa.Column("line", Key, nullable=False),
    sa.Column("asked", Key, nullable=False),  # such as `due at 75%`, `likely 40% after 10d`
    sa.Column("expected_at", Utc, nullable=False),
    key=("kind", "line", "asked"),
)
sa.Index(
    "forecasts_at",
    forecasts.c.kind,
    forecasts.c.line,
    forecasts.c.asked,
    forecasts.c.expected_at,
    forecasts.c.bucket,
    forecasts.c.customer_id,
)

# What purchases of everybody say of a line, or of the whole shop (line `*`), as known when the week began.
learned = sa.Table(
    "learned",
    metadata,
    sa.Column("kind", Key, primary_key=True),  # of the followed lines: category | product
    sa.Column("level", Key, primary_key=True),  # shop | category | product
    sa.Column("line", Key, primary_key=True),
    sa.Column("as_of", sa.Integer, nullable=False),  # day since 1970
    sa.Column("pairs", sa.Integer, nullable=False),  # customers who bought it
    sa.Column("gaps", sa.Integer, nullable=False),  # between purchases, which the rest is learned from
    sa.Column(
        "location", sa.Double, nullable=False
    ),  # ln days to the next purchase, less `exponent` × ln stock
    sa.Column("variance", sa.Double, nullable=False),  # of ln days round it
    sa.Column("exponent", sa.Double, nullable=False),  # days grow as the stock to this power, 0..1
    sa.Column("log_stock", sa.Double, nullable=False),  # mean ln of the stock of a purchase, in days
    sa.Column("lift", sa.Double, nullable=False),  # how much likelier than in the shop a purchase is followed
    sa.Column("between", sa.Double, nullable=False),  # variance between customers' means, of the shop
    sa.Column("patience", sa.Double, nullable=False),  # gaps at which a customer's own rhythm weighs half
    info={"owner": "reference"},
)

# Shares of the whole shop: `followed` by the number of the purchase, `visit` by how late a visit is.
odds = sa.Table(
    "odds",
    metadata,
    sa.Column("kind", Key, primary_key=True),
    sa.Column("what", Key, primary_key=True),  # followed | visit
    sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("share", sa.Double, nullable=False),
    info={"owner": "reference"},
)

# 0, 1, 2, …: days to look ahead.
days_ahead = sa.Table(
    "days_ahead",
    metadata,
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    info={"owner": "reference"},
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
# they were judged. The measures are what the definitions look at, worked out while they are judged; which
# one stands in which column is for that version of the definitions to say.
MEASURES = tuple(f"measure_{number:02}" for number in range(32))
unsorted_customers = customer_owned("unsorted_customers", *(sa.Column(name, sa.Double) for name in MEASURES))

# When an answer about a customer may change by the clock alone, by what it comes from.
next_changes = customer_owned(
    "next_changes",
    sa.Column("cause", Key, nullable=False),  # purchases | refunds | interactions | mentions | tags | ...
    sa.Column("changes_at", Utc, nullable=False),
    key=("cause",),
)
sa.Index("next_changes_at", next_changes.c.changes_at, next_changes.c.bucket, next_changes.c.customer_id)

# About whom a run is to decide again: those who were sorted anew. Taken off when it has decided.
undecided_customers = customer_owned("undecided_customers")

# By which definitions customers were sorted last, and at what time; and by which rules was decided.
sortings = sa.Table(
    "sortings",
    metadata,
    sa.Column("what", Key, primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("now_at", Utc, nullable=False),
    info={"owner": "engine"},
)
