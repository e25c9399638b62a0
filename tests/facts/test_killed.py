"""An import killed at any point, and run again: every row once, every customer with something new marked."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import sqlalchemy as sa

from smr.database import Database, open_database
from smr.facts import import_files, staging
from smr.settings import Settings
from smr.tables import changed_customers, imports, purchases, rejected_rows
from tests.facts.conftest import NOW
from tests.facts.test_purchases import HEADER
from tests.warm import start

SLICE = 500
LINES = 3 * SLICE + 100
POINTS = (
    *(
        "import_staged:1",
        "import_slice:1",
        "import_slice_committed:1",
        "import_slice:3",
        "import_slice_committed:3",
    ),
    *("import_slice_committed:4", "import_finish:1", "import_finished:1"),
)


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More lines than fit one slice, and a few bad ones."""
    path = tmp_path_factory.mktemp("killed") / "sales.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write(HEADER)
        for at in range(LINES):
            file.write(f"c{at % 200},p{at % 7},drinks,1,2.50,2026-03-0{at % 9 + 1},O-{at // 2}\n")
            if at % 300 == 0:
                file.write("ben,tea,drinks,none,1,2026-03-01,B-1\n")
    return path


def importing(url: str, path: Path, folder: Path) -> None:
    """What a process does that is to be killed: an import, in slices of few lines."""
    staging.SLICE = SLICE
    settings = Settings.model_validate({"import": {"rejects_folder": folder}})
    import_files(open_database(url), settings, "purchases", [path], now=NOW)


def test_two_imports_of_the_same_file_at_once(
    database: Database, database_url: str, sales: Path, tmp_path: Path
) -> None:
    both = [start(importing, database_url, sales, tmp_path / name) for name in ("a", "b")]

    for process in both:
        process.finished()
        assert process.errors == ""

    with database.read() as connection:
        counts = [told["new"] for told in connection.scalars(sa.select(imports.c.counts))]
        assert connection.scalar(sa.select(sa.func.count()).select_from(purchases)) == LINES
    assert sum(counts) == LINES


def killed_at(point: str, url: str, path: Path, folder: Path) -> None:
    """Import in a process of its own that dies at that point."""
    died = start(importing, url, path, folder, crash=point)
    assert died.wait() == -signal.SIGKILL, died.errors


@pytest.mark.parametrize("point", POINTS)
def test_killed_and_run_again(
    database: Database, database_url: str, sales: Path, tmp_path: Path, point: str
) -> None:
    killed_at(point, database_url, sales, tmp_path)
    with database.read() as connection:
        stored = connection.scalar(sa.select(sa.func.count()).select_from(purchases)) or 0
        marked = set(connection.scalars(sa.select(changed_customers.c.customer_id)))
        bought = set(connection.scalars(sa.select(purchases.c.customer_id)))
    assert marked == bought
    assert (stored == LINES) or stored % SLICE == 0

    told = Settings.model_validate({"import": {"rejects_folder": tmp_path}})
    report = import_files(database, told, "purchases", [sales], now=NOW)

    assert (report.new, report.unchanged) == (LINES - stored, stored)
    assert report.refused == {"number": 6}
    with database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(purchases)) == LINES
        assert set(connection.scalars(sa.select(changed_customers.c.customer_id))) == {
            f"c{n}" for n in range(200)
        }
        last = sa.select(sa.func.max(imports.c.import_id)).scalar_subquery()
        kept = sa.select(sa.func.count()).where(rejected_rows.c.import_id == last)
        assert connection.scalar(kept) == 6
