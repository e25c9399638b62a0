"""What the harness does, part by part; each ends by holding the ledger against the providers' own logs."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from smr.database import open_database
from smr.database.migrate import ensure_current
from tests.crash import cuts, tracing
from tests.crash import shop as world
from tests.crash.ledger import Verdict, compare
from tests.crash.progress import Progress
from tests.crash.shop import Shop
from tests.providers.brokers import Redis
from tests.providers.start import Provider

POINTS = (
    "outbox_put_row", "outbox_after_put", "before_sending_commit", "before_send",
    "before_call", "after_write", "after_reply", "file_half_written", "before_settle", "after_settle",
    "in_rescue",
)  # fmt: skip
SLEEPS = ("before_send", "before_call", "after_write", "after_reply", "before_settle")
EACH = 12
"""Messages in a run: as many on each channel."""
SEED = 20261123


@dataclass
class Part:
    """One line of the table. `slowest`: seconds until work went on, at worst."""

    kind: str
    name: str
    done: int = 0
    kills: int = 0
    wrong: int = 0
    seconds: float = 0
    slowest: float = 0
    verdicts: list[Verdict] = field(default_factory=list)

    def total(self, name: str) -> int:
        """The sum of what the verdicts say of something."""
        return sum(getattr(verdict, name) for verdict in self.verdicts)

    @property
    def good(self) -> bool:
        """Whether everything held."""
        return not self.wrong and all(verdict.good for verdict in self.verdicts)


@dataclass
class Harness:
    """A kind of database, its server if it has one, and the providers."""

    kind: str
    server: Any
    provider: Provider
    broker: str | None
    folder: Path
    progress: Progress
    count: int = 0

    def shop(self, *, parallel: int = 2) -> Shop:
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
        stream = Redis(self.broker) if self.broker else None
        settings = world.settings_for(folder, self.provider.port, stream, parallel=parallel)
        made = Shop(url, settings, folder, stream)
        # Customers of their own in each shop: all of them share the provider's log.
        made.people = self.count * 1_000_000
        return made


@dataclass(frozen=True)
class Task:
    """A part that is to be done so many times; `seconds`: how long one time takes, by experience."""

    name: str
    times: int
    seconds: float
    work: Callable[[Harness, Part, int], None]
    databases: Sequence[str] = ("sqlite", "postgresql")

    def run(self, harness: Harness) -> Part:
        """Do it."""
        part = Part(self.work.__name__, f"{self.name}, {harness.kind}")
        began = time.monotonic()
        self.work(harness, part, self.times)
        part.seconds = time.monotonic() - began
        return part

    @property
    def expected(self) -> float:
        """How long all of it takes."""
        return self.times * self.seconds


def tell(harness: Harness, part: Part, times: int, seconds: float) -> None:
    """Count one more of a part, and say how far it is."""
    part.done += 1
    harness.progress.part(part.name, part.done, times, seconds)


def crash_once(shop: Shop, point: str, hit: int, *, control: bool = False) -> bool:
    """Queue, be killed at the point, and be made good by workers that come later; whether it was killed."""
    rows = shop.new_messages(EACH, ["held"] if control else shop.channels)
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


def points(harness: Harness, part: Part, times: int) -> None:
    """Each named point in turn, at its first to third passing."""
    shop = harness.shop()
    for number in range(times):
        point, hit = POINTS[number % len(POINTS)], 1 + number // len(POINTS) % 3
        part.kills += crash_once(shop, point, hit)
        tell(harness, part, times, times * COST["points"])
    part.verdicts.append(compare(shop, harness.provider))


def moments(harness: Harness, part: Part, times: int) -> None:
    """kill -9 from outside, at a moment drawn from the seed."""
    shop, chance = harness.shop(), random.Random(SEED)  # noqa: S311
    for _ in range(times):
        world.ended(world.forked(shop, world.queueing(shop.new_messages(EACH, shop.channels))))
        pid = world.forked(shop, world.delivering(shop))
        time.sleep(chance.uniform(0, 0.15))
        os.kill(pid, signal.SIGKILL)
        part.kills += world.ended(pid) < 0
        finish(shop)
        tell(harness, part, times, times * COST["moments"])
    part.verdicts.append(compare(shop, harness.provider))


def sleepers(harness: Harness, part: Part, times: int) -> None:
    """SIGSTOP past the lease, at each point of sending; another takes over; then the sleeper wakes up.

    One call at a time on one channel, so that no other thread of the sleeper stands still within a
    transaction: on SQLite that would keep everybody out until it wakes up.
    """
    shop = harness.shop(parallel=1)
    for number in range(times):
        rows = shop.new_messages(EACH, [shop.channels[number // len(SLEEPS) % 2]])
        world.ended(world.forked(shop, world.queueing(rows)))
        pid = world.forked(shop, world.delivering(shop), stop=f"{SLEEPS[number % len(SLEEPS)]}:1")
        if world.stopped(pid):
            part.kills += 1
            finish(shop)
            os.kill(pid, signal.SIGCONT)
            world.ended(pid)
        finish(shop)
        tell(harness, part, times, times * COST["sleepers"])
    part.verdicts.append(compare(shop, harness.provider))


def syscalls(harness: Harness, part: Part, times: int) -> None:
    """A worker's n-th call to the kernel kills it, or fails as a full or a broken disk fails."""
    shop = harness.shop()
    for number in range(times):
        world.ended(world.forked(shop, world.queueing(shop.new_messages(EACH, shop.channels))))

        def fork() -> int:
            return world.forked(shop, world.delivering(shop), waits=True)

        fault = tracing.FAULTS[number % len(tracing.FAULTS)]
        pid, tracer = tracing.traced(fork, fault, 1 + number // len(tracing.FAULTS) % 200)
        part.kills += world.ended(pid) != 0
        tracer.communicate()
        finish(shop)
        tell(harness, part, times, times * COST["syscalls"])
    part.verdicts.append(compare(shop, harness.provider))


def together(harness: Harness, part: Part, rows: int, workers: int) -> None:
    """Several workers on one queue: each message once, and nothing unknown."""
    shop = harness.shop()
    world.ended(world.forked(shop, world.queueing(shop.new_messages(rows, shop.channels), 1_000)))
    pids = [world.forked(shop, world.delivering(shop)) for _ in range(workers)]
    assert {world.ended(pid) for pid in pids} == {0}
    part.done = rows
    harness.progress.part(part.name, rows, rows, rows * COST["together"])
    part.verdicts.append(compare(shop, harness.provider))


def together_3(harness: Harness, part: Part, rows: int) -> None:
    """Three of them."""
    together(harness, part, rows, 3)


def together_8(harness: Harness, part: Part, rows: int) -> None:
    """Eight of them."""
    together(harness, part, rows, 8)


def restarts(harness: Harness, part: Part, times: int) -> None:
    """The database server stopped at once and started again while a worker delivers."""
    shop = harness.shop()
    control = harness.server.bin_path / "pg_ctl"
    for number in range(times):
        world.ended(world.forked(shop, world.queueing(shop.new_messages(10 * EACH, shop.channels))))
        pid = world.forked(shop, world.delivering(shop))
        time.sleep(0.02 * (number % 10))
        subprocess.run(
            [control, "-D", harness.server.pgdata, "-m", "immediate", "-w", "restart", "-l", os.devnull],
            user=harness.server.system_user,
            capture_output=True,
            check=True,
        )
        back = time.monotonic()
        part.kills += 1
        world.ended(pid)
        finish(shop)
        part.slowest = max(part.slowest, time.monotonic() - back)
        tell(harness, part, times, times * COST["restarts"])
    part.verdicts.append(compare(shop, harness.provider))


def power_cuts(harness: Harness, part: Part, times: int) -> None:
    """SQLite's log of writes, cut anywhere: what is there are the first writes, and no half one."""
    folder = harness.folder / "cuts"
    folder.mkdir()

    def told(done: int) -> None:
        part.done = done
        harness.progress.part(part.name, done, times, times * COST["power_cuts"])

    part.wrong = cuts.cut(folder, times, SEED, told).count(None)


def control(harness: Harness, part: Part, times: int) -> None:
    """The same kills without the `sending` record: the harness must find duplicates, or it sees none."""
    shop = harness.shop()
    for number in range(times):
        point = ("after_write", "after_reply", "before_settle")[number % 3]
        part.kills += crash_once(shop, point, 1, control=True)
        tell(harness, part, times, times * COST["control"])
    part.verdicts.append(compare(shop, harness.provider))


COST = {
    "points": 0.3,
    "moments": 0.35,
    "sleepers": 0.5,
    "syscalls": 0.45,
    "together": 0.004,
    "restarts": 2.5,
    "power_cuts": 0.006,
    "control": 0.3,
}
"""Seconds that one time takes on two cores."""


def tasks(runs: int, *, full: bool) -> list[Task]:
    """What is done: `runs` at each named point, and the rest in proportion; with `full` at least what a
    change has to reach, and with 200 runs what a release has to.
    """
    many = {
        "moments": 4 * runs if full else 2 * runs,
        "sleepers": max(20, 5 * runs // 2) if full else 2 * runs,
        "syscalls": max(200, 3 * runs) if full else 4 * runs if runs >= 10 else 3 * runs,
        "restarts": max(3, runs // 2) if full else min(runs, 3),
        "power_cuts": max(400, 100 * runs) if full else 400 if runs >= 10 else 100,
    }

    def task(name: str, work: Callable[[Harness, Part, int], None], times: int, *where: str) -> Task:
        cost = COST[work.__name__.removesuffix("_3").removesuffix("_8")]
        return Task(name, times, cost, work, where or ("sqlite", "postgresql"))

    found = [
        task("kills at named points", points, len(POINTS) * runs),
        task("kills at any moment", moments, many["moments"]),
        task("SIGSTOP past the lease", sleepers, many["sleepers"]),
        task("3 workers at once", together_3, 5_000 if runs >= 10 else 500),
        task("database restarts under load", restarts, many["restarts"], "postgresql"),
        task("cuts of the log of writes", power_cuts, many["power_cuts"], "sqlite"),
    ]
    if tracing.why_not() is None:
        found.append(task("calls to the kernel that kill or fail", syscalls, many["syscalls"]))
    if full:
        found.append(task("8 workers at once", together_8, 500 * runs))
    return [*found, task("control without `sending`", control, min(runs * 3, 60))]
