"""Real worker processes, and having them killed at a named point."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from smr import outbox
from smr.database import open_database
from tests.delivery.shop import deliver_all
from tests.outbox.rows import NOON, customers, row
from tests.warm import Worker
from tests.warm import start as started


def start(what: str, url: str, folder: Path, *, crash: str = "", lease: int = 60) -> Worker:
    """A worker that does `what`: deliver, claim or put."""
    return started(work, what, url, folder, lease, crash=crash)


def killed_at(point: str, what: str, url: str, folder: Path) -> None:
    """Run a worker that dies at that point; fails where it does not come to it."""
    process = start(what, url, folder, crash=point)
    assert process.wait() == -signal.SIGKILL, f"never came to {point}: {process.errors}"


def work(what: str, url: str, folder: Path, lease: int) -> None:
    """What a worker does, in its own process."""
    database = open_database(url)
    owner = f"worker-{os.getpid()}"
    if what == "deliver":
        deliver_all(database, folder, owner=owner, lease_seconds=lease)
    elif what == "claim":
        while found := outbox.claim(database, "wecom", owner=owner, limit=50, lease_seconds=lease, now=NOON):
            sys.stdout.write("".join(f"{message.message_id}\n" for message in found))
            sys.stdout.flush()
    else:
        for first in range(0, 300, 100):
            with database.write() as connection:
                outbox.put(connection, [row(person) for person in customers(300)[first : first + 100]])
    database.close()
