"""Many messages through the webhook channel to a local endpoint at a fixed rate.

python -m benchmarks.webhook_rate [COUNT] [PER_SECOND]. Tells how well the rate was kept, in which order the
endpoint got the messages, and the memory at the first and the last quarter.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.queue_smr import NOON, PLAYBOOK, fill
from smr.database import open_database
from smr.delivery import deliver
from smr.playbook import load_library
from smr.settings import Settings
from smr.tables import candidates, messages
from tests.providers.start import started
from tests.providers.webhook import SECRET


def memory() -> float:
    """Resident memory of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1_048_576


def main(count: int = 100_000, per_second: int = 400) -> int:
    """Measure and print; 0 where the rate was kept within 2 % and the order was right."""
    with tempfile.TemporaryDirectory() as name, started("webhook", Path(name) / "endpoint") as endpoint:
        folder = Path(name)
        (folder / "playbooks").mkdir()
        (folder / "playbooks" / "refill.yaml").write_text(PLAYBOOK.replace("wecom", "crm"), encoding="utf-8")
        entry: dict[str, Any] = {
            "kind": "webhook",
            "url": f"http://127.0.0.1:{endpoint.port}/",
            "secret": SECRET,
            "allow": ["127.0.0.0/8"],
            "address": "customer_id",
            "consent": "opt_out",
            "rate": f"{per_second} per second",
        }
        policy = {"caps": ["9 per 30d"]}
        settings = Settings.model_validate({"channels": {"crm": entry}, "policy": policy})
        library = load_library(folder / "playbooks", settings)
        database = open_database(f"sqlite:///{folder}/shop.db")
        fill(database, count)
        with database.write() as connection:
            for table in (messages, candidates):
                connection.execute(sa.update(table).values(channel="crm"))
        sizes: list[tuple[int, float]] = []
        done, began = 0, time.monotonic()
        while True:
            report = deliver(database, library, settings, now=NOON, owner="bench", seconds=10)
            done += report.count("sent")
            sizes.append((done, memory()))
            if not report.more:
                break
        took = time.monotonic() - began
        log = endpoint.log()
        with database.read() as connection:
            order = connection.execute(
                sa.select(messages.c.message_id, messages.c.priority, messages.c.due_at)
            ).all()
        database.close()
    return told(count, per_second, took, log, {row[0]: (-row[1], row[2]) for row in order}, sizes)


def told(
    count: int,
    per_second: int,
    took: float,
    log: list[dict[str, Any]],
    places: dict[str, Any],
    sizes: list[tuple[int, float]],
) -> int:
    """Print what was found."""
    got = (len(log) - 1) / (log[-1]["at"] - log[0]["at"])
    best = sorted(places[one["id"]] for one in log)
    ranks = {place: number for number, place in enumerate(best)}
    most = max(abs(ranks[places[one["id"]]] - number) for number, one in enumerate(log))
    first = next(size for sent, size in sizes if sent >= count // 4)
    again = sum(one["again"] for one in log)
    print(f"{len(log):,} of {count:,} messages in {took:.0f} s, {again} of them twice")
    print(f"rate: {got:.1f} a second, wanted {per_second} ({got / per_second - 1:+.2%})")
    print(f"order: no message came more than {most} places from its place by priority and due time")
    print(f"memory: {first:.0f} MB after a quarter, {sizes[-1][1]:.0f} MB at the end")
    good = len(log) == count and abs(got / per_second - 1) <= 0.02
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
