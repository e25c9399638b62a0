"""`smr db distribute`: which tables become what, and what is said where that cannot be.

Citus itself is not here. What it answers is played by functions and a table of the same names; the suite in
`tests/citus` asks a real one where there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smr.cli.app import app
from smr.database import Database, distribute, open_database
from smr.errors import OperatorError, StateError
from smr.tables import metadata

STAND_IN = """
CREATE SCHEMA citus_here;
CREATE TABLE citus_here.citus_tables
  (table_name regclass, citus_table_type text, distribution_column text, colocation_id int, shard_count int);
CREATE FUNCTION citus_here.create_reference_table(table_name regclass) RETURNS void LANGUAGE sql AS
  $$ INSERT INTO citus_here.citus_tables VALUES (table_name, 'reference', NULL, 1, 1) $$;
CREATE FUNCTION citus_here.create_distributed_table(
  table_name regclass, distribution_column text, distribution_type text DEFAULT 'hash',
  colocate_with text DEFAULT 'default', shard_count int DEFAULT NULL) RETURNS void LANGUAGE sql AS
  $$ INSERT INTO citus_here.citus_tables SELECT $1, 'distributed', $2,
     CASE WHEN $4 = 'none' THEN 7
          ELSE (SELECT t.colocation_id FROM citus_here.citus_tables t
                WHERE t.table_name = $4::regclass) END, $5 $$;
SET allow_system_table_mods = on;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
  VALUES (99999, 'citus', 10, 2200, false, '13.2');
"""


@pytest.fixture
def citus(database: Database) -> Iterator[Database]:
    """A PostgreSQL that answers as Citus would."""
    if database.dialect == "sqlite":
        pytest.skip("a SQLite file lies on one machine")
    with database.write() as connection:
        connection.exec_driver_sql(STAND_IN)
    url = database.engine.url.update_query_dict({"options": "-csearch_path=public,citus_here"})
    opened = open_database(url.render_as_string(hide_password=False))
    yield opened
    opened.close()


def db(database: Database, folder: Path, *arguments: str) -> str:
    """What a `smr db` command prints."""
    url = database.engine.url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, ["db", *arguments], env={"SMR_DATABASE_URL": url}, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_customers_lie_by_bucket_side_by_side_and_references_everywhere(
    citus: Database, tmp_path: Path
) -> None:
    printed = db(citus, tmp_path, "distribute", "--shards", "64")
    assert "all is well" in printed
    lies = distribute.spread_now(citus)
    owners = {name: table.info["owner"] for name, table in metadata.tables.items()}
    assert {name for name, one in lies.items() if one.kind == "distributed"} == {
        name for name, owner in owners.items() if owner == "customer"
    }
    assert {name for name, one in lies.items() if one.kind == "reference"} == {
        name for name, owner in owners.items() if owner == "reference"
    }
    assert {(one.column, one.group) for one in lies.values() if one.kind == "distributed"} == {("bucket", 7)}


def test_what_was_broken_off_is_taken_up(citus: Database, tmp_path: Path) -> None:
    wanted = distribute.steps(metadata, {}, 32)
    distribute.distribute(citus, wanted[:9], lambda _: None)
    again = db(citus, tmp_path, "distribute")
    assert f"{len(wanted) - 9} tables spread, 9 were before" in again
    assert "0 tables spread" in db(citus, tmp_path, "distribute")


def test_a_dry_run_prints_the_statements_and_changes_nothing(citus: Database, tmp_path: Path) -> None:
    printed = db(citus, tmp_path, "distribute", "--dry-run")
    assert "SELECT create_reference_table('products')" in printed
    assert printed.count("create_distributed_table") == sum(
        table.info["owner"] == "customer" for table in metadata.tables.values()
    )
    assert distribute.spread_now(citus) == {}


@pytest.mark.parametrize(
    ("lies", "fault"),
    [
        (distribute.Spread("distributed", "customer_id", 7), "distributed by customer_id; smr needs bucket"),
        (distribute.Spread("reference", None, 1), "is reference; it should be distributed"),
        (distribute.Spread("distributed", "bucket", 8), "in another colocation group"),
        (None, "messages is not spread"),
    ],
)
def test_what_lies_otherwise_is_a_fault(lies: distribute.Spread | None, fault: str) -> None:
    well = {
        table.name: distribute.Spread("distributed", "bucket", 7)
        if table.info["owner"] == "customer"
        else distribute.Spread("reference", None, 1)
        for table in metadata.tables.values()
        if table.info["owner"] != "engine"
    }
    assert distribute.faults(metadata, well) == []
    others = {name: one for name, one in well.items() if name != "messages"}
    (found,) = distribute.faults(metadata, others if lies is None else {**others, "messages": lies})
    assert fault in found


def test_where_there_is_no_citus_that_is_said(database: Database) -> None:
    with pytest.raises(StateError, match="extension citus"):
        distribute.spread_now(database)


def test_a_dry_run_needs_no_citus(database: Database, tmp_path: Path) -> None:
    if database.dialect == "postgresql":
        assert "create_distributed_table" in db(database, tmp_path, "distribute", "--dry-run")


def test_too_many_shards_are_refused() -> None:
    with pytest.raises(OperatorError, match="--shards 1000"):
        distribute.steps(metadata, {}, 1000)


def test_each_statement_comes_after_those_of_the_tables_it_refers_to() -> None:
    order = [step.table for step in distribute.steps(metadata, {}, 32)]
    for table in metadata.tables.values():
        for link in table.foreign_key_constraints:
            if table.name in order and link.referred_table.name in order:
                assert order.index(link.referred_table.name) < order.index(table.name)
