"""What happened in the shop, as it was told to us. Facts are added, never edited by the engine."""

from __future__ import annotations

import sqlalchemy as sa

from smr.database.columns import Json, Key, Utc
from smr.tables.base import customer_owned, metadata

customers = customer_owned(
    "customers",
    sa.Column("dice", sa.Integer, nullable=False),
    sa.Column("name", sa.Text),
    sa.Column("gender", sa.Text),
    sa.Column("birthday", sa.Text),  # YYYY-MM-DD
    sa.Column("zone", sa.Text),
    sa.Column("locale", sa.Text),
    sa.Column("staff_id", Key),
    sa.Column("store_id", Key),
    sa.Column("attributes", Json),
    sa.Column("first_seen_at", Utc, nullable=False),
    sa.Column("lunar_birthday", sa.Text),  # YYYY-MM-DD, YYYY-LMM-DD in a leap month; 0000: no year known
    clustered=False,
)

addresses = customer_owned(
    "addresses",
    sa.Column("channel", Key, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("undeliverable_since", Utc),
    key=("channel",),
)

# Append-only. The latest row of a channel and purpose counts; '*' stands for every channel or purpose.
consents = customer_owned(
    "consents",
    sa.Column("channel", Key, nullable=False),
    sa.Column("purpose", Key, nullable=False),
    sa.Column("decided_at", Utc, nullable=False),
    sa.Column("granted", sa.Boolean(create_constraint=False), nullable=False),
    sa.Column("source", sa.Text),
    key=("channel", "purpose", "decided_at", "granted"),
)

# One bought line. Its identity leaves the time out, so that a corrected time is seen as a difference
# and never as a second purchase. Lines of one order share a timestamp: "later" compares time and line.
purchases = customer_owned(
    "purchases",
    sa.Column("order_id", Key, nullable=False),
    sa.Column("product_id", Key, nullable=False),
    sa.Column("line_no", sa.Integer, nullable=False),
    sa.Column("purchased_at", Utc, nullable=False),
    sa.Column("quantity", sa.Double, nullable=False),
    sa.Column("amount", sa.BigInteger),  # of the whole line, minor units
    sa.Column("currency", sa.Text),
    sa.Column("delivered_at", Utc),
    sa.Column("kind", sa.Text),  # empty: a sale; or sample, gift
    key=("order_id", "product_id", "line_no"),
)

# Points at a line, which may not have arrived yet. An empty quantity takes the whole line back.
# Who is due for a step as a warehouse found it, where the history lies there; the guards judge as ever.
given_candidates = customer_owned(
    "given_candidates",
    sa.Column("playbook", Key, nullable=False),
    sa.Column("step", Key, nullable=False),
    sa.Column("anchor", Key, nullable=False),
    sa.Column("anchor_at", Utc, nullable=False),
    sa.Column("kind", Key),
    sa.Column("supply_line", Key),
    sa.Column("order_id", Key),
    sa.Column("product_id", Key),
    sa.Column("quantity", sa.Double),
    sa.Column("runs_out_at", Utc),
    sa.Column("due_at", Utc, nullable=False),
    key=("playbook", "step", "anchor"),
)
sa.Index(
    "given_candidates_due",
    given_candidates.c.playbook,
    given_candidates.c.step,
    given_candidates.c.due_at,
    given_candidates.c.bucket,
    given_candidates.c.customer_id,
)

refunds = customer_owned(
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

interactions = customer_owned(
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

# What a chat message spoke of, judged once, when it was recorded.
mentions = customer_owned(
    "mentions",
    sa.Column("topic", Key, nullable=False),
    sa.Column("interaction_id", Key, nullable=False),
    sa.Column("happened_at", Utc, nullable=False),
    sa.Column("word", sa.Text, nullable=False),  # by which the topic was told
    key=("topic", "interaction_id"),
)

# Each source keeps its own row of a tag: import | chat | rule | staff.
tags = customer_owned(
    "tags",
    sa.Column("tag", Key, nullable=False),
    sa.Column("source", Key, nullable=False),
    sa.Column("set_at", Utc, nullable=False),
    sa.Column("expires_at", Utc),
    sa.Column("reason", sa.Text),  # why it is there, for people
    key=("tag", "source"),
)
sa.Index("tags_set", tags.c.tag, tags.c.set_at, tags.c.bucket, tags.c.customer_id)

# A case for a person: what it is about, and whether somebody has seen to it.
handovers = customer_owned(
    "handovers",
    sa.Column("cause", Key, nullable=False),  # chat | playbook
    sa.Column("case_id", Key, nullable=False),  # of the interaction, or of the candidate
    sa.Column("opened_at", Utc, nullable=False),
    sa.Column("topic", Key),
    sa.Column("interaction_id", Key),
    sa.Column("playbook", Key),
    sa.Column("step", Key),
    sa.Column("anchor", Key),
    sa.Column("staff_id", Key),
    sa.Column("reason", sa.Text),
    sa.Column("closed_at", Utc),
    key=("cause", "case_id"),
)
HANDED = sa.text("closed_at IS NULL")
sa.Index("handovers_open", handovers.c.opened_at, sqlite_where=HANDED, postgresql_where=HANDED)

imports = sa.Table(
    "imports",
    metadata,
    sa.Column(
        "import_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), primary_key=True
    ),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("started_at", Utc, nullable=False),
    sa.Column("finished_at", Utc),
    sa.Column("counts", Json),
    sa.Column("cursor", sa.Text),  # how far an incremental source has been read
    info={"owner": "engine"},
)

rejected_rows = sa.Table(
    "rejected_rows",
    metadata,
    sa.Column(
        "rejected_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), primary_key=True
    ),
    sa.Column("import_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("line", sa.BigInteger, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("content", sa.Text),
    info={"owner": "engine"},
)
