"""All tables of one shop: definitions, keys, indexes; no behaviour.

Every customer-owned table begins its primary key with `bucket, customer_id` and is joined on both:
the bucket (0..4095, from the customer's key) partitions work, pins claims, and is the key by which a
PostgreSQL can be distributed. Reference tables are small and read by every rule. Local tables belong
to the engine itself.
"""

from smr.tables.base import BUCKETS, bucket_of, customer_owned, dice_of, metadata, named
from smr.tables.channels import channels, receipts
from smr.tables.decisions import BUNDLED, OPEN, WINNER, candidates, runs
from smr.tables.derived import (
    NEVER,
    buyers,
    changed_customers,
    cycles,
    days_ahead,
    forecasts,
    learned,
    members,
    next_changes,
    odds,
    rhythms,
    sortings,
    stages,
    supplies,
    undecided_customers,
    unsorted_customers,
    visitors,
)
from smr.tables.facts import (
    addresses,
    consents,
    customers,
    handovers,
    imports,
    interactions,
    mentions,
    purchases,
    refunds,
    rejected_rows,
    tags,
)
from smr.tables.outbox import deliveries, messages
from smr.tables.outlook import expected_messages
from smr.tables.reference import (
    calendar,
    cuts,
    product_changes,
    products,
    publications,
    roles,
    staff,
    stores,
    substitutes,
)
from smr.tables.watching import OPEN_INCIDENT, daemons, firings, incidents, tallies

__all__ = [
    "BUCKETS",
    "BUNDLED",
    "NEVER",
    "OPEN",
    "OPEN_INCIDENT",
    "WINNER",
    "addresses",
    "bucket_of",
    "buyers",
    "calendar",
    "candidates",
    "changed_customers",
    "channels",
    "consents",
    "customer_owned",
    "customers",
    "cuts",
    "cycles",
    "daemons",
    "days_ahead",
    "deliveries",
    "dice_of",
    "expected_messages",
    "firings",
    "forecasts",
    "handovers",
    "imports",
    "incidents",
    "interactions",
    "learned",
    "members",
    "mentions",
    "messages",
    "metadata",
    "named",
    "next_changes",
    "odds",
    "product_changes",
    "products",
    "publications",
    "purchases",
    "receipts",
    "refunds",
    "rejected_rows",
    "rhythms",
    "roles",
    "runs",
    "sortings",
    "staff",
    "stages",
    "stores",
    "substitutes",
    "supplies",
    "tags",
    "tallies",
    "undecided_customers",
    "unsorted_customers",
    "visitors",
]
