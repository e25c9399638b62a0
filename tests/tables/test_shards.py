"""What a run decides for all customers is what it decides for parts of them: no rule looks across buckets.

The parts are disjoint sets of buckets, each a database of its own: files on SQLite, schemas on PostgreSQL.
The worlds are random and uneven, for a rule that looks across customers slips through on regular ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from smr import pipeline, tables
from smr.database import Database, open_database
from smr.database.migrate import mark_current
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import BUCKETS, metadata
from tests.examples import many
from tests.fresh import fresh_postgresql
from tests.house.everything import everything, within_customers
from tests.worlds import NOW, World, put, random_worlds

PARTS = (range(0, BUCKETS, 3), range(1, BUCKETS, 3), range(2, BUCKETS, 3))
KNOWN = within_customers()
OWN = {"run_id", "taken_by", "import_id"}
"""Columns that count the runs and imports of one database."""
COMPARED = (
    tables.buyers,
    tables.supplies,
    tables.members,
    tables.stages,
    tables.candidates,
    tables.messages,
    tables.changed_customers,
)


def decided(database: Database) -> set[tuple[Any, ...]]:
    """Every derived row and every decision."""
    with database.read() as connection:
        return {
            (table.name, *map(str, row))
            for table in COMPARED
            for row in connection.execute(sa.select(*(one for one in table.c if one.name not in OWN)))
        }


def run_twice(database: Database, world: World, known: tuple[Library, Settings], buckets: Any = None) -> None:
    """Put the world (or some buckets of it) into an empty database and let two days pass."""
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))
    put(database, world, buckets=buckets)
    for days in (0, 1):
        pipeline.run(database, *known, now=NOW + timedelta(days=days))


def agree(world: World, known: tuple[Library, Settings], databases: list[Database]) -> tuple[Any, Any]:
    """What the whole decided, and what the parts decided together."""
    whole, *parts = databases
    run_twice(whole, world, known)
    for database, buckets in zip(parts, PARTS, strict=True):
        run_twice(database, world, known, buckets)
    return decided(whole), set().union(*(decided(database) for database in parts))


@pytest.fixture(scope="module")
def sqlite_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Database]]:
    """A database for the whole and one for each part; all examples use them, each from the beginning."""
    folder = tmp_path_factory.mktemp("shards")
    with ExitStack() as stack:
        databases = []
        for name in ("whole", *map(str, range(len(PARTS)))):
            database = open_database(f"sqlite:///{folder / name}.db")
            stack.callback(database.close)
            databases.append(database)
            _make(database)
        yield databases


@pytest.fixture(scope="module")
def postgresql_schemas(postgres_url: str) -> Iterator[list[Database]]:
    """The same as schemas of one PostgreSQL, found by the search path."""
    with fresh_postgresql(postgres_url) as server, ExitStack() as stack:
        databases = []
        for name in ("whole", *(f"part_{number}" for number in range(len(PARTS)))):
            with server.write() as connection:
                connection.execute(sa.schema.DropSchema(name, cascade=True, if_exists=True))
                connection.execute(sa.schema.CreateSchema(name))
            url = server.engine.url.update_query_dict({"options": f"-csearch_path={name}"})
            database = open_database(url.render_as_string(hide_password=False))
            stack.callback(database.close)
            databases.append(database)
            _make(database)
        yield databases


def _make(database: Database) -> None:
    with database.write() as connection:
        metadata.create_all(connection)
        mark_current(connection)


@settings(max_examples=many(2), deadline=None, suppress_health_check=list(HealthCheck))
@given(world=random_worlds(least=4, most=8))
def test_the_parts_together_are_the_whole(sqlite_files: list[Database], world: World) -> None:
    whole, parts = agree(world, KNOWN, sqlite_files)
    assert parts == whole


@settings(max_examples=many(1), deadline=None, suppress_health_check=list(HealthCheck))
@given(world=random_worlds(least=4, most=8))
def test_the_parts_together_are_the_whole_on_postgresql(
    postgresql_schemas: list[Database], world: World
) -> None:
    whole, parts = agree(world, KNOWN, postgresql_schemas)
    assert parts == whole


def test_a_limit_across_customers_is_noticed(sqlite_files: list[Database]) -> None:
    world = World()
    world.product("P1", category="洁面")
    for number in range(12):
        world.customer(f"c{number}", addresses={"wecom": "w"}, consent=True)
        world.purchase(f"c{number}", "P1", days_ago=41)
    whole, parts = agree(world, everything(), sqlite_files)
    assert parts != whole
