"""A SQLite database is copied while it is in use, whole or not at all."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from smr.database import Database, open_database
from smr.database.files import backup, file_of, network_drive
from smr.errors import OperatorError
from smr.tables import tags
from tests.worlds import World, put

WRITER = """
import itertools, sys
from smr.database import open_database
from smr.tables import tags
database = open_database(sys.argv[1])
print("writing", flush=True)
for number in itertools.count():
    with database.write() as connection:
        rows = [dict(bucket=1, customer_id="ana", tag=f"{number}-{half}", source="x", set_at=number)
                for half in "ab"]
        connection.execute(tags.insert(), rows)
"""


def _ana(database: Database) -> None:
    world = World()
    world.customer("ana")
    world.tag("ana", "vip")
    put(database, world)


def _tags(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.scalars(sa.select(tags.c.tag).order_by(tags.c.tag)))


def test_a_new_file_has_large_pages_and_an_older_one_keeps_its_own(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db")) as raw:
        raw.executescript(
            "PRAGMA page_size = 4096; CREATE TABLE kept (what TEXT); INSERT INTO kept VALUES ('it')"
        )
    sizes = []
    for name in ("new.db", "old.db"):
        opened = open_database(f"sqlite:///{tmp_path}/{name}")
        with opened.write() as connection:
            connection.exec_driver_sql("CREATE TABLE more (what TEXT)")
            sizes.append(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
        opened.close()
    assert sizes == [16_384, 4_096]
    with closing(sqlite3.connect(tmp_path / "old.db")) as raw:
        assert raw.execute("SELECT what FROM kept").fetchall() == [("it",)]


def test_a_copy_holds_what_was_committed_and_nothing_else(sqlite_database: Database, tmp_path: Path) -> None:
    _ana(sqlite_database)
    with sqlite_database.trial() as connection:
        connection.execute(
            tags.insert().values(bucket=1, customer_id="ben", tag="never", source="import", set_at=1)
        )
        size = backup(sqlite_database, tmp_path / "copy.db")
    copy = open_database(f"sqlite:///{tmp_path}/copy.db")
    assert _tags(copy) == ["vip"]
    assert size == (tmp_path / "copy.db").stat().st_size
    copy.close()


def test_a_copy_made_while_another_process_writes_is_sound(sqlite_database: Database, tmp_path: Path) -> None:
    _ana(sqlite_database)
    url = str(sqlite_database.engine.url)
    with subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        for number in range(3):
            backup(sqlite_database, tmp_path / f"{number}.db")
        writer.kill()
    for number in range(3):
        copy = open_database(f"sqlite:///{tmp_path}/{number}.db")
        with copy.read() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        written = [tag for tag in _tags(copy) if tag != "vip"]
        assert len(written) % 2 == 0
        copy.close()


def test_progress_is_told_to_the_end(sqlite_database: Database, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    backup(sqlite_database, tmp_path / "copy.db", lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0


def test_a_file_that_is_there_is_not_overwritten(sqlite_database: Database, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(OperatorError, match="is there already"):
        backup(sqlite_database, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"


def test_a_folder_that_is_not_there_is_named(sqlite_database: Database, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"the folder .*nowhere does not exist"):
        backup(sqlite_database, tmp_path / "nowhere" / "copy.db")


def test_a_copy_that_fails_leaves_no_file(sqlite_database: Database, tmp_path: Path) -> None:
    def no_more_space(_done: int, _total: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OperatorError, match="No space left on device"):
        backup(sqlite_database, tmp_path / "copy.db", no_more_space)
    assert list(tmp_path.glob("copy.db*")) == []


def test_postgresql_is_left_to_pg_dump_without_showing_the_password(tmp_path: Path) -> None:
    database = open_database("postgresql://ana:geheim@localhost/shop")
    with pytest.raises(OperatorError) as refused:
        backup(database, tmp_path / "shop.dump")
    assert "pg_dump --format=custom" in str(refused.value)
    assert "postgresql://ana@localhost/shop" in str(refused.value)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    ("mounts", "kind"),
    [
        ("/dev/sda1 / ext4 rw 0 0\nfiles:/shop {folder} nfs4 rw 0 0", "nfs4"),
        ("/dev/sda1 / ext4 rw 0 0\n//files/shop {folder} cifs rw 0 0", "cifs"),
        ("files:/ / nfs4 rw 0 0\n/dev/sda1 {folder} ext4 rw 0 0", ""),
        ("/dev/sda1 / ext4 rw 0 0", ""),
        ("", ""),
    ],
)
def test_a_network_drive_is_told_by_the_mount_the_file_lies_on(
    tmp_path: Path, mounts: str, kind: str
) -> None:
    folder = tmp_path / "my shop"
    folder.mkdir()
    table = tmp_path / "mounts"
    table.write_text(mounts.format(folder=str(folder).replace(" ", "\\040")))
    assert network_drive(folder / "smr.db", table) == kind


def test_without_a_list_of_mounts_nothing_is_claimed(tmp_path: Path) -> None:
    assert network_drive(tmp_path / "smr.db", tmp_path / "none") == ""


def test_only_a_sqlite_file_has_a_file(sqlite_database: Database, tmp_path: Path) -> None:
    assert file_of(sqlite_database) == tmp_path / "shop.db"
    assert file_of(open_database("sqlite://")) is None
    assert file_of(open_database("postgresql://localhost/shop")) is None
