"""What a database refuses is said in the operator's words, with no traceback and no password."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import sqlalchemy as sa

from smr.database import Database, engine, open_database
from smr.errors import OperatorError, StateError
from smr.tables import staff
from tests.fresh import fresh_postgresql


def _read(database: Database) -> None:
    with database.read() as connection:
        connection.scalar(sa.select(sa.func.count()).select_from(staff))


def _write(database: Database) -> None:
    with database.write() as connection:
        connection.execute(staff.insert().values(staff_id="小林", name="x" * 20_000))


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_text("not a database, but long enough to look at " * 50)
    with pytest.raises(StateError, match=r"shop\.db is not a SQLite database"):
        _read(open_database(f"sqlite:///{tmp_path}/shop.db"))


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"database_path: the folder .* does not exist"):
        _read(open_database(f"sqlite:///{tmp_path}/nowhere/shop.db"))


def test_a_damaged_file_is_told(sqlite_database: Database, tmp_path: Path) -> None:
    _write(sqlite_database)
    sqlite_database.close()
    file = tmp_path / "shop.db"
    content = bytearray(file.read_bytes())
    content[engine.PAGE_BYTES :] = b"\xff" * (len(content) - engine.PAGE_BYTES)
    file.write_bytes(content)
    with pytest.raises(StateError, match="is damaged"):
        _write(open_database(f"sqlite:///{file}"))


def test_a_busy_file_is_told_after_waiting(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 100)
    impatient = open_database(f"sqlite:///{tmp_path}/shop.db")
    with sqlite_database.write(), pytest.raises(StateError, match="another process has been writing"):
        _write(impatient)
    impatient.close()


def test_a_full_disk_is_told_and_nothing_is_half_written(sqlite_database: Database) -> None:
    with sqlite_database.read() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        pages = raw.execute("PRAGMA page_count").fetchone()[0]
        raw.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StateError, match="the disk is full"):
        _write(sqlite_database)
    with sqlite_database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(staff)) == 0


def test_a_deadlock_ends_one_of_the_two_and_says_that_nothing_was_lost(postgres_url: str) -> None:
    with fresh_postgresql(postgres_url) as database:
        with database.write() as connection:
            staff.create(connection)
            connection.execute(staff.insert(), [{"staff_id": "小林"}, {"staff_id": "小王"}])
        both_hold_one = Barrier(2, timeout=20)

        def rename(first: str, second: str) -> str:
            try:
                with database.write() as connection:
                    connection.execute(sa.update(staff).where(staff.c.staff_id == first).values(name="x"))
                    both_hold_one.wait()
                    connection.execute(sa.update(staff).where(staff.c.staff_id == second).values(name="y"))
            except StateError as error:
                return str(error)
            return "done"

        with ThreadPoolExecutor(2) as pool:
            said = sorted(pool.map(rename, ("小林", "小王"), ("小王", "小林")))
        assert said[0] == "done"
        assert "waited for another one. Nothing was lost; run it again" in said[1]


def test_a_read_only_file_is_told(sqlite_database: Database) -> None:
    with sqlite_database.read() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    with pytest.raises(StateError, match="is read-only"):
        _write(sqlite_database)


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(StateError, match="cannot be reached") as refused:
        _read(open_database("postgresql://ana:geheim@127.0.0.1:1/shop"))
    assert "geheim" not in str(refused.value)
    assert "ana:***@127.0.0.1" in str(refused.value)


def test_a_connection_that_was_closed_is_told_and_the_next_one_works(postgres_url: str) -> None:
    with fresh_postgresql(postgres_url) as database:
        with database.read() as connection:
            victim = connection.scalar(sa.select(sa.func.pg_backend_pid()))
            with open_database(postgres_url).read() as other:
                other.execute(sa.select(sa.func.pg_terminate_backend(victim)))
            with pytest.raises(StateError, match="Nothing was half written"), database.explained():
                connection.execute(sa.select(1))
        with database.read() as connection:
            assert connection.scalar(sa.select(1)) == 1


def test_a_read_only_server_is_told(postgres_url: str) -> None:
    refused = pytest.raises(StateError, match="is read-only")
    with fresh_postgresql(postgres_url) as database, refused, database.write() as connection:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        staff.create(connection)


def test_a_mistake_of_our_own_is_not_explained_away(database: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError), database.read() as connection:
        connection.execute(sa.select(sa.column("nothing")).select_from(staff))
