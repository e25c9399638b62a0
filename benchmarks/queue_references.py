"""The references of the queue: other ways to burn down jobs that do nothing, each a process of its own.

python -m benchmarks.queue_references raw|strict|pgqueuer|procrastinate fill|drain URL COUNT. Prints JSON.
Commits reach the disk. `raw` claims a hundred rows and acknowledges a hundred, in the fewest statements there
can be; `strict` acknowledges each by itself.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg

HUNDRED = 100


def raw_sqlite(what: str, url: str, count: int, at_once: int) -> int:
    """Claim and acknowledge on SQLite, synchronous=FULL."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    if what == "fill":
        connection.execute("DROP TABLE IF EXISTS jobs")
        connection.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, state TEXT, body TEXT)")
        connection.execute("CREATE INDEX jobs_queued ON jobs (id) WHERE state = 'queued'")
        rows = (("queued", "x" * 100) for _ in range(count))
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO jobs (state, body) VALUES (?, ?)", rows)
        connection.execute("COMMIT")
        return count
    done = 0
    while True:
        connection.execute("BEGIN IMMEDIATE")
        claimed = connection.execute(
            "UPDATE jobs SET state = 'claimed' WHERE id IN (SELECT id FROM jobs WHERE state = 'queued'"
            " ORDER BY id LIMIT ?) RETURNING id",
            (HUNDRED,),
        ).fetchall()
        connection.execute("COMMIT")
        if not claimed:
            return done
        for first in range(0, len(claimed), at_once):
            connection.execute("BEGIN IMMEDIATE")
            some = claimed[first : first + at_once]
            connection.executemany("UPDATE jobs SET state = 'done' WHERE id = ?", some)
            connection.execute("COMMIT")
        done += len(claimed)


def raw_postgresql(what: str, url: str, count: int, at_once: int) -> int:
    """Claim and acknowledge on PostgreSQL."""
    with psycopg.connect(url, autocommit=True) as connection:
        if what == "fill":
            connection.execute("DROP TABLE IF EXISTS jobs")
            connection.execute("CREATE TABLE jobs (id BIGINT PRIMARY KEY, state TEXT, body TEXT)")
            connection.execute("CREATE INDEX jobs_queued ON jobs (id) WHERE state = 'queued'")
            rows = "SELECT i, 'queued', repeat('x', 100) FROM generate_series(1, %s) AS i"
            connection.execute(f"INSERT INTO jobs {rows}", (count,))
            connection.execute("VACUUM ANALYZE jobs")
            return count
        done = 0
        while True:
            claimed = connection.execute(
                "UPDATE jobs SET state = 'claimed' WHERE id = ANY(ARRAY(SELECT id FROM jobs"
                " WHERE state = 'queued' ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)) RETURNING id",
                (HUNDRED,),
            ).fetchall()
            if not claimed:
                return done
            ids = [row[0] for row in claimed]
            for first in range(0, len(ids), at_once):
                some = ids[first : first + at_once]
                connection.execute("UPDATE jobs SET state = 'done' WHERE id = ANY(%s)", (some,))
            done += len(claimed)


def raw(what: str, url: str, count: int) -> int:
    """The hand-written queue."""
    return (raw_sqlite if url.startswith("sqlite") else raw_postgresql)(what, url, count, HUNDRED)


def strict(what: str, url: str, count: int) -> int:
    """The same with one durable acknowledgement per job."""
    return (raw_sqlite if url.startswith("sqlite") else raw_postgresql)(what, url, count, 1)


def pgqueuer(what: str, url: str, count: int) -> int:
    """PgQueuer at its default: batches of ten."""

    async def work() -> int:
        from pgqueuer.db import PsycopgDriver
        from pgqueuer.qm import QueueManager
        from pgqueuer.queries import Queries
        from pgqueuer.types import QueueExecutionMode

        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            driver = PsycopgDriver(connection)
            queries = Queries(driver)
            if what == "fill":
                await queries.install()
                for start in range(0, count, 1000):
                    some = min(1000, count - start)
                    await queries.enqueue(["nothing"] * some, [b"x" * 100] * some, [0] * some)
                await connection.execute("VACUUM ANALYZE")
                return count
            done = 0
            manager = QueueManager(queries)

            @manager.entrypoint("nothing")
            async def nothing(_job: Any) -> None:
                nonlocal done
                done += 1

            await manager.run(mode=QueueExecutionMode.drain)
            return done

    return asyncio.run(work())


def procrastinate(what: str, url: str, count: int) -> int:
    """procrastinate at concurrency 1."""

    async def work() -> int:
        from procrastinate import App, PsycopgConnector

        app = App(connector=PsycopgConnector(conninfo=url))
        done = 0

        @app.task(name="nothing")
        async def nothing(body: str) -> None:
            nonlocal done
            done += 1

        async with app.open_async():
            if what == "fill":
                await app.schema_manager.apply_schema_async()
                for start in range(0, count, 1000):
                    some: list[Any] = [{"body": "x" * 100}] * min(1000, count - start)
                    await nothing.batch_defer_async(*some)
                return count
            await app.run_worker_async(concurrency=1, wait=False, install_signal_handlers=False)
            return done

    return asyncio.run(work())


KINDS: dict[str, Callable[[str, str, int], int]] = {
    "raw": raw,
    "strict": strict,
    "pgqueuer": pgqueuer,
    "procrastinate": procrastinate,
}


def main(kind: str, what: str, url: str, count: str) -> None:
    """Fill or drain."""
    began = time.perf_counter()
    done = KINDS[kind](what, url, int(count))
    print(json.dumps({"done": done, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main(*sys.argv[1:])
