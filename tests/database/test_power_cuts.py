"""A power cut leaves what was committed up to some moment: the log of writes is cut anywhere and opened."""

from __future__ import annotations

from pathlib import Path

from smr.database import Database
from tests.crash.cuts import cut

CUTS = 80


def test_wherever_the_log_of_writes_is_cut_the_first_writes_are_there_and_no_half_one(tmp_path: Path) -> None:
    found = cut(tmp_path, CUTS, seed=7)
    assert None not in found
    assert len(set(found)) > 20, "the cuts fell between many writes"


def test_what_is_committed_is_on_the_disk_before_the_commit_returns(sqlite_database: Database) -> None:
    with sqlite_database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2, "FULL"
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
