"""A shop with customers who are due now, and daemons as real processes that serve it."""

from __future__ import annotations

import json
import os
import signal
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from socket import socket
from typing import Any

import sqlalchemy as sa

from smr import clock
from smr.database import open_database
from smr.database.migrate import ensure_current
from smr.tables import firings, messages
from tests.daemon.process import daemon
from tests.warm import Worker, start
from tests.worlds import World, put

ROOT = Path(__file__).parents[2]
PATIENCE = 90.0
"""Seconds until a test gives up waiting; a busy machine is no fault."""


class Shop:
    """A folder with a configuration and playbooks, on a database with customers whose cat food runs out."""

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        people: int = 40,
        daemon: str = "",
        more: str = "",
        playbook: str = "",
        world: World | None = None,
    ) -> None:
        self.folder = folder / "shop"
        self.url = url
        self.ledger = folder / "ledger.jsonl"
        self.ledger.touch()
        (self.folder / "playbooks").mkdir(parents=True)
        self.port = free_port()
        self.config = self.folder / "config.yaml"
        self.config.write_text(
            f"daemon: {{listen: '127.0.0.1:{self.port}', {daemon or 'run: 0 0 1 1 *'}}}\n"
            f"policy: {{caps: [9 per 1d]}}\n{more}\n"
        )
        catalog = "cycles: {categories: {猫粮: {lasts: 12d}}}\n"
        (self.folder / "playbooks" / "catalog.yaml").write_text(catalog)
        self.playbook = self.folder / "playbooks" / "cats.yaml"
        self.playbook.write_text(playbook or PLAYBOOK)
        self.database = open_database(url)
        ensure_current(self.database)
        put(self.database, world or cats(people))

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def missed(self, *duties: str, hours: int = 24) -> None:
        """As if a daemon had begun to watch these duties so long ago, and none had lived since."""
        with self.database.write() as connection:
            for duty in duties:
                row = {"duty": duty, "state": "watched", "owner": "elsewhere/1/1", "lease_until": 0}
                then = clock.now() - timedelta(hours=hours)
                times = {"slot_at": then, "started_at": then, "attempts": 0}
                connection.execute(sa.insert(firings).values(**row, **times))

    def fired(self, duty: str) -> list[Any]:
        """What became of the duty's slots."""
        with self.database.read() as connection:
            select = sa.select(firings).where(firings.c.duty == duty, firings.c.state != "watched")
            return list(connection.execute(select.order_by(firings.c.slot_at)))

    def done(self, duty: str) -> bool:
        """Whether the duty's latest slot is done."""
        fired = self.fired(duty)
        return bool(fired) and fired[-1].state == "done"

    def states(self) -> Counter[str]:
        """How many messages are in each state."""
        with self.database.read() as connection:
            counted = sa.select(messages.c.state, sa.func.count()).group_by(messages.c.state)
            rows = connection.execute(counted).all()
        return Counter({row[0]: row[1] for row in rows})

    def received(self) -> Counter[str]:
        """How often each customer got a message, by the provider's own record."""
        lines = self.ledger.read_text().splitlines()
        return Counter(line["customer"] for line in map(json.loads, lines) if line["customer"] != "operator")

    def alerts(self) -> list[str]:
        """The subjects of the alerts the operator got."""
        lines = self.ledger.read_text().splitlines()
        return [line["subject"] for line in map(json.loads, lines) if line["customer"] == "operator"]

    def ask(self, path: str) -> tuple[int, str]:
        """What the daemon answers over HTTP; status 0 where it does not."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()


PLAYBOOK = textwrap.dedent("""
    name: cats
    status: live
    trigger: {runs_out: {category: 猫粮}}
    steps:
      - name: step
        send: on due
        via: [wecom]
        message: "{{ customer.name | default('亲') }}: {{ due.date | day }}"
""")


def cats(people: int) -> World:
    """Customers whose cat food ran out yesterday."""
    world = World(now=clock.now())
    world.product("fish", category="猫粮")
    for number in range(people):
        name = f"c{number}"
        world.customer(name, addresses={"wecom": f"wm-{name}"}, consent=True)
        world.purchase(name, "fish", days_ago=13)
    return world


def free_port() -> int:
    """A port nobody listens on."""
    with socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


class Running:
    """A daemon's process, and its log."""

    def __init__(self, process: Worker) -> None:
        self._process = process

    @property
    def said_all(self) -> str:
        """Its whole log, as text."""
        return self._process.errors

    def log(self, event: str | None = None) -> list[dict[str, Any]]:
        """The lines of its log, all or those of one event."""
        lines = [json.loads(line) for line in self.said_all.splitlines() if line[:1] == "{"]
        return [line for line in lines if event is None or line["event"] == event]

    def said(self, event: str, **fields: Any) -> bool:
        """Whether it has logged that event with these fields."""
        return any(all(line.get(name) == value for name, value in fields.items()) for line in self.log(event))

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self._process.pid, number)

    def stop(self) -> int:
        """Have it drain; its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; minus the signal that killed it, or its exit code."""
        return self._process.wait(PATIENCE)


@contextmanager
def running(
    shop: Shop, *, number: int = 1, slow: float = 0.0, crash: str = "", lease: int = 60, tick: int | None = 5
) -> Iterator[Running]:
    """A daemon of the shop; killed at the end where it still lives.

    Its channels write to the shop's ledger; each message takes them `slow` seconds. A file called `down` in
    the shop's folder has them refuse. What is to be done every minute is done every `tick` seconds.
    """
    environ = {
        "SMR_DATABASE_URL": shop.url,
        "SMR_TEST_LEDGER": str(shop.ledger),
        "SMR_TEST_SLOW": str(slow),
        "SMR_TEST_DOWN": str(shop.folder / "down"),
        "SMR_TEST_LEASE_SECONDS": str(lease),
        "SMR_TEST_TICK": str(tick or ""),
    }
    config = shop.config
    if number != 1:
        config = shop.folder / f"config{number}.yaml"
        config.write_text(shop.config.read_text().replace(str(shop.port), str(free_port())))
    process = start(daemon, str(config), crash=crash, **environ)
    try:
        yield Running(process)
    finally:
        process.kill()


def until(holds: Callable[[], Any], what: str = "") -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.1)
