"""Many rows looked up by bucket and id, each by the index of both.

Two IN lists side by side would be looked up in every combination: a million for a thousand rows. So the
pairs are rows to be joined: on SQLite from one JSON text, on PostgreSQL from two arrays; a statement is
compiled once however many there are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from smr.database.unindexed import unindexed


def pairs(dialect: str, buckets: Sequence[int], ids: Sequence[str]) -> sa.FromClause:
    """The pairs as rows of `bucket` and `message_id`."""
    return _listed(buckets, ids) if dialect == "sqlite" else _arrays(buckets, ids)


def buckets_of(message_ids: Sequence[str]) -> list[int]:
    """The bucket of each message id: its first three digits."""
    return [int(message_id[:3], 16) for message_id in message_ids]


def are(table: Any, wanted: sa.FromClause) -> sa.ColumnElement[bool]:
    """The condition that a row of the table is one of the pairs."""
    return sa.and_(table.c.bucket == wanted.c.bucket, table.c.message_id == wanted.c.message_id)


def within(table: Any, buckets: Sequence[int]) -> sa.ColumnElement[bool]:
    """The condition that names the buckets touched, for partitions; SQLite does not look it up."""
    return unindexed(table.c.bucket).in_(sorted(set(buckets)))


def _listed(buckets: Sequence[int], ids: Sequence[str]) -> sa.Subquery:
    given = json.dumps([*zip(buckets, ids, strict=True)])
    pair = sa.func.json_each(sa.bindparam("wanted", given)).table_valued("value", name="pair")
    each = pair.c.value
    return sa.select(
        sa.func.json_extract(each, sa.literal("$[0]", literal_execute=True), type_=sa.SmallInteger).label(
            "bucket"
        ),
        sa.func.json_extract(each, sa.literal("$[1]", literal_execute=True), type_=sa.Text).label(
            "message_id"
        ),
    ).subquery("wanted")


def _arrays(buckets: Sequence[int], ids: Sequence[str]) -> sa.TableValuedAlias:
    arrays = (
        sa.bindparam("wanted_buckets", list(buckets), type_=ARRAY(sa.SmallInteger)),
        sa.bindparam("wanted_ids", list(ids), type_=ARRAY(sa.Text)),
    )
    columns = (sa.column("bucket", sa.SmallInteger), sa.column("message_id", sa.Text))
    return sa.func.unnest(*arrays).table_valued(*columns, name="wanted").render_derived()
