"""The tables keep the rules, and the lint of tables catches every breach."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa

from smr.database import Database, Key, Utc
from smr.database.migrate import ensure_current
from smr.database.shape import live_shape
from smr.tables import metadata
from tests.tables.schema_lint import lint

OWNER = ("bucket", "customer_id")
NAMES = metadata.naming_convention


def _faults(*parts: Any, owner: str = "customer", key: Any = OWNER, convention: Any = NAMES) -> list[str]:
    """The faults of a table of that owner with these further parts."""
    world = sa.MetaData(naming_convention=convention)
    sa.Table(
        "people", world, *_owned(), sa.PrimaryKeyConstraint(*OWNER, name="p"), info={"owner": "customer"}
    )
    sa.Table("shops", world, sa.Column("shop_id", Key, primary_key=True), info={"owner": "reference"})
    sa.Table("shifts", world, sa.Column("shift_id", sa.Integer, primary_key=True), info={"owner": "engine"})
    begin = _owned() if owner == "customer" else [sa.Column("thing_id", Key, primary_key=True)]
    keys = [sa.PrimaryKeyConstraint(*key, name="pk")] if key and owner == "customer" else []
    sa.Table("things", world, *begin, *parts, *keys, info={"owner": owner})
    return lint(world)


def _owned() -> list[Any]:
    return [
        sa.Column("bucket", sa.SmallInteger, nullable=False),
        sa.Column("customer_id", Key, nullable=False),
        sa.CheckConstraint("bucket BETWEEN 0 AND 4095", name="bucket_range"),
    ]


def test_our_tables_keep_all_rules() -> None:
    assert lint(metadata) == []


def test_the_example_that_is_broken_below_is_sound() -> None:
    assert _faults(sa.Column("shop_id", Key, sa.ForeignKey("shops.shop_id"))) == []


BREACHES = {
    "a primary key without the bucket": (
        _faults(key=("customer_id",)),
        "does not begin with bucket, customer_id",
    ),
    "no primary key": (_faults(key=()), "has no primary key"),
    "a unique key without the bucket": (
        _faults(sa.Column("email", sa.Text), sa.UniqueConstraint("email")),
        r"UNIQUE \(email\) leaves out the bucket",
    ),
    "a unique index without the bucket": (
        _faults(sa.Column("email", sa.Text, unique=True, index=True)),
        r"UNIQUE \(email\) leaves out the bucket",
    ),
    "a generated column": (_faults(sa.Column("half", sa.Integer, sa.Computed("bucket / 2"))), "is GENERATED"),
    "a counting column": (_faults(sa.Column("nth", sa.BigInteger, sa.Identity())), "counts up"),
    "a date": (_faults(sa.Column("born", sa.Date)), "does not mean the same"),
    "a time that is none": (
        _faults(sa.Column("sent_at", sa.BigInteger)),
        "times are called …_at",
    ),
    "a time by another name": (_faults(sa.Column("moment", Utc)), "times are called …_at"),
    "a default that changes": (
        _faults(sa.Column("n", sa.Integer, server_default=sa.func.random())),
        "its default is not a constant",
    ),
    "a foreign key without the bucket": (
        _faults(sa.Column("other", Key), sa.ForeignKeyConstraint(["other"], ["people.customer_id"])),
        "the foreign key does not begin with bucket, customer_id",
    ),
    "a foreign key to the engine's own": (
        _faults(sa.Column("shift_id", sa.Integer, sa.ForeignKey("shifts.shift_id"))),
        "a foreign key from customer to engine",
    ),
    "a foreign key from a reference table": (
        _faults(sa.Column("who", Key, sa.ForeignKey("people.customer_id")), owner="reference"),
        "a foreign key from reference to customer",
    ),
    "a customer in a table that is not customer-owned": (
        _faults(sa.Column("customer_id", Key), owner="engine"),
        "has a customer_id but is not customer-owned",
    ),
    "a table of nobody": (_faults(owner=""), "info"),
    "a nameless check": (_faults(sa.CheckConstraint("bucket > 1"), convention=None), "has no name"),
    "a key by the database's collation": (
        _faults(sa.Column("line", sa.Text), key=(*OWNER, "line")),
        "compares by the database's own collation",
    ),
}


@pytest.mark.parametrize(("faults", "expected"), BREACHES.values(), ids=BREACHES.keys())
def test_a_breach_is_caught(faults: list[str], expected: str) -> None:
    assert any(re.search(expected, fault) for fault in faults), faults


def test_no_trigger_comes_with_the_tables(database: Database) -> None:
    ensure_current(database)
    with database.read() as connection:
        if database.dialect == "sqlite":
            master = sa.table("sqlite_master", sa.column("type"))
            found = connection.scalars(sa.select(master.c.type).where(master.c.type.in_(["trigger", "view"])))
        else:
            trigger = sa.table("pg_trigger", sa.column("tgname"), sa.column("tgisinternal"))
            found = connection.scalars(sa.select(trigger.c.tgname).where(sa.not_(trigger.c.tgisinternal)))
        assert found.all() == []


def test_customers_rows_lie_side_by_side_on_sqlite(sqlite_database: Database) -> None:
    with sqlite_database.read() as connection:
        shape = live_shape(connection)
    clustered = {what.split()[1] for what, how in shape.items() if how == "clustered by its key"}
    assert {"purchases", "supplies", "candidates", "consents"} <= clustered
    assert {"messages", "customers", "interactions"}.isdisjoint(clustered)
