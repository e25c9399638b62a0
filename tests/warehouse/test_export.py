"""What a warehouse finds by the exported SQL is what smr finds; taken back, it passes the same guards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from smr import pipeline
from smr.database import Database, open_database
from smr.database.migrate import mark_current
from smr.errors import OperatorError
from smr.facts import import_files
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import candidates, given_candidates, messages, metadata
from smr.warehouse import GIVEN, Export, steps_of
from tests.fresh import fresh_postgresql
from tests.library import CATALOG, REFILL, library
from tests.warehouse import lake
from tests.worlds import NOW, World, put, random_worlds

SHOP = Settings()
TWO_LINES = """
name: both
status: live
trigger: {runs_out: {category: [洁面, 猫粮], product: P1}}
steps:
  - {name: soon, send: 10d before due, message: a, useful_for: 30d}
  - {name: after, send: 2d after soon, message: b}
  - {name: asked, send: 20d after anchor, message: c, useful_for: 90d}
"""
CARE = """
name: care
status: live
trigger: {purchase: {category: 洁面}}
steps: [{name: thanks, send: 3d after purchase, message: a, useful_for: 60d}]
"""
BIRTHDAY = """
name: birthday
status: live
trigger: {date: {field: birthday}}
steps: [{name: wish, send: on due, message: a, useful_for: 3d}]
"""
FIRST = """
name: first
status: live
trigger: {date: {field: first_purchase}}
steps: [{name: again, send: on due, message: a, useful_for: 5d}]
"""
BACK = """
name: back
status: live
trigger: {refund: {category: 洁面}}
steps: [{name: sorry, send: 1d after anchor, message: a, useful_for: 60d}]
"""
MONDAY = """
name: monday
status: live
trigger: {schedule: {every: [mon], at: "08:00"}}
who: {all: [{orders: {at_least: 2}}, {not: {refunded: {within: 30d}}}, {spend: {at_least: 90}}]}
steps: [{name: news, send: on slot, message: a}]
"""
TRACKING_BOTH = "track: both\n" + CATALOG + "  products: {P2: {lasts: 20d, learn: false, units: 2}}\n"
BOOKS = library(TWO_LINES, CARE, BIRTHDAY, FIRST, BACK, MONDAY, catalog=TRACKING_BOTH)
EACH = [book.name for book in BOOKS.playbooks]


def exported(books: Library, name: str, dialect: str, **more: Any) -> str:
    """The SQL of one playbook."""
    playbook = next(one for one in books.playbooks if one.name == name)
    return Export(playbook, books, SHOP, NOW, dialect, **more).sql()


def plain(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((tuple(row[name] for name in GIVEN) for row in rows), key=str)


def found_by_smr(database: Database, books: Library, names: list[str]) -> list[tuple[Any, ...]]:
    """The candidates a run finds, with times in seconds."""
    pipeline.run(database, books, SHOP, now=NOW)
    columns = [sa.type_coerce(c, sa.BigInteger) if c.name.endswith("_at") else c for c in candidates.c]
    asked = sa.select(*columns).where(candidates.c.playbook.in_(names))
    with database.read() as connection:
        rows = [dict(zip(candidates.c.keys(), row, strict=True)) for row in connection.execute(asked)]
    return plain(rows)


def _make(database: Database) -> None:
    with database.write() as connection:
        metadata.create_all(connection)
        mark_current(connection)


@pytest.fixture(scope="module")
def rules() -> list[str]:
    """The SQL of each playbook, for DuckDB."""
    return [exported(BOOKS, name, "duckdb") for name in EACH]


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(world=random_worlds(least=2, most=8))
def test_duckdb_over_parquet_finds_whom_smr_finds(rules: list[str], world: World) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        lake.write(world, folder)
        found = [row for rule in rules for row in lake.ask_duckdb(folder, rule)]
        database = open_database(f"sqlite:///{folder}/shop.db")
        _make(database)
        put(database, world)
        assert plain(found) == found_by_smr(database, BOOKS, EACH)
        database.close()


def ana(days_ago: float = 41) -> World:
    world = World()
    for product in ("foam", "fish"):
        world.product(product, category={"foam": "洁面", "fish": "猫粮"}[product])
    world.customer("ana", addresses={"wecom": "wm-ana"}, consent=True, birthday="1990-11-23")
    world.customer("小林", addresses={"wecom": "wm-lin"}, consent=True)
    world.purchase("ana", "foam", days_ago=days_ago)
    back = world.purchase("小林", "foam", days_ago=days_ago, quantity=2.0)
    world.refund(back, days_ago=1, quantity=1.0)
    world.purchase("小林", "fish", days_ago=3)
    return world


def test_postgresql_finds_whom_smr_finds(postgres_url: str, sqlite_database: Database) -> None:
    world = ana()
    put(sqlite_database, world)
    with fresh_postgresql(postgres_url) as warehouse, warehouse.write() as connection:
        connection.exec_driver_sql("CREATE SCHEMA lake")
        _as_tables(connection, world)
        found = []
        for book in EACH:
            answer = connection.exec_driver_sql(exported(BOOKS, book, "postgresql", schema="lake"))
            found += [dict(row) for row in answer.mappings()]
    assert len(found) > 4
    assert plain(found) == found_by_smr(sqlite_database, BOOKS, EACH)


def _as_tables(connection: sa.Connection, world: World) -> None:
    kinds = {"string": sa.Text, "double": sa.Double, "int32": sa.Integer, "int64": sa.BigInteger}
    for name, table in lake.tables(world).items():
        columns = [
            sa.Column(field.name, kinds.get(str(field.type), sa.TIMESTAMP(timezone=True)))
            for field in table.schema
        ]
        made = sa.Table(name, sa.MetaData(schema="lake"), *columns)
        made.create(connection)
        rows = table.to_pylist()
        if rows:
            connection.execute(sa.insert(made), rows)


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    if find_spec("pyspark") is None or shutil.which("java") is None:
        pytest.skip("Spark is not here: it needs Java and the package pyspark")
    yield from lake.spark()


@pytest.mark.filterwarnings("ignore")
def test_spark_finds_whom_smr_finds(spark: Any, tmp_path: Path, sqlite_database: Database) -> None:
    world = ana()
    put(sqlite_database, world)
    lake.write(world, tmp_path)
    found = [row for book in EACH for row in lake.ask_spark(spark, tmp_path, exported(BOOKS, book, "spark"))]
    assert plain(found) == found_by_smr(sqlite_database, BOOKS, EACH)


# And back


def told_by_the_lake(folder: Path, world: World, books: Library) -> Path:
    """The result for all playbooks as one Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    lake.write(world, folder)
    rows = [
        row for one in books.playbooks for row in lake.ask_duckdb(folder, exported(books, one.name, "duckdb"))
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "due.parquet")
    return folder / "due.parquet"


