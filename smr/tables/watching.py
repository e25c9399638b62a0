"""What the daemon remembers: its firings, who is alive, incidents, and what channels did."""

from __future__ import annotations

import sqlalchemy as sa

from smr.database.columns import Json, Key, Utc
from smr.tables.base import metadata

firings = sa.Table(
    "firings",
    metadata,
    sa.Column("duty", Key, nullable=False),
    sa.Column("slot_at", Utc, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # watched | running | done | failed | stopped
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("lease_until", Utc, nullable=False),  # by the database's clock
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("started_at", Utc, nullable=False),
    sa.Column("finished_at", Utc),
    sa.Column("detail", sa.Text),
    sa.PrimaryKeyConstraint("duty", "slot_at"),
    info={"owner": "engine"},
)

daemons = sa.Table(
    "daemons",
    metadata,
    sa.Column("owner", Key, nullable=False),
    sa.Column("started_at", Utc, nullable=False),
    sa.Column("seen_at", Utc, nullable=False),  # by the database's clock, as all times here
    sa.Column("state", sa.Text, nullable=False),  # working | draining | stopped
    sa.Column("version", sa.Text, nullable=False),  # of the playbooks it works with
    sa.Column("faults", Json),  # of files it could not take up
    sa.PrimaryKeyConstraint("owner"),
    info={"owner": "engine"},
)

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("incident_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity()),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),  # which channel, which duty; empty where there is one only
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("opened_at", Utc, nullable=False),
    sa.Column("closed_at", Utc),
    sa.Column("opening_told_at", Utc),
    sa.Column("closing_told_at", Utc),
    sa.Column("teller", sa.Text),
    sa.Column("tell_after", Utc),  # another may tell from then on, by the database's clock
    sa.PrimaryKeyConstraint("incident_id"),
    info={"owner": "engine"},
)
OPEN_INCIDENT = sa.text("closed_at IS NULL")
sa.Index(
    "incidents_open",
    incidents.c.kind,
    incidents.c.subject,
    unique=True,
    sqlite_where=OPEN_INCIDENT,
    postgresql_where=OPEN_INCIDENT,
)

tallies = sa.Table(
    "tallies",
    metadata,
    sa.Column("channel", Key, nullable=False),
    sa.Column("since_at", Utc, nullable=False),  # of ten minutes
    sa.Column("state", Key, nullable=False),
    sa.Column("messages", sa.BigInteger, nullable=False),
    sa.PrimaryKeyConstraint("channel", "since_at", "state"),
    info={"owner": "engine"},
)
