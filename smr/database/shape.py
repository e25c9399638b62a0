"""Whether the tables of a database are the declared ones, told difference by difference.

In: a connection, the declared metadata. Out: a shape, which is a mapping from the name of each table, column,
constraint and index to how the database describes it. The declared tables are made aside (in memory, or as
temporary tables that are rolled back) and described by the same engine, so that equal things read equal.
The trap on PostgreSQL: temporary tables hide those of the same name, so the live shape is taken first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.database.engine import Database
from smr.database.migrate import versions

Shape = dict[str, str]


@dataclass(frozen=True, order=True)
class Difference:
    """One thing that is not as declared; an empty text says that it is not there."""

    what: str
    declared: str
    live: str

    def __str__(self) -> str:
        if not self.live:
            return f"{self.what} is missing"
        if not self.declared:
            return f"{self.what} is not one of smr's"
        return f"{self.what} is {self.live}; smr needs {self.declared}"


def differences(database: Database, declared: sa.MetaData) -> list[Difference]:
    """Everything in which the live tables and the declared ones differ, both ways; none when equal."""
    with database.trial() as connection:
        live = live_shape(connection)
        wanted = declared_shape(connection, declared)
    return compare(wanted, live)


def compare(wanted: Shape, live: Shape) -> list[Difference]:
    """The entries in which two shapes differ; of a table that one of them lacks, the table alone."""
    found = [
        Difference(what, wanted.get(what, ""), live.get(what, ""))
        for what in wanted.keys() | live.keys()
        if wanted.get(what) != live.get(what)
    ]
    lacking = {one.what for one in found if one.what.startswith("table ") and not (one.live and one.declared)}
    return sorted(one for one in found if one.what in lacking or f"table {_table(one.what)}" not in lacking)


def live_shape(connection: Connection) -> Shape:
    """The shape of the tables that are there."""
    names = sa.inspect(connection).get_table_names()
    return _shape(connection, [name for name in names if name != versions.name])


def declared_shape(connection: Connection, declared: sa.MetaData) -> Shape:
    """The shape that the declared tables have on this kind of database."""
    names = list(declared.tables)
    if connection.dialect.name == "sqlite":
        aside = sa.create_engine("sqlite://")
        with aside.connect() as memory:
            declared.create_all(memory)
            shape = _shape(memory, names)
        aside.dispose()
        return shape
    temporary = connection.execution_options(schema_translate_map={None: "pg_temp"})
    declared.create_all(temporary, checkfirst=False)
    return _shape(connection, names)


def _shape(connection: Connection, names: list[str]) -> Shape:
    # A new inspector each time: it remembers what it has seen.
    inspector = sa.inspect(connection)
    stored_by_key = _clustered(connection)
    return {what: how for name in names for what, how in _table_shape(inspector, name, name in stored_by_key)}


def _table_shape(inspector: sa.Inspector, table: str, clustered: bool) -> Iterator[tuple[str, str]]:
    yield f"table {table}", "clustered by its key" if clustered else "a table"
    for column in inspector.get_columns(table):
        yield f"column {table}.{column['name']}", _column(column)
    key = inspector.get_pk_constraint(table)
    if key["constrained_columns"]:
        yield f"constraint {table}.{key['name']}", f"PRIMARY KEY {_listed(key['constrained_columns'])}"
    for unique in inspector.get_unique_constraints(table):
        yield f"constraint {table}.{unique['name']}", f"UNIQUE {_listed(unique['column_names'])}"
    for check in inspector.get_check_constraints(table):
        yield f"constraint {table}.{check['name']}", f"CHECK ({check['sqltext']})"
    for link in inspector.get_foreign_keys(table):
        columns = f"{_listed(link['constrained_columns'])} TO {link['referred_table']}"
        yield f"constraint {table}.{link['name']}", f"{columns} {_listed(link['referred_columns'])}"
    for index in inspector.get_indexes(table):
        yield f"index {table}.{index['name']}", _index(index)


def _column(column: Any) -> str:
    parts = [str(column["type"]), "NULL" if column["nullable"] else "NOT NULL"]
    if column["default"] is not None:
        parts.append(f"DEFAULT {column['default']}")
    if column.get("identity"):
        parts.append("IDENTITY")
    if column.get("computed"):
        parts.append("GENERATED")
    return " ".join(parts)


def _index(index: Any) -> str:
    options = index.get("dialect_options", {})
    where = options.get("sqlite_where", options.get("postgresql_where"))
    columns = _listed(index.get("expressions") or index["column_names"])
    return ("UNIQUE " if index["unique"] else "") + columns + ("" if where is None else f" WHERE {where}")


def _listed(names: Any) -> str:
    return "(" + ", ".join(str(name) for name in names) + ")"


def _clustered(connection: Connection) -> set[str]:
    """The tables without a rowid; PostgreSQL has none."""
    if connection.dialect.name != "sqlite":
        return set()
    rows = connection.exec_driver_sql("PRAGMA table_list").mappings()
    return {row["name"] for row in rows if row["wr"]}


def _table(what: str) -> str:
    return what.split(" ", 1)[1].split(".", 1)[0]
