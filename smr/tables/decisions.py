"""What a run decided, for whom and why."""

from __future__ import annotations

import sqlalchemy as sa

from smr.database.columns import Json, Key, Utc
from smr.tables.base import customer_owned, metadata

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), primary_key=True),
    sa.Column("slot", sa.Text, nullable=False),
    sa.Column("now_at", Utc, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # running | done | stopped
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("lease_until", Utc, nullable=False),  # by the database's clock
    sa.Column("started_at", Utc, nullable=False),
    sa.Column("finished_at", Utc),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("counts", Json),
    sa.Column("shared_by", sa.Text),  # what processes that share it agree on; empty: one runs it alone
    sa.UniqueConstraint("slot"),
    info={"owner": "engine"},
)
sa.Index(
    "runs_one_running",
    runs.c.state,
    unique=True,
    sqlite_where=sa.text("state = 'running'"),
    postgresql_where=sa.text("state = 'running'"),
)

# The work of a run that several processes share: of each stage number 0 is what is done once for the whole
# shop, the others are slices of buckets.
run_slices = sa.Table(
    "run_slices",
    metadata,
    sa.Column("run_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("stage", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("low", sa.SmallInteger, nullable=False),
    sa.Column("high", sa.SmallInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # waiting | taken | done
    sa.Column("owner", sa.Text),
    sa.Column("lease_until", Utc),  # by the database's clock; while its owner works it is locked as well
    sa.Column("told", Json),  # what it counted, and what the slices of its stage have to know
    info={"owner": "engine"},
)

candidates = customer_owned(
    "candidates",
    sa.Column("playbook", Key, nullable=False),
    sa.Column("step", Key, nullable=False),
    sa.Column("anchor", Key, nullable=False),
    sa.Column("anchor_at", Utc, nullable=False),
    sa.Column("kind", Key),  # the supply's line, where the trigger has one
    sa.Column("line", Key),
    sa.Column("order_id", Key),  # of the anchor's purchase, where it is one
    sa.Column("product_id", Key),
    sa.Column("quantity", sa.Double),
    sa.Column("runs_out_at", Utc),
    sa.Column("due_at", Utc, nullable=False),
    sa.Column("expires_at", Utc, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # due | accepted | blocked | held_out | expired
    sa.Column("reason", sa.Text),
    sa.Column("channel", Key),
    sa.Column("send_after", Utc),  # deferred until then (quiet hours)
    sa.Column("run_id", sa.BigInteger, nullable=False),  # the run that last found it due
    sa.Column("judged_at", Utc),
    sa.Column("queued_at", Utc),  # its message is in the outbox
    sa.Column("detail", sa.Text),  # what was wrong with its text, where the reason is template
    # To whom it lost its place, or in whose message it is named: another candidate of the customer.
    sa.Column("winner_playbook", Key),
    sa.Column("winner_step", Key),
    sa.Column("winner_anchor", Key),
    sa.Column("offer_id", Key),  # the product offered, where it is a substitute
    sa.Column("held_at", Utc),  # when a rule of the contact policy first held it back
    sa.Column("held_by", sa.Text),  # the rules that did so far, with spaces between
    key=("playbook", "step", "anchor"),
)

WINNER = ("winner_playbook", "winner_step", "winner_anchor")
"""The columns that name the candidate which took another's place."""

OPEN = sa.text("queued_at IS NULL AND state IN ('due', 'blocked', 'accepted')")
"""Candidates that a run still has to judge; the text is the predicate of their index."""

OPEN_CANDIDATES = sa.text(
    "candidates.queued_at IS NULL AND candidates.state IN ('due', 'blocked', 'accepted')"
)
"""The same where the table stands beside itself under another name."""

sa.Index(
    "candidates_open",
    candidates.c.bucket,
    candidates.c.playbook,
    candidates.c.step,
    sqlite_where=OPEN,
    postgresql_where=OPEN,
)

BUNDLED = sa.text("reason = 'bundled'")
"""Candidates that are named in another one's message."""

BUNDLED_CANDIDATES = sa.text("candidates.reason = 'bundled'")
"""The same where another table has a reason, too."""

sa.Index(
    "candidates_bundled",
    candidates.c.bucket,
    candidates.c.expires_at,
    sqlite_where=BUNDLED,
    postgresql_where=BUNDLED,
)
HELD_BACK = sa.text("held_at IS NOT NULL")
sa.Index("candidates_held", candidates.c.held_at, sqlite_where=HELD_BACK, postgresql_where=HELD_BACK)
