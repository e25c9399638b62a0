"""A power cut leaves what was committed up to some moment: the log of writes is cut anywhere and opened."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

from smr.database import Database, open_database
from smr.tables import metadata, tags

WRITES = 40
"""Transactions in a log."""
A_LOG = 2_000
"""Cuts of one log; then another one is written."""


def cut(
    folder: Path, count: int, seed: int, told: Callable[[int], object] = lambda _done: None
) -> list[int | None]:
    """Cut so many times; how many of the first writes were there each time, None where that was not all."""
    draw, found = random.Random(seed), []  # noqa: S311
    for done in range(count):
        if done % A_LOG == 0:
            file, log = _written(folder / f"log-{done}.db")
        found.append(_opens_to(folder / "after.db", file, log[: draw.randrange(len(log) + 1)]))
        told(done + 1)
    return found


def _written(path: Path) -> tuple[bytes, bytes]:
    """A database, and the log of its last writes."""
    database = open_database(f"sqlite:///{path}")
    with database.write() as connection:
        metadata.create_all(connection)
    with database.read() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    write(database, WRITES)
    found = path.read_bytes(), path.with_name(path.name + "-wal").read_bytes()
    database.close()
    return found


def write(database: Database, count: int) -> None:
    """So many transactions, one row each."""
    for number in range(count):
        row = {"bucket": 1, "customer_id": "ana", "tag": f"{number:03}", "source": "x", "set_at": number}
        with database.write() as connection:
            connection.execute(tags.insert(), row)


def _opens_to(path: Path, file: bytes, log: bytes) -> int | None:
    """How many of the writes are there; None where they are not the first ones, or anything is damaged."""
    path.write_bytes(file)
    path.with_name(path.name + "-wal").write_bytes(log)
    opened = sqlite3.connect(path)
    sound = opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    found = [tag for (tag,) in opened.execute("SELECT tag FROM tags ORDER BY set_at")]
    opened.close()
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    return len(found) if sound and found == [f"{number:03}" for number in range(len(found))] else None
