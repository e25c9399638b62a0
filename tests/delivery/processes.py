"""Starting real worker processes, and having them killed at a named point."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start(what: str, url: str, folder: Path, *, crash: str = "", lease: int = 60) -> subprocess.Popen[str]:
    environ = {**os.environ, "SMR_TEST_CRASH": crash} if crash else {**os.environ}
    command = [sys.executable, "-m", "tests.delivery.worker", what, url, str(folder), str(lease)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def killed_at(point: str, what: str, url: str, folder: Path) -> None:
    """Run a worker that dies at that point; fails where it does not come to it."""
    process = start(what, url, folder, crash=point)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, f"never came to {point}: {errors}"


def finished(process: subprocess.Popen[str]) -> str:
    """Wait for a worker to end well; gives what it said."""
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return said
