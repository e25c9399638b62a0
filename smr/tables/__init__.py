"""All tables of one shop: definitions, keys, indexes; no behaviour.

Every customer-owned table begins its primary key with `bucket, customer_id` and is joined on both:
the bucket (0..4095, from the customer's key) partitions work, pins claims, and is the key by which a
PostgreSQL can be distributed. Reference tables are small and read by every rule. Local tables belong
to the engine itself.
"""

from smr.tables.base import BUCKETS, bucket_of, customer_owned, dice_of, metadata, named
from smr.tables.channels import channels, receipts
from smr.tables.decisions import OPEN, candidates, runs
from smr.tables.derived import NEVER, buyers, changed_customers, cycles, members, stages, supplies
from smr.tables.facts import (
    addresses,
    consents,
    customers,
    imports,
    interactions,
    purchases,
    refunds,
    rejected_rows,
    tags,
)
from smr.tables.outbox import deliveries, messages
from smr.tables.outlook import expected_messages
from smr.tables.reference import calendar, products, publications, staff, stores
from smr.tables.watching import OPEN_INCIDENT, daemons, firings, incidents, tallies

__all__ = [
    "BUCKETS",
    "NEVER",
    "OPEN",
    "OPEN_INCIDENT",
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
    "cycles",
    "daemons",
    "deliveries",
    "dice_of",
    "expected_messages",
    "firings",
    "imports",
    "incidents",
    "interactions",
    "members",
    "messages",
    "metadata",
    "named",
    "products",
    "publications",
    "purchases",
    "receipts",
    "refunds",
    "rejected_rows",
    "runs",
    "staff",
    "stages",
    "stores",
    "supplies",
    "tags",
    "tallies",
]
