"""The lint of tables: could they be spread over machines by bucket, do they mean the same on both databases.

In: a MetaData. Out: sentences, one per fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.base import _NoneName

from smr.database import Key, Utc

OWNER = ["bucket", "customer_id"]
OWNERS = ("customer", "reference", "engine")
LONGEST_NAME = 63
ALLOWED = (sa.SmallInteger, sa.Integer, sa.BigInteger, sa.Double, sa.Text, sa.Boolean, sa.JSON, Utc)
_names = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]


def lint(metadata: sa.MetaData) -> list[str]:
    """All faults of all tables."""
    found = [fault for table in metadata.tables.values() for fault in _table(table)]
    names = Counter(str(index.name) for table in metadata.tables.values() for index in table.indexes)
    return found + [f"two indexes are called {name}" for name, count in names.items() if count > 1]


def _table(table: sa.Table) -> Iterator[str]:
    owner = table.info.get("owner")
    if owner not in OWNERS:
        yield f"{table.name}: info['owner'] is {owner!r}, not one of {OWNERS}"
    if not table.primary_key.columns:
        yield f"{table.name}: has no primary key"
    yield from _names_of(table)
    for column in table.columns:
        yield from _column(table, column)
    for link in table.foreign_key_constraints:
        yield from _link(table, link)
    if owner == "customer":
        yield from _customer_owned(table)
    elif "customer_id" in table.c:
        yield f"{table.name}: has a customer_id but is not customer-owned"


def _customer_owned(table: sa.Table) -> Iterator[str]:
    if [column.name for column in table.primary_key.columns][:2] != OWNER:
        yield f"{table.name}: the primary key does not begin with bucket, customer_id"
    if "bucket" in table.c and not isinstance(table.c.bucket.type, sa.SmallInteger):
        yield f"{table.name}: bucket is not a SMALLINT"
    for unique in _uniques(table):
        if "bucket" not in unique:
            yield f"{table.name}: UNIQUE ({', '.join(unique)}) leaves out the bucket"
    checks = [str(one.sqltext) for one in table.constraints if isinstance(one, sa.CheckConstraint)]
    if "bucket BETWEEN 0 AND 4095" not in checks:
        yield f"{table.name}: nothing keeps the bucket within 0..4095"


def _uniques(table: sa.Table) -> Iterator[list[str]]:
    for constraint in table.constraints:
        if isinstance(constraint, sa.UniqueConstraint):
            yield [column.name for column in constraint.columns]
    for index in table.indexes:
        if index.unique:
            yield [column.name for column in index.columns]


def _column(table: sa.Table, column: sa.Column[object]) -> Iterator[str]:
    place = f"{table.name}.{column.name}"
    if column.computed is not None:
        yield f"{place}: is GENERATED"
        return
    if column.identity is not None and table.info.get("owner") == "customer":
        yield f"{place}: counts up in a customer-owned table"
    if not isinstance(column.type, ALLOWED):
        yield f"{place}: {column.type!r} does not mean the same on both databases"
    if column.name.endswith("_at") != isinstance(column.type, Utc) and not column.name.endswith(INSTANTS):
        yield f"{place}: times are called …_at and are Utc"
    if _is_key(table, column) and column.type is not Key:
        yield f"{place}: is a key and compares by the database's own collation"
    if (
        column.server_default is not None
        and column.identity is None
        and not _is_constant(column.server_default)
    ):
        yield f"{place}: its default is not a constant"


INSTANTS = ("_until", "_after", "_since")


def _is_key(table: sa.Table, column: sa.Column[object]) -> bool:
    return isinstance(column.type, sa.Text) and table.info.get("owner") == "customer" and column.primary_key


def _is_constant(default: object) -> bool:
    return default is None or (isinstance(default, sa.DefaultClause) and isinstance(default.arg, str))


def _link(table: sa.Table, link: sa.ForeignKeyConstraint) -> Iterator[str]:
    place = f"{table.name} → {link.referred_table.name}"
    here, there = table.info.get("owner"), link.referred_table.info.get("owner")
    if (here, there) == ("customer", "customer"):
        columns = [column.name for column in link.columns][:2]
        if columns != OWNER or [element.column.name for element in link.elements][:2] != OWNER:
            yield f"{place}: the foreign key does not begin with bucket, customer_id"
    elif there == "customer" or (here, there) == ("customer", "engine"):
        yield f"{place}: a foreign key from {here} to {there}"


def _names_of(table: sa.Table) -> Iterator[str]:
    for constraint in table.constraints:
        name = constraint.name
        if name is None or isinstance(name, _NoneName):
            yield f"{table.name}: a constraint has no name: {constraint!r}"
        elif len(str(_names.format_constraint(constraint))) > LONGEST_NAME:
            yield f"{table.name}: the name of a constraint is too long: {name}"
    for index in table.indexes:
        if not str(index.name).startswith(table.name):
            yield f"{table.name}: the index {index.name} does not begin with the table's name"
