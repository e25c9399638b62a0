"""smr burns down a queue of messages through a channel that does nothing; started as a process of its own.

python -m benchmarks.queue_smr fill|drain|strict URL COUNT. `drain` sends at most COUNT of what waits; prints
JSON. `strict` does so one by one: a call for each message, whose end is on the disk before its place is used
for the next.
Guards are judged again, the `sending` record is durable, and the order is by priority and due time:
everything delivery does but the call.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from smr import outbox
from smr.channel_kinds import Kind
from smr.channels import Accepted, Outgoing, Result, Traits, UnknownPolicy, file
from smr.clock import seconds
from smr.database import Database, open_database
from smr.database.migrate import ensure_current
from smr.delivery import DeliveryReport, deliver
from smr.garbage import look_rarely
from smr.playbook import load_library
from smr.settings import Settings
from smr.tables import addresses, bucket_of, candidates, consents, customers, messages, purchases

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
PLAYBOOK = """\
name: refill
status: live
trigger: {purchase: {}}
steps:
  - {name: heads_up, send: 1d after purchase, via: wecom, message: 该补货啦}
"""
SLICE = 5_000
GROUPED = Traits(
    personal=True,
    dedupes=True,
    can_ask=False,
    staff_confirms=False,
    max_batch=2_000,
    parallel=4,
    max_length=None,
    unknown_policy=UnknownPolicy.RESEND,
)
STRICT = replace(GROUPED, max_batch=1, parallel=64)


class Nothing:
    """A channel that takes everything at once."""

    name = "wecom"
    place = "nowhere"

    def __init__(self, traits: Traits) -> None:
        self.traits = traits

    def send(self, batch: Sequence[Outgoing]) -> list[Result]:
        """Taken."""
        return [Accepted() for _ in batch]

    def ask(self, message_ids: Sequence[str]) -> dict[str, bool]:
        """Not asked."""
        return {}


def fill(database: Database, count: int) -> None:
    """Customers with a purchase a day ago, and a message for each."""
    ensure_current(database)
    with database.write() as connection:
        for table in (messages, candidates, purchases, consents, addresses, customers):
            connection.execute(sa.delete(table))
    for start in range(0, count, SLICE):
        rows = list(_rows(start, min(start + SLICE, count)))
        with database.write() as connection:
            for table in (customers, addresses, consents, purchases, candidates):
                connection.execute(sa.insert(table), [row[table.name] for row in rows])
            outbox.put(connection, [row["message"] for row in rows])
    _tidy(database)


def _rows(start: int, end: int) -> Iterator[dict[str, Any]]:
    day = timedelta(days=1)
    for number in range(start, end):
        who = f"C{number:07}"
        owner = {"bucket": bucket_of(who), "customer_id": who}
        due = NOON - timedelta(seconds=number % 3600)
        message_id = f"{owner['bucket']:03x}{number:029x}"
        key = {"playbook": "refill", "step": "heads_up", "anchor": f"o{number}"}
        yield {
            "customers": {**owner, "dice": number, "first_seen_at": NOON - day},
            "addresses": {**owner, "channel": "wecom", "address": f"wx{number}"},
            "consents": {
                **owner,
                "channel": "wecom",
                "purpose": "marketing",
                "decided_at": NOON - day,
                "granted": True,
            },
            "purchases": {
                **owner,
                "order_id": f"o{number}",
                "product_id": "p1",
                "line_no": 1,
                "purchased_at": NOON - day,
                "quantity": 1.0,
            },
            "candidates": {
                **owner,
                **key,
                "anchor_at": NOON - day,
                "due_at": due,
                "expires_at": NOON + 3 * day,
                "priority": 50,
                "state": "accepted",
                "channel": "wecom",
                "order_id": f"o{number}",
                "product_id": "p1",
                "run_id": 1,
                "queued_at": NOON,
            },
            "message": (
                owner["bucket"], who, "refill", "heads_up", f"o{number}", message_id, "wecom", f"wx{number}",
                "marketing", None, "亲,您买的洁面大约五天后用完,要给您留一支吗?", None, None, number % 3,
                seconds(due), seconds(NOON - day), seconds(NOON + 3 * day), 1, "v1", seconds(NOON - day),
            ),
        }  # fmt: skip


def _tidy(database: Database) -> None:
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        words = ["ANALYZE"] if database.dialect == "sqlite" else ["VACUUM ANALYZE"]
        for word in words:
            connection.exec_driver_sql(word)


def drain(database: Database, count: int, traits: Traits = GROUPED) -> dict[str, Any]:
    """Send that many, or what there is; how many were sent in how many seconds, and the peak of memory."""
    file.KIND = Kind(file.FileSettings, lambda name, settings: Nothing(traits))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "refill.yaml").write_text(PLAYBOOK, encoding="utf-8")
        settings = Settings.model_validate({"policy": {"caps": ["9 per 30d"]}})
        library = load_library(Path(folder), settings)
        began = time.perf_counter()
        report = DeliveryReport()
        while True:
            this = deliver(
                database,
                library,
                settings,
                now=NOON,
                owner=f"bench-{os.getpid()}",
                limit=count - report.done,
                seconds=30,
            )
            report.add(this)
            if not this.more or report.done >= count:
                break
        took = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"done": report.count("sent"), "seconds": took, "peak_mb": peak}


def main(what: str, url: str, count: str) -> None:
    """Fill or drain."""
    traits = STRICT if what == "strict" else GROUPED
    look_rarely()
    database = open_database(url)
    if what == "fill":
        fill(database, int(count))
    else:
        print(json.dumps(drain(database, int(count), traits)))
    database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
