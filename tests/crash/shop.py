"""What the harness kills: workers that queue and deliver, forked from one that has everything loaded."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from smr import outbox
from smr.database import Database, open_database
from smr.delivery import deliver
from smr.errors import SmrError
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import deliveries, messages
from tests.delivery.shop import Guards, end_rests
from tests.outbox.rows import NOON, row
from tests.providers.brokers import Redis
from tests.providers.webhook import SECRET

CHANNELS = ("keyed", "held", "filed")
"""An endpoint that takes each id once; one of which what is unknown is held; files, which can be asked."""
BROKERED = "brokered"
"""A broker that keeps all it gets; what is unknown is sent again under the same id."""
Work = Callable[[Database], None]


@dataclass
class Shop:
    """One database, its settings, and the customers of the runs so far."""

    url: str
    settings: Settings
    folder: Path
    stream: Redis | None = None
    people: int = 0
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def channels(self) -> tuple[str, ...]:
        """Those that there are: a broker only where one could be started."""
        return CHANNELS if self.stream is None else (*CHANNELS, BROKERED)

    def database(self) -> Database:
        """Opened anew: a fork must not share a connection."""
        return open_database(self.url)

    def new_messages(self, count: int, channels: Sequence[str]) -> list[tuple[Any, ...]]:
        """Messages for customers that had none, by turns on each channel."""
        start, self.people = self.people, self.people + count
        made = [
            row(f"c{number}", channel=channels[number % len(channels)], priority=number % 2)
            for number in range(start, start + count)
        ]
        self.rows += made
        return made


def settings_for(folder: Path, port: int, stream: Redis | None = None, *, parallel: int = 2) -> Settings:
    """The channels of a shop, by the port of its endpoint."""
    entry = {
        "kind": "webhook",
        "url": f"http://127.0.0.1:{port}/",
        "secret": SECRET,
        "allow": ["127.0.0.0/8"],
        "timeout": "10",
        "parallel": str(parallel),
    }
    channels = {"keyed": entry, "held": {**entry, "unknown": "hold"}, "filed": {"kind": "file"}}
    if stream is not None:
        channels[BROKERED] = stream.entry(parallel=str(parallel))
    return Settings.model_validate({"channels": channels, "files": {"folder": folder / "files"}})


def forked(shop: Shop, work: Work, *, crash: str = "", stop: str = "", waits: bool = False) -> int:
    """Start a worker, which stands still first where it `waits`; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.environ.update({"SMR_TEST_CRASH": crash} if crash else {"SMR_TEST_STOP": stop} if stop else {})
        if waits:
            os.kill(os.getpid(), signal.SIGSTOP)
        database = shop.database()
        work(database)
        database.close()
        code = 0
    except SmrError:
        code = 3
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """Wait for a worker; minus the signal that killed it, or its exit code."""
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def stopped(pid: int, seconds: float = 30) -> bool:
    """Wait until a worker stands still; False where it ended first."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found, status = os.waitpid(pid, os.WUNTRACED | os.WNOHANG)
        if found:
            return os.WIFSTOPPED(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    ended(pid)
    return False


def queueing(rows: list[tuple[Any, ...]], batch: int = 10) -> Work:
    """Queue in batches."""

    def work(database: Database) -> None:
        for start in range(0, len(rows), batch):
            with database.write() as connection:
                outbox.put(connection, rows[start : start + batch])

    return work


def delivering(shop: Shop, *, lease: int = 60) -> Work:
    """One round; what waits for its pause is sent by a later one."""

    def work(database: Database) -> None:
        deliver(
            database,
            Library(shop.folder),
            shop.settings,
            now=NOON + timedelta(seconds=1),
            owner=f"worker-{os.getpid()}",
            lease_seconds=lease,
            recheck=Guards(),
        )

    return work


def leases_over(shop: Shop) -> None:
    """As if the leases of the dead had run out, and the time had come to try again what waits for it."""
    database = shop.database()
    end_rests(database)
    with database.write() as connection:
        waiting = (messages.c.state == "queued", messages.c.send_after > NOON)
        connection.execute(sa.update(messages).where(*waiting).values(send_after=NOON))
    for _ in range(50):
        with database.write() as connection:
            held = messages.c.lease_until.is_not(None)
            connection.execute(sa.update(messages).where(held).values(lease_until=1))
            left = sa.select(sa.func.count()).select_from(messages).where(messages.c.lease_until > 1)
            if not connection.scalar(left):
                break
    database.close()


def forget_sending(shop: Shop) -> None:
    """The control: as if there were no `sending` record, so that what was begun looks as never tried."""
    database = shop.database()
    with database.write() as connection:
        begun = messages.c.state.in_(["claimed", "sending"])
        freed = {"state": "queued", "token": None, "lease_until": None, "attempts": 0}
        connection.execute(sa.update(messages).where(begun).values(freed))
        connection.execute(sa.delete(deliveries).where(deliveries.c.result == "sending"))
    database.close()
