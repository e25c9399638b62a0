"""Tables of a walk alone: what is still to come, and what the walk saw. They live in a passing database.

`later_*` hold facts until the day on which they become known. `standing` holds, during one day, the supplies
of those who bought on it as they were before; `closings` what became of them.
"""

from __future__ import annotations

import sqlalchemy as sa

from smr import tables
from smr.database.columns import Key, Utc

metadata = sa.MetaData()


def _later(table: sa.Table, known_at: str) -> sa.Table:
    """A table like that one, lying in the order in which its rows become known."""
    columns = [sa.Column(column.name, column.type) for column in table.columns if column.name != known_at]
    key = [column.name for column in table.primary_key.columns if column.name != known_at]
    return sa.Table(
        f"later_{table.name}",
        metadata,
        sa.Column(known_at, Utc, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint(known_at, *key),
        sqlite_with_rowid=False,
    )


later_purchases = _later(tables.purchases, "purchased_at")
later_refunds = _later(tables.refunds, "refunded_at")

# `known_at`: first seen, first bought or first consented, whichever came first.
later_customers = sa.Table(
    "later_customers",
    metadata,
    *(sa.Column(column.name, column.type) for column in tables.customers.columns),
    sa.Column("known_at", Utc),
    sa.PrimaryKeyConstraint("bucket", "customer_id"),
)
sa.Index("later_customers_known", later_customers.c.known_at)


def _of_customer(name: str, *parts: sa.Column[object], key: tuple[str, ...]) -> sa.Table:
    return sa.Table(
        name,
        metadata,
        sa.Column("bucket", sa.SmallInteger, nullable=False),
        sa.Column("customer_id", Key, nullable=False),
        *parts,
        sa.PrimaryKeyConstraint("bucket", "customer_id", *key),
        sqlite_with_rowid=False,
    )


standing = _of_customer(
    "standing",
    sa.Column("kind", Key, nullable=False),
    sa.Column("line", Key, nullable=False),
    sa.Column("order_id", Key, nullable=False),
    sa.Column("opened_at", Utc, nullable=False),
    sa.Column("runs_out_at", Utc, nullable=False),
    key=("kind", "line"),
)

# One supply that ended because the same line was bought again: when it was thought to run out, and when it
# did.
closings = _of_customer(
    "closings",
    sa.Column("kind", Key, nullable=False),
    sa.Column("line", Key, nullable=False),
    sa.Column("order_id", Key, nullable=False),
    sa.Column("opened_at", Utc, nullable=False),
    sa.Column("runs_out_at", Utc, nullable=False),
    sa.Column("closed_at", Utc, nullable=False),
    key=("kind", "line", "order_id"),
)

# One message that would have gone out.
reminders = _of_customer(
    "reminders",
    sa.Column("playbook", Key, nullable=False),
    sa.Column("step", Key, nullable=False),
    sa.Column("anchor", Key, nullable=False),
    sa.Column("channel", Key, nullable=False),
    sa.Column("kind", Key),
    sa.Column("line", Key),
    sa.Column("order_id", Key),
    sa.Column("anchor_at", Utc, nullable=False),
    sa.Column("runs_out_at", Utc),
    sa.Column("due_at", Utc, nullable=False),
    sa.Column("sent_at", Utc, nullable=False),
    sa.Column("day", sa.Text),  # of the shop, YYYY-MM-DD
    sa.Column("until_at", Utc),  # a purchase up to then is a hit
    sa.Column("rank", sa.Double),  # the greater, the surer
    sa.Column("chance", sa.Double),  # of a purchase within a week, where the supply tells one
    sa.Column("hit_at", Utc),
    key=("playbook", "step", "anchor"),
)
sa.Index("reminders_sent", reminders.c.sent_at)