def give(database: Database, books: Library, *files: Path) -> Any:
    return import_files(database, SHOP, "candidates", files, now=NOW, steps=steps_of(books))


def outbox(database: Database) -> list[tuple[Any, ...]]:
    columns = (
        messages.c.customer_id,
        messages.c.playbook,
        messages.c.step,
        messages.c.anchor,
        messages.c.body,
    )
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(*columns))]


def without_history(world: World) -> World:
    """The same shop, where purchases lie elsewhere."""
    return World(
        products=world.products,
        customers=world.customers,
        addresses=world.addresses,
        consents=world.consents,
    )


REFILLS = library(REFILL, CARE)


def test_what_a_lake_gave_becomes_the_messages_smr_would_have_made(
    database: Database, tmp_path: Path, sqlite_database: Database
) -> None:
    world = ana()
    put(sqlite_database, world)
    pipeline.run(sqlite_database, REFILLS, SHOP, now=NOW)
    wanted = outbox(sqlite_database)
    assert wanted
    put(database, without_history(world))
    give(database, REFILLS, told_by_the_lake(tmp_path, world, REFILLS))
    pipeline.run(database, REFILLS, SHOP, now=NOW)
    assert outbox(database) == wanted
    pipeline.run(database, REFILLS, SHOP, now=NOW)
    assert outbox(database) == wanted


