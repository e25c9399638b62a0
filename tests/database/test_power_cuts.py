"""A power cut leaves what was committed up to some moment: the log of writes is cut anywhere and opened."""

from __future__ import annotations

import random
from pathlib import Path

import sqlalchemy as sa

from smr.database import Database, open_database
from smr.tables import tags

CUTS = 80


def written(database: Database, count: int) -> None:
    for number in range(count):
        row = {"bucket": 1, "customer_id": "ana", "tag": f"{number:03}", "source": "x", "set_at": number}
        with database.write() as connection:
            connection.execute(tags.insert(), row)


def test_wherever_the_log_of_writes_is_cut_the_first_writes_are_there_and_no_half_one(
    sqlite_database: Database, tmp_path: Path
) -> None:
    with sqlite_database.read() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    written(sqlite_database, 40)
    file, log = (tmp_path / "shop.db").read_bytes(), (tmp_path / "shop.db-wal").read_bytes()
    draw, kept = random.Random(7), set()  # noqa: S311
    for cut in sorted(draw.randrange(len(log) + 1) for _ in range(CUTS)):
        after = tmp_path / f"after-{cut}.db"
        after.write_bytes(file)
        after.with_name(after.name + "-wal").write_bytes(log[:cut])
        opened = open_database(f"sqlite:///{after}")
        with opened.read() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
            found = list(connection.scalars(sa.select(tags.c.tag).order_by(tags.c.set_at)))
        opened.close()
        assert found == [f"{number:03}" for number in range(len(found))]
        kept.add(len(found))
    assert len(kept) > 20, "the cuts fell between many writes"


def test_what_is_committed_is_on_the_disk_before_the_commit_returns(sqlite_database: Database) -> None:
    with sqlite_database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2, "FULL"
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
