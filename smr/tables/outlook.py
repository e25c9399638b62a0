"""What a simulation expects of the days to come."""

from __future__ import annotations

import sqlalchemy as sa

from smr.database.columns import Key, Utc
from smr.tables.base import metadata

expected_messages = sa.Table(
    "expected_messages",
    metadata,
    sa.Column("day", Key, primary_key=True),  # of the shop, YYYY-MM-DD
    sa.Column("playbook", Key, primary_key=True),
    sa.Column("channel", Key, primary_key=True),
    sa.Column("expected", sa.Double, nullable=False),
    sa.Column("low", sa.Double, nullable=False),  # fewer, or more than `high`, are out of the ordinary
    sa.Column("high", sa.Double, nullable=False),
    sa.Column("made_at", Utc, nullable=False),
    info={"owner": "engine"},
)
