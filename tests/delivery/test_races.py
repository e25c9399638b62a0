"""Five hundred races: an opt-out, or a purchase, against the sending of the reminder it forbids.

The rule is strict: what was stored while the message was not yet recorded as being sent is never sent. Each
storing transaction notes in itself how far the message was, so no clock is needed to tell who came first.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from benchmarks.queue_smr import NOON, fill
from smr import guards
from smr.database import Database
from smr.database.turns import store_facts
from smr.delivery import deliver
from smr.playbook import load_library
from smr.settings import Settings
from smr.tables import bucket_of, consents, messages, purchases
from tests.delivery.scripted import Scripted, use

RACES = 500
PLAYBOOK = """\
name: refill
status: live
trigger: {purchase: {}}
stop_when: [{purchase: {}}]
steps:
  - {name: heads_up, send: 1d after purchase, via: wecom, message: 该补货啦}
"""
SENT = ("sending", "sent")
Store = Callable[[Connection, str], None]


def opt_out(connection: Connection, who: str) -> None:
    word = {"channel": "*", "purpose": "*", "decided_at": NOON, "granted": False, "source": "test"}
    connection.execute(sa.insert(consents).values(bucket=bucket_of(who), customer_id=who, **word))


def buy(connection: Connection, who: str) -> None:
    bought = {"order_id": "new", "product_id": "p1", "line_no": 1, "quantity": 1.0}
    at = NOON - timedelta(minutes=1)
    owner = {"bucket": bucket_of(who), "customer_id": who}
    connection.execute(sa.insert(purchases).values(**owner, **bought, purchased_at=at))


@pytest.mark.parametrize("store", [opt_out, buy], ids=["opt-out", "purchase"])
def test_what_is_stored_before_the_sending_is_heeded(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    fill(database, RACES)
    (tmp_path / "refill.yaml").write_text(PLAYBOOK)
    settings = Settings()
    library = load_library(tmp_path, settings)
    channel = Scripted(max_batch=7, parallel=2)
    use(monkeypatch, channel)
    order = sorted(range(RACES), key=lambda number: (-(number % 3), -(number % 3600), number))
    found: dict[str, str] = {}

    def storing() -> None:
        for number in order:
            who = f"C{number:07}"
            with database.write() as connection:
                store_facts(connection)
                store(connection, who)
                where = (messages.c.bucket == bucket_of(who), messages.c.customer_id == who)
                found[who] = str(connection.scalar(sa.select(messages.c.state).where(*where)))

    thread = Thread(target=storing)
    thread.start()
    while thread.is_alive():
        deliver(database, library, settings, now=NOON, owner="w", recheck=guards.recheck, limit=40)
    thread.join()
    deliver(database, library, settings, now=NOON, owner="w", recheck=guards.recheck)
    forbidden = {who for who, state in found.items() if state not in SENT}
    assert len(found) == RACES
    assert forbidden, "no race was won by the word"
    assert forbidden & set(channel.got) == set()
    assert set(channel.got) == found.keys() - forbidden
