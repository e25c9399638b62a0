"""python -m tests.crash [--full]: the harness, and its one line of totals.

Each part ends by comparing the ledger with the provider's own log. The control does the same with the
`sending` record switched off, and must find duplicates; otherwise the harness would not be able to see any.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich.console import Console
from rich.progress import track
from rich.table import Table

from smr.database import open_database
from smr.database.migrate import ensure_current
from tests.conftest import start_postgres, stop_postgres
from tests.crash import shop as world
from tests.crash.ledger import Verdict, compare
from tests.crash.shop import Shop
from tests.providers.start import Provider, started

POINTS = (
    "outbox_put_row", "outbox_after_put", "before_sending_commit", "before_send",
    "before_call", "after_write", "after_reply", "file_half_written", "before_settle", "after_settle",
    "in_rescue",
)  # fmt: skip
EACH = 12
"""Messages in a run: four on each channel."""
SEED = 20261123


@dataclass
class Part:
    """One line of the table."""

    name: str
    wanted: int
    done: int = 0
    kills: int = 0
    verdicts: list[Verdict] = field(default_factory=list)

    def total(self, name: str) -> int:
        return sum(getattr(verdict, name) for verdict in self.verdicts)


@dataclass
class Harness:
    """A database kind, its server if it has one, and the provider."""

    kind: str
    server: Any
    provider: Provider
    folder: Path
    count: int = 0

    def shop(self) -> Shop:
        """A shop on a new database."""
        self.count += 1
        name = f"crash_{self.kind}_{self.count}"
        folder = self.folder / name
        folder.mkdir()
        if self.kind == "sqlite":
            url = f"sqlite:///{folder}/shop.db"
        else:
            self.server.psql(f"CREATE DATABASE {name};")
            url = sa.make_url(self.server.get_uri()).set(database=name).render_as_string(hide_password=False)
        database = open_database(url)
        ensure_current(database)
        database.close()
        made = Shop(url, world.settings_for(folder, self.provider.port), folder)
        # Customers of their own in each shop: all of them share the provider's log.
        made.people = (self.count + 1_000 * (self.kind == "postgresql")) * 1_000_000
        return made


def crash_once(shop: Shop, point: str, hit: int, *, control: bool = False) -> bool:
    """Queue, be killed at the point, and be made good by workers that come later; whether it was killed."""
    rows = shop.new_messages(EACH, ["held"] if control else world.CHANNELS)
    if point.startswith("outbox_"):
        killed = world.ended(world.forked(shop, world.queueing(rows), crash=f"{point}:{hit}")) < 0
        assert world.ended(world.forked(shop, world.queueing(rows))) == 0
    else:
        assert world.ended(world.forked(shop, world.queueing(rows))) == 0
        if point == "in_rescue":
            world.ended(world.forked(shop, world.delivering(shop), crash="before_send:1"))
            world.leases_over(shop)
        killed = world.ended(world.forked(shop, world.delivering(shop), crash=f"{point}:{hit}")) < 0
    finish(shop, control=control)
    return killed


def finish(shop: Shop, *, control: bool = False) -> None:
    """Later workers take over; two rounds, for the first settles what is unknown."""
    for _ in range(2):
        world.forget_sending(shop) if control else world.leases_over(shop)
        assert world.ended(world.forked(shop, world.delivering(shop))) == 0


def named_points(harness: Harness, runs: int) -> Part:
    """Each named point, so many times, at its first to third passing."""
    part = Part(f"named points × runs, {harness.kind}", len(POINTS) * runs)
    shop = harness.shop()
    for point in track(POINTS, f"{harness.kind}: kills", transient=True, disable=not sys.stderr.isatty()):
        for number in range(runs):
            part.kills += crash_once(shop, point, 1 + number % 3)
            part.done += 1
    part.verdicts.append(compare(shop, harness.provider))
    return part


def random_kills(harness: Harness, runs: int) -> Part:
    """kill -9 from outside, at a moment drawn from the seed."""
    part = Part(f"random kills, {harness.kind}", runs)
    shop, chance = harness.shop(), random.Random(SEED)  # noqa: S311
    for _ in range(runs):
        world.ended(world.forked(shop, world.queueing(shop.new_messages(EACH))))
        pid = world.forked(shop, world.delivering(shop))
        time.sleep(chance.uniform(0, 0.15))
        os.kill(pid, signal.SIGKILL)
        part.kills += world.ended(pid) < 0
        finish(shop)
        part.done += 1
    part.verdicts.append(compare(shop, harness.provider))
    return part


def sleepers(harness: Harness, runs: int) -> Part:
    """SIGSTOP past the lease, at each point of sending; another takes over; then the sleeper wakes up.

    One call at a time on one channel, so that no other thread of the sleeper stands still within a
    transaction: on SQLite that would keep everybody out until it wakes up.
    """
    part = Part(f"SIGSTOP past the lease, {harness.kind}", runs)
    shop = harness.shop()
    shop.settings = world.settings_for(shop.folder, harness.provider.port, parallel=1)
    points = (
        "before_sending_commit",
        "before_send",
        "before_call",
        "after_write",
        "after_reply",
        "before_settle",
    )
    for number in range(runs):
        rows = shop.new_messages(EACH, [world.CHANNELS[number // len(points) % 2]])
        world.ended(world.forked(shop, world.queueing(rows)))
        pid = world.forked(shop, world.delivering(shop), stop=f"{points[number % len(points)]}:1")
        if world.stopped(pid):
            part.kills += 1
            finish(shop)
            os.kill(pid, signal.SIGCONT)
            world.ended(pid)
        finish(shop)
        part.done += 1
    part.verdicts.append(compare(shop, harness.provider))
    return part


def together(harness: Harness, workers: int, count: int) -> Part:
    """Several workers on one queue: each message once, and nothing unknown."""
    part = Part(f"{workers} workers × {count:,} rows, {harness.kind}", 1)
    shop = harness.shop()
    world.ended(world.forked(shop, world.queueing(shop.new_messages(count))))
    pids = [world.forked(shop, world.delivering(shop)) for _ in range(workers)]
    assert {world.ended(pid) for pid in pids} == {0}
    part.done = 1
    part.verdicts.append(compare(shop, harness.provider))
    return part


def restarts(harness: Harness, runs: int) -> Part:
    """The database server stopped at once and started again while a worker delivers."""
    part = Part("database restarts under load, postgresql", runs)
    shop = harness.shop()
    control = harness.server.bin_path / "pg_ctl"
    for number in range(runs):
        world.ended(world.forked(shop, world.queueing(shop.new_messages(10 * EACH))))
        pid = world.forked(shop, world.delivering(shop))
        time.sleep(0.02 * (number % 10))
        subprocess.run(
            [control, "-D", harness.server.pgdata, "-m", "immediate", "-w", "restart", "-l", os.devnull],
            user=harness.server.system_user,
            capture_output=True,
            check=True,
        )
        part.kills += 1
        world.ended(pid)
        finish(shop)
        part.done += 1
    part.verdicts.append(compare(shop, harness.provider))
    return part


def control(harness: Harness, runs: int) -> Part:
    """The same kills without the `sending` record."""
    part = Part(f"control without `sending`, {harness.kind}", runs)
    shop = harness.shop()
    for number in range(runs):
        part.kills += crash_once(
            shop, ("after_write", "after_reply", "before_settle")[number % 3], 1, control=True
        )
        part.done += 1
    part.verdicts.append(compare(shop, harness.provider))
    return part


@contextmanager
def harnesses(kinds: list[str]) -> Iterator[list[Harness]]:
    """A harness for each kind of database, and one provider."""
    with tempfile.TemporaryDirectory(prefix="smr-crash-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        place = tempfile.mkdtemp(prefix="smr-pg-")
        server = start_postgres(Path(place)) if "postgresql" in kinds else None
        if server is not None:
            server.psql("ALTER SYSTEM SET fsync = on;")
            server.psql("SELECT pg_reload_conf();")
        try:
            with started("webhook", folder / "provider") as provider:
                yield [Harness(kind, server, provider, folder) for kind in kinds]
        finally:
            if server is not None:
                stop_postgres(server, place)


def main() -> int:
    """Run, print the table and one line of totals; 0 where everything held and the control saw duplicates."""
    asked = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    asked.add_argument("--full", action="store_true", help="200 runs of each point instead of 10")
    asked.add_argument("--runs", type=int, help="runs of each point")
    asked.add_argument("--databases", default="sqlite,postgresql")
    given = asked.parse_args()
    runs = given.runs or (200 if given.full else 10)
    many = 10 if given.full else 1
    began = time.monotonic()
    parts: list[Part] = []
    controls: list[Part] = []
    with harnesses(given.databases.split(",")) as found:
        for harness in found:
            parts.append(named_points(harness, runs))
            parts.append(random_kills(harness, 2 * runs))
            parts.append(sleepers(harness, 20 * many if not given.runs else 2 * runs))
            parts.append(together(harness, 3, 1_000 * many))
            if harness.kind == "postgresql":
                parts.append(restarts(harness, 3 * many))
            controls.append(control(harness, min(runs * 3, 60)))
    return told(parts, controls, time.monotonic() - began)


def told(parts: list[Part], controls: list[Part], seconds: float) -> int:
    """The table, and the totals."""
    table = Table(title="Crashes, held against the provider's own log", box=None)
    names = ("messages", "lost", "double_rows", "foreign", "unflagged", "again", "unknown")
    for name in ("", "runs", "kills", *names):
        table.add_column(name, justify="left" if not name else "right")
    for part in (*parts, *controls):
        table.add_row(
            part.name, f"{part.done:,}", f"{part.kills:,}", *(f"{part.total(name):,}" for name in names)
        )
    Console(width=140).print(table)
    good = all(verdict.good for part in parts for verdict in part.verdicts)
    sees = all(part.total("unflagged") > 0 for part in controls)
    kills = sum(part.kills for part in parts)
    lost, unflagged = (sum(part.total(name) for part in parts) for name in ("lost", "unflagged"))
    double = sum(part.total("double_rows") for part in parts)
    blind = sum(part.total("unflagged") for part in controls)
    print(
        f"{kills:,} kills and stops in {seconds:.0f} s (seed {SEED}): {lost} lost, {double} duplicate rows, "
        f"{unflagged} second deliveries that were not flagged; "
        f"without the record the same harness finds {blind}: {'good' if good and sees else 'NOT GOOD'}"
    )
    return 0 if good and sees else 1


if __name__ == "__main__":
    sys.exit(main())
