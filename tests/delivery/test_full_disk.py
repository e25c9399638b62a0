"""When the disk is full, nothing is sent of which there is no record."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from smr.database import Database
from smr.errors import StateError
from smr.tables import deliveries
from tests.delivery.scripted import Scripted, use
from tests.delivery.shop import deliver_all, settings_for
from tests.outbox.rows import customers, queue_for


def grow_to(database: Database, pages: int) -> None:
    """Let the file have so many pages, on every connection from now on."""

    def limit(raw: Any, *_: Any) -> None:
        assert isinstance(raw, sqlite3.Connection)
        raw.execute(f"PRAGMA max_page_count = {pages}")

    database.engine.dispose()
    sa.event.listen(database.engine, "connect", limit)


def test_nothing_is_sent_without_its_record_and_all_goes_on_when_there_is_space(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = Scripted(max_batch=50)
    use(monkeypatch, channel)
    people = customers(2_000)
    queue_for(sqlite_database, people)
    with sqlite_database.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    settings = settings_for(tmp_path, channels={"wecom": {}})
    grow_to(sqlite_database, pages + 2)
    with pytest.raises(StateError, match="the disk is full"):
        deliver_all(sqlite_database, tmp_path, settings=settings)
    assert len(channel.got) < len(people)
    assert set(channel.got) <= recorded(sqlite_database)
    grow_to(sqlite_database, 1_000_000)
    for _ in range(3):
        deliver_all(sqlite_database, tmp_path, settings=settings)
    assert len(channel.got) == len(set(channel.got)), "and nobody got it twice"


def recorded(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.scalars(sa.select(deliveries.c.customer_id)))
