"""Small tables that every rule may read and that are written rarely."""

from __future__ import annotations

import sqlalchemy as sa

from smr.database.columns import Json, Key, Utc
from smr.tables.base import metadata

products = sa.Table(
    "products",
    metadata,
    sa.Column("product_id", Key, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("category", Key),
    sa.Column("price", sa.BigInteger),
    sa.Column("currency", sa.Text),
    sa.Column(
        "units", sa.Double, nullable=False, server_default="1"
    ),  # units of use in one piece: a 2 kg bag has 2
    sa.Column("attributes", Json),
    sa.Column("price_at", Utc),  # when the price was told last
    sa.Column("in_stock", sa.Boolean(create_constraint=False)),  # empty: nobody said
    sa.Column("stock", sa.Double),  # pieces, where they are told
    sa.Column("stock_at", Utc),  # when the stock was told last
    info={"owner": "reference"},
)

# Append-only. What imports changed of a product's price or stock; the first word of each has nothing before.
product_changes = sa.Table(
    "product_changes",
    metadata,
    sa.Column("product_id", Key, primary_key=True),
    sa.Column("what", Key, primary_key=True),  # price | stock
    sa.Column("changed_at", Utc, primary_key=True, autoincrement=False),
    sa.Column("price", sa.BigInteger),
    sa.Column("price_before", sa.BigInteger),  # in the same currency
    sa.Column("currency", sa.Text),
    sa.Column("in_stock", sa.Boolean(create_constraint=False)),
    sa.Column("in_stock_before", sa.Boolean(create_constraint=False)),
    sa.Column("import_id", sa.BigInteger, nullable=False),
    info={"owner": "reference"},
)
sa.Index(
    "product_changes_at", product_changes.c.what, product_changes.c.changed_at, product_changes.c.product_id
)

# What may be offered instead of a product; the catalog's before those imported, each in its order.
substitutes = sa.Table(
    "substitutes",
    metadata,
    sa.Column("product_id", Key, primary_key=True),
    sa.Column("source", Key, primary_key=True),  # catalog | import
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("substitute_id", Key, nullable=False),
    info={"owner": "reference"},
)

staff = sa.Table(
    "staff",
    metadata,
    sa.Column("staff_id", Key, primary_key=True),
    sa.Column("name", sa.Text),
    info={"owner": "reference"},
)

stores = sa.Table(
    "stores",
    metadata,
    sa.Column("store_id", Key, primary_key=True),
    sa.Column("name", sa.Text),
    info={"owner": "reference"},
)

calendar = sa.Table(
    "calendar",
    metadata,
    sa.Column("day", Key, primary_key=True),  # YYYY-MM-DD
    sa.Column("kind", Key, primary_key=True),  # holiday | workday (a make-up workday) | normal | festival
    sa.Column("name", Key, primary_key=True, server_default=""),
    info={"owner": "reference"},
)

# What is known of each playbook that ever ran: the version last seen, and since when it has been live.
publications = sa.Table(
    "publications",
    metadata,
    sa.Column("playbook", Key, primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("live_since", Utc),
    sa.Column("seen_at", Utc, nullable=False),
    info={"owner": "reference"},
)

# Where a score of RFM begins: the cut of a measure, for the score it is the lower bound of.
cuts = sa.Table(
    "cuts",
    metadata,
    sa.Column("measure", Key, primary_key=True),  # recency | frequency | money
    sa.Column("score", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value", sa.BigInteger, nullable=False),  # seconds, orders, minor units
    sa.Column("cut_at", Utc, nullable=False),
    sa.Column("customers", sa.BigInteger, nullable=False),  # among how many it was cut; 0: stated
    info={"owner": "reference"},
)

# The part a product plays in the shop: what draws, what earns.
roles = sa.Table(
    "roles",
    metadata,
    sa.Column("role", Key, primary_key=True),
    sa.Column("kind", Key, primary_key=True),  # product | category
    sa.Column("line", Key, primary_key=True),
    info={"owner": "reference"},
)
