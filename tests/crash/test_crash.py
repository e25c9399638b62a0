"""The short form of the crash harness, with the rest of the tests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_kills_at_every_named_point_lose_nothing_and_repeat_nothing_unflagged(database: str) -> None:
    command = [sys.executable, "-m", "tests.crash", "--runs", "1", "--databases", database]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    totals = done.stdout.splitlines()[-1]
    assert re.search(r": 0 lost, 0 duplicate rows, 0 second deliveries that were not flagged", totals)
