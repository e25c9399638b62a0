"""Queueing alone: rendered messages into the outbox, beside the same rows by the driver with nothing checked.

    python -m benchmarks.putting URL CONFIG NOW

Takes what `benchmarks.rendering` decided in that database. Each turn is a transaction that is rolled back.
By the driver is `executemany` without a conflict clause on SQLite, and COPY straight into the table on
PostgreSQL: neither may meet a message that is there already. Prints one JSON line with messages per second.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from benchmarks.measure import middle
from benchmarks.rendering import RUN_ID
from smr import outbox
from smr.database import Database, open_database
from smr.garbage import look_rarely
from smr.messages.rendering import RenderedMessage, render
from smr.outbox.put import COLUMNS
from smr.pipeline import MESSAGES_A_SLICE
from smr.playbook import load_library
from smr.settings import load_settings
from smr.slices import cut

TURNS = 5
NAMES = ", ".join(COLUMNS)
RAW_SQLITE = f"INSERT INTO messages ({NAMES}, state) VALUES ({', '.join('?' * len(COLUMNS))}, 'queued')"
RAW_POSTGRESQL = f"COPY messages ({NAMES}, state) FROM STDIN"

Put = Callable[[Connection, Sequence[RenderedMessage]], int]


def main() -> None:
    """Queue the same messages both ways in turn, and tell how quick each was."""
    url, config, now = sys.argv[1:]
    look_rarely()  # as the program does; it helps both ways alike
    database = open_database(url)
    made = _rendered(database, config, datetime.fromisoformat(now))
    ways: dict[str, Put] = {"smr": outbox.put, "raw": _by_driver}
    spent: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(TURNS):
        for way, put in ways.items():
            spent[way].append(_timed(database, made, put))
    database.close()
    rates = {way: len(made) / middle(times) for way, times in spent.items()}
    print(json.dumps({"messages": len(made), **rates}))


def _rendered(database: Database, config: str, now: datetime) -> list[RenderedMessage]:
    """All messages, in the order in which a run queues them."""
    settings = load_settings(Path(config))
    library = load_library(settings.playbooks, settings)
    [whole] = cut(1)
    span = {"run_id": RUN_ID, "low": whole.low, "high": whole.high}
    with database.read() as connection:
        found = render(connection, library, settings, now=now, **span)
        return sorted(one for one in found if isinstance(one, RenderedMessage))


def _timed(database: Database, made: Sequence[RenderedMessage], put: Put) -> float:
    with database.trial() as connection:
        started = time.perf_counter()
        count = sum(put(connection, rows) for rows in _batches(made))
        took = time.perf_counter() - started
    if count != len(made):
        raise RuntimeError(f"{len(made)} messages were to be queued, but {count} were")
    return took


def _batches(made: Sequence[RenderedMessage]) -> Iterator[Sequence[RenderedMessage]]:
    """About as many as a run queues at once."""
    for first in range(0, len(made), MESSAGES_A_SLICE):
        yield made[first : first + MESSAGES_A_SLICE]


def _by_driver(connection: Connection, rows: Sequence[RenderedMessage]) -> int:
    if connection.dialect.name == "sqlite":
        return connection.exec_driver_sql(RAW_SQLITE, list(rows)).rowcount
    driver = connection.connection.driver_connection
    assert driver is not None
    with driver.cursor() as cursor, cursor.copy(RAW_POSTGRESQL) as copy:
        for row in rows:
            copy.write_row((*row, "queued"))
    return len(rows)


if __name__ == "__main__":
    main()