def verdicts(database: Database) -> dict[str, tuple[str, str | None]]:
    asked = sa.select(candidates.c.customer_id, candidates.c.state, candidates.c.reason)
    with database.read() as connection:
        return {name: (state, reason) for name, state, reason in connection.execute(asked)}


def test_guards_know_more_than_the_lake_did(database: Database, tmp_path: Path) -> None:
    """Ana bought an hour ago, and 小林 opted out; the lake was filled in the night."""
    world, books = ana(), library(REFILL)
    file = told_by_the_lake(tmp_path, world, books)
    known = without_history(world)
    known.consent("小林", granted=False, days_ago=0)
    known.purchase("ana", "foam", days_ago=0.04)
    put(database, known)
    give(database, books, file)
    pipeline.run(database, books, SHOP, now=NOW)
    assert verdicts(database) == {"ana": ("blocked", "bought_already"), "小林": ("blocked", "opted_out")}


def test_a_day_that_moves_stays_one_reminder(database: Database, tmp_path: Path) -> None:
    books = library(REFILL)
    put(database, without_history(ana()))
    line = "refill,heads_up,ana,o1/洁面,2026-10-13T09:00:00+08:00,{}"
    head = "playbook,step,customer_id,anchor,anchor_at,due_at"
    for due_at in ("2026-11-23T09:00", "2026-11-29", "1795395600", "2026-11-23 09:00:00"):
        (tmp_path / "due.csv").write_text(f"{head}\n{line.format('2026-11-01')}\n{line.format(due_at)}\n")
        give(database, books, tmp_path / "due.csv")
    with database.read() as connection:
        kept = connection.execute(sa.select(given_candidates.c.due_at)).scalars().all()
    assert kept == [NOW]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("refil,heads_up,ana,o1,2026-10-13,2026-11-22", "playbook"),
        ("refill,head,ana,o1,2026-10-13,2026-11-22", "step"),
        ("refill,heads_up,,o1,2026-10-13,2026-11-22", "missing"),
        ("refill,heads_up,ana,o1,soon,2026-11-22", "time"),
        ("refill,heads_up,ana,o1,2026-10-13,", "missing"),
    ],
)
def test_a_row_that_cannot_be_is_refused_alone(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str, code: str
) -> None:
    monkeypatch.chdir(tmp_path)
    good = "\n".join(f"refill,heads_up,ana,o{n},2026-10-13,2026-11-22" for n in range(9))
    head = "playbook,step,customer_id,anchor,anchor_at,due_at"
    (tmp_path / "due.csv").write_text(f"{head}\n{good}\n{row}\n")
    report = give(sqlite_database, library(REFILL), tmp_path / "due.csv")
    assert (report.new, report.refused) == (9, {code: 1})


# What no warehouse can know


@pytest.mark.parametrize(
    ("playbook", "catalog", "why"),
    [
        (REFILL, CATALOG.replace(", learn: false", ""), "smr learns how long its lines last"),
        (REFILL.replace("5d before due", "due at 75%"), CATALOG, "count on what smr learns"),
        (MONDAY.replace("{orders: {at_least: 2}}", "{tag: vip}"), CATALOG, "asks of tags"),
    ],
)
def test_what_only_smr_knows_is_not_exported(playbook: str, catalog: str, why: str) -> None:
    books = library(playbook, catalog=catalog)
    with pytest.raises(OperatorError, match=why):
        exported(books, books.playbooks[0].name, "duckdb")


def test_the_stated_days_are_exported_where_that_is_said() -> None:
    books = library(REFILL, catalog=CATALOG.replace(", learn: false", ""))
    assert "smr_supplies" in exported(books, "refill", "spark", stated=True)


def test_a_day_on_which_nobody_can_be_due_gives_no_row(tmp_path: Path) -> None:
    lake.write(ana(), tmp_path)
    tuesday = library(MONDAY.replace("[mon]", "[tue]"))
    assert lake.ask_duckdb(tmp_path, exported(tuesday, "monday", "duckdb")) == []


def test_a_step_that_counts_from_a_message_is_left_to_smr() -> None:
    assert "-- step after counts from soon: smr finds it by itself" in exported(BOOKS, "both", "duckdb")
