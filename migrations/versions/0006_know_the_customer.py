"""What customers said, cases for people, whose segments are to be judged again; each source its own tag.

Written out in full and importing nothing from the program, so that it makes the same tables for ever.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
Utc = sa.BigInteger
CUSTOMER = ("bucket", "customer_id")

TABLES = (
    "mentions",
    "handovers",
    "visitors",
    "unsorted_customers",
    "next_changes",
    "sortings",
    "cuts",
    "roles",
)
INDEXES = {"members": ("members_entered", "members_left"), "stages": ("stages_entered",)}


def upgrade() -> None:
    """Make what is new; tags of one customer may now stand once for each source."""
    _customer_owned(
        "mentions",
        sa.Column("topic", Key, nullable=False),
        sa.Column("interaction_id", Key, nullable=False),
        sa.Column("happened_at", Utc, nullable=False),
        sa.Column("word", sa.Text, nullable=False),
        key=("topic", "interaction_id"),
    )
    _customer_owned(
        "handovers",
        sa.Column("cause", Key, nullable=False),
        sa.Column("case_id", Key, nullable=False),
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
    _index("handovers_open", "handovers", ["opened_at"], where="closed_at IS NULL")
    _customer_owned(
        "visitors",
        sa.Column("first_interacted_at", Utc, nullable=False),
        sa.Column("last_interacted_at", Utc, nullable=False),
    )
    _index("visitors_last", "visitors", ["last_interacted_at"])
    _customer_owned("unsorted_customers")
    _customer_owned(
        "next_changes",
        sa.Column("cause", Key, nullable=False),
        sa.Column("changes_at", Utc, nullable=False),
        key=("cause",),
    )
    _index("next_changes_at", "next_changes", ["changes_at", *CUSTOMER])
    op.create_table(
        "sortings",
        sa.Column("what", Key, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("now_at", Utc, nullable=False),
        sa.PrimaryKeyConstraint("what", name=op.f("sortings_pk")),
    )
    op.create_table(
        "cuts",
        sa.Column("measure", Key, nullable=False),
        sa.Column("score", sa.Integer, nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.Column("cut_at", Utc, nullable=False),
        sa.Column("customers", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("measure", "score", name=op.f("cuts_pk")),
    )
    op.create_table(
        "roles",
        sa.Column("role", Key, nullable=False),
        sa.Column("kind", Key, nullable=False),
        sa.Column("line", Key, nullable=False),
        sa.PrimaryKeyConstraint("role", "kind", "line", name=op.f("roles_pk")),
    )
    _index("members_entered", "members", ["segment", "entered_at", *CUSTOMER])
    _index("members_left", "members", ["segment", "left_at", *CUSTOMER], where="left_at IS NOT NULL")
    _index("stages_entered", "stages", ["ladder", "entered_at", *CUSTOMER])
    _tags_by_source()
    _index("tags_set", "tags", ["tag", "set_at", *CUSTOMER])


def downgrade() -> None:
    """Take what is new away; of a tag with several sources the latest stays."""
    op.drop_index("tags_set", table_name="tags")
    _tags_without_source()
    for table, names in INDEXES.items():
        for name in names:
            op.drop_index(name, table_name=table)
    for name in reversed(TABLES):
        op.drop_table(name)


def _tags_by_source() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("UPDATE tags SET source = 'import' WHERE source IS NULL")
        op.execute("ALTER TABLE tags ADD COLUMN reason TEXT")
        op.execute("ALTER TABLE tags DROP CONSTRAINT tags_pk")
        op.execute('ALTER TABLE tags ALTER COLUMN source TYPE TEXT COLLATE "C"')
        op.execute("ALTER TABLE tags ALTER COLUMN source SET NOT NULL")
        op.execute("ALTER TABLE tags ADD CONSTRAINT tags_pk PRIMARY KEY (bucket, customer_id, tag, source)")
        return
    op.rename_table("tags", "tags_before")
    _customer_owned(
        "tags",
        sa.Column("tag", Key, nullable=False),
        sa.Column("source", Key, nullable=False),
        sa.Column("set_at", Utc, nullable=False),
        sa.Column("expires_at", Utc),
        sa.Column("reason", sa.Text),
        key=("tag", "source"),
    )
    op.execute(
        "INSERT INTO tags (bucket, customer_id, tag, source, set_at, expires_at) "
        "SELECT bucket, customer_id, tag, coalesce(source, 'import'), set_at, expires_at FROM tags_before"
    )
    op.drop_table("tags_before")


def _tags_without_source() -> None:
    # Of several rows of a tag the one set last stays; of those the one whose source comes last.
    op.execute(
        "DELETE FROM tags WHERE EXISTS (SELECT 1 FROM tags AS other WHERE other.bucket = tags.bucket "
        "AND other.customer_id = tags.customer_id AND other.tag = tags.tag AND (other.set_at > tags.set_at "
        "OR (other.set_at = tags.set_at AND other.source > tags.source)))"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE tags DROP CONSTRAINT tags_pk")
        op.execute("ALTER TABLE tags ALTER COLUMN source DROP NOT NULL")
        op.execute('ALTER TABLE tags ALTER COLUMN source TYPE TEXT COLLATE "default"')
        op.execute("ALTER TABLE tags ADD CONSTRAINT tags_pk PRIMARY KEY (bucket, customer_id, tag)")
        op.execute("ALTER TABLE tags DROP COLUMN reason")
        return
    op.rename_table("tags", "tags_before")
    _customer_owned(
        "tags",
        sa.Column("tag", Key, nullable=False),
        sa.Column("source", sa.Text),
        sa.Column("set_at", Utc, nullable=False),
        sa.Column("expires_at", Utc),
        key=("tag",),
    )
    op.execute(
        "INSERT INTO tags (bucket, customer_id, tag, source, set_at, expires_at) "
        "SELECT bucket, customer_id, tag, source, set_at, expires_at FROM tags_before"
    )
    op.drop_table("tags_before")


def _customer_owned(name: str, *parts: Any, key: tuple[str, ...] = ()) -> None:
    op.create_table(
        name,
        sa.Column("bucket", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("customer_id", Key, nullable=False),
        *parts,
        sa.PrimaryKeyConstraint("bucket", "customer_id", *key, name=op.f(f"{name}_pk")),
        sa.CheckConstraint("bucket BETWEEN 0 AND 4095", name=op.f(f"{name}_bucket_range")),
        sqlite_with_rowid=False,
    )


def _index(name: str, table: str, columns: list[str], *, where: str | None = None) -> None:
    predicate = None if where is None else sa.text(where)
    op.create_index(name, table, columns, sqlite_where=predicate, postgresql_where=predicate)
