"""Memory stays flat: many times the lines, hardly more memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.facts.test_purchases import HEADER

CODE = """
import sys
from pathlib import Path
from tests.facts.conftest import NOW
from smr.database import open_database
from smr.facts import import_files
from smr.settings import Settings
from smr.tables import metadata
database = open_database(sys.argv[1])
metadata.create_all(database.engine)
import_files(database, Settings(), "purchases", [Path(sys.argv[2])], now=NOW)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def peak(folder: Path, lines: int) -> int:
    """The most memory, in KiB, that an import of so many lines has taken."""
    path = folder / f"{lines}.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write(HEADER)
        file.writelines(
            f"c{at % 90_001},p{at % 997},drinks,1,2.50,2026-03-01,O-{at}\n" for at in range(lines)
        )
    url = f"sqlite:///{folder}/{lines}.db"
    done = subprocess.run(
        [sys.executable, "-c", CODE, url, str(path)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_six_times_the_lines_take_hardly_more_memory(tmp_path: Path) -> None:
    few, many = peak(tmp_path, 40_000), peak(tmp_path, 240_000)

    assert many < 1.35 * few
    assert many < 200_000
