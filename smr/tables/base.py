"""What all tables share: names of constraints, the bucket, the dice, the shape of a customer-owned table."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from smr.database.columns import Key

BUCKETS = 4096
"""How many buckets there are; can never change once there is data."""

metadata = sa.MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "ix": "%(table_name)s_%(column_0_N_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_unique",
        "ck": "%(table_name)s_%(constraint_name)s",
        "fk": "%(table_name)s_%(column_0_N_name)s_fk",
    }
)


def bucket_of(customer_id: str) -> int:
    """The bucket of a customer: the first 12 bits of SHA-256 of the key, 0..4095."""
    return int(sha256(customer_id.encode()).hexdigest()[:3], 16)


def dice_of(customer_id: str) -> int:
    """The customer's stable number, 31 further bits of the same hash; holdouts and variants draw from it."""
    return int.from_bytes(sha256(customer_id.encode()).digest()[2:6]) & 0x7FFF_FFFF


@cache
def named(table: sa.Table, name: str) -> sa.FromClause:
    """A table under another name in a statement: the same object each time, for making one is slow.

    Inside one another, two uses of a table need two names.
    """
    return table.alias(name)


def customer_owned(name: str, *parts: Any, key: tuple[str, ...] = (), clustered: bool = True) -> sa.Table:
    """A table whose primary key is `bucket, customer_id` and then `key`.

    `clustered` keeps a customer's rows side by side in SQLite; leave it off where rows are long.
    """
    return sa.Table(
        name,
        metadata,
        sa.Column("bucket", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("customer_id", Key, nullable=False),
        *parts,
        sa.PrimaryKeyConstraint("bucket", "customer_id", *key),
        sa.CheckConstraint(f"bucket BETWEEN 0 AND {BUCKETS - 1}", name="bucket_range"),
        sqlite_with_rowid=not clustered,
        info={"owner": "customer"},
    )
