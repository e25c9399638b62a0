"""The references do the same work as smr: without that, ratios would say nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from benchmarks import by_hand, by_orm, whole_by_hand
from benchmarks.loading import load, tidy, write_csv
from benchmarks.playbooks import read_rules, rules, write_rules, write_shop
from benchmarks.suite import USEFUL_FOR
from benchmarks.world import RUN_AT, World
from smr import clock, pipeline
from smr.database import Database, open_database
from smr.facts import import_files
from smr.playbook import load_library
from smr.settings import load_settings
from smr.tables import metadata, supplies

Texts = dict[tuple[str, str], str]


def test_smr_the_scripts_by_hand_and_the_orm_write_the_same_texts_to_the_same_customers(
    database_url: str, tmp_path: Path
) -> None:
    database = _loaded(database_url)
    by_smr = _run_smr(database, tmp_path)
    path = write_rules(tmp_path / "rules.json", rules(RUN_AT, USEFUL_FOR))

    by_script = _run_by_hand(database_url, database, path)
    with Session(database.engine) as session:
        by_orm.run(session, read_rules(str(path)))
    by_objects = _taken(database)
    whole = _whole(database_url)
    whole_by_hand.run(whole, by_hand.read(str(path)))
    whole.close()
    by_whole_script = _taken(database)
    database.close()

    assert len(by_smr) > 20
    assert by_script == by_smr
    assert by_objects == by_smr
    assert by_whole_script == by_smr


def test_pandas_writes_the_same_texts_to_the_same_customers(database_url: str, tmp_path: Path) -> None:
    pytest.importorskip("pandas", reason="pandas comes with the extra `bench`")
    from benchmarks import by_pandas

    database = _loaded(database_url)
    by_smr = _run_smr(database, tmp_path)
    path = write_rules(tmp_path / "rules.json", rules(RUN_AT, USEFUL_FOR))
    by_pandas.run(database_url, by_hand.read(str(path)))
    by_frames = _taken(database)
    database.close()

    assert by_frames == by_smr


def test_the_whole_way_by_hand_brings_supplies_up_to_date_as_smr_does(
    database_url: str, tmp_path: Path
) -> None:
    database = _loaded(database_url)
    config = write_shop(tmp_path / "shop", live=False, useful_for=USEFUL_FOR)
    settings = load_settings(config, {})
    library = load_library(settings.playbooks, settings)
    pipeline.rebuild(database, library, settings, now=RUN_AT)
    world = World(customers=400, lines=4_000)
    file = tmp_path / "day.csv"
    write_csv(file, world, world.day(400))
    import_files(database, settings, "purchases", [file], now=RUN_AT)

    script = _whole(database_url)
    script.refresh(clock.seconds(RUN_AT))
    script.close()
    by_script = _supplies(database)
    pipeline.rebuild(database, library, settings, now=RUN_AT)
    by_smr = _supplies(database)
    database.close()

    assert len(by_smr) > 1_000
    assert by_script == by_smr


def _loaded(url: str) -> Database:
    empty = open_database(url)
    with empty.write() as connection:
        metadata.create_all(connection)
    empty.close()  # the load takes the database for itself
    load(url, World(customers=400, lines=4_000))
    tidy(url)
    return open_database(url)


def _run_smr(database: Database, folder: Path) -> Texts:
    config = write_shop(folder / "shop", live=True, useful_for=USEFUL_FOR)
    settings = load_settings(config, {})
    library = load_library(settings.playbooks, settings)
    pipeline.run(database, library, settings, now=RUN_AT)
    return _taken(database)


def _whole(url: str) -> whole_by_hand.WholeSqlite | whole_by_hand.WholePostgresql:
    kind = whole_by_hand.WholeSqlite if url.startswith("sqlite") else whole_by_hand.WholePostgresql
    return kind(url)


def _supplies(database: Database) -> set[tuple[Any, ...]]:
    """What stands in a supply that follows from purchases and stated days."""
    names = ("customer_id", "line", "order_id", "last_purchased_at", "product_id", "quantity", "purchases")
    columns = [supplies.c[name] for name in names]
    at = sa.type_coerce(supplies.c.runs_out_at, sa.BigInteger)
    with database.read() as connection:
        return {tuple(row) for row in connection.execute(sa.select(*columns, at))}


def _run_by_hand(url: str, database: Database, path: Path) -> Texts:
    script = by_hand.Sqlite(url) if url.startswith("sqlite") else by_hand.Postgresql(url)
    by_hand.run(script, by_hand.read(str(path)))
    script.close()
    return _taken(database)


def _taken(database: Database) -> Texts:
    """The text of each message by customer and playbook; outbox and candidates are empty again."""
    with database.write() as connection:
        found = connection.execute(sa.text("SELECT customer_id, playbook, body FROM messages")).all()
        connection.execute(sa.text("DELETE FROM messages"))
        connection.execute(sa.text("DELETE FROM candidates"))
    return {(customer_id, playbook): body for customer_id, playbook, body in found}
