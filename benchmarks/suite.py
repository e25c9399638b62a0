"""All measurements on one kind of database, in order.

A *base* is a world in the tables with what follows from it; *today* is the base after the import of a day's
new lines, before the run. Contenders each get a copy, so that all begin alike. Whatever is timed is a whole
process, start included, except where the note says otherwise.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from benchmarks.figures import Figure
from benchmarks.loading import load, tidy, write_csv
from benchmarks.measure import Ran, python, smr, typical
from benchmarks.places import Place
from benchmarks.playbooks import rules, write_rules, write_shop
from benchmarks.queue_smr import STRICT
from benchmarks.world import CATEGORIES, DAY, LASTS_DAYS, RUN_AT, World
from smr.database import open_database
from smr.database.migrate import ensure_current

USEFUL_FOR = 30 * DAY
NOW = RUN_AT.isoformat()
A_MINUTE_LATER = (RUN_AT + timedelta(minutes=1)).isoformat()
DERIVED_AT = "2026-11-22T01:00:00+08:00"
IMPORTED_AT = "2026-11-23T01:00:00+08:00"
PARTS = (
    "import", "run", "slices", "rendering", "daily", "evaluation", "growth", "backtest", "segments", "queue",
)  # fmt: skip
STAGES = (
    ("buyers and supplies of the day", "refresh", ("supplies",)),
    ("finding, judging, writing down", "decide", ("judging", "limits")),
    ("rendering and queueing", "write", ("messages",)),
)
"""Parts of the whole way, as by hand tells them and as a run does."""
Tell = Callable[[str], None]
BY_HAND = str(Path(__file__).with_name("by_hand.py"))
IMPORT_BY_HAND = str(Path(__file__).with_name("import_by_hand.py"))


@dataclass(frozen=True)
class Form:
    """How large, how often, and which parts."""

    world: World
    small: World  # a tenth of it, for growth
    imported: World  # its lines are imported into an empty database
    repeats: int
    sample: int  # customers the ORM's loop is timed on
    queued: int  # jobs in the queue
    parts: tuple[str, ...] = PARTS


@dataclass(frozen=True)
class Bench:
    """One kind of database, the form, and the folder for files."""

    place: Place
    form: Form
    folder: Path

    def shop(self, name: str, *, live: bool, useful_for: int = USEFUL_FOR) -> str:
        """A configuration with its playbooks; its path."""
        return str(write_shop(self.folder / f"{self.place.kind}-{name}", live=live, useful_for=useful_for))

    def rules(self, name: str, useful_for: int = USEFUL_FOR) -> str:
        """The same rules for a reference; the path of its file."""
        return str(write_rules(self.folder / f"{name}.json", rules(RUN_AT, useful_for)))

    @property
    def base(self) -> str:
        """The name of the base."""
        return _name(self.form.world)

    @property
    def today(self) -> str:
        """The name of the base after the day's import."""
        return f"{self.base}_today"


def measure(bench: Bench, tell: Tell) -> Iterator[Figure]:
    """All figures of one kind of database."""
    parts = bench.form.parts
    if "queue" in parts:
        tell("burning down a queue")
        yield from queueing(bench)
    if "import" in parts:
        tell("importing into an empty database")
        yield from importing(bench)
    if not set(parts) - {"queue", "import"}:
        return
    tell(f"loading {bench.form.world.lines:,} lines")
    yield from loading(bench)
    if {"run", "slices", "rendering"} & set(parts):
        tell("importing the day's lines")
        yield from day(bench)
        if "run" in parts:
            tell("running: by hand, by ORM, smr")
            yield from running(bench)
        if "slices" in parts:
            tell("running by one process and by two")
            yield from slices(bench)
        if "rendering" in parts:
            tell("rendering")
            yield from rendering(bench)
        bench.place.drop(bench.today)
    if "daily" in parts:
        tell("running a day after a day")
        yield from daily(bench)
    if "evaluation" in parts or "growth" in parts:
        yield from evaluating(bench, tell)
    if "backtest" in parts:
        tell("walking a quarter of the past")
        yield from walking(bench)
    if "segments" in parts:
        tell("sorting customers into segments")
        yield from sorting(bench)


def importing(bench: Bench) -> Iterator[Figure]:
    """A shop's history into an empty database, validation and deduplication included."""
    world, place = bench.form.imported, bench.place
    file = bench.folder / "history.csv"
    lines = world.history()
    write_csv(file, world, lines)
    config = bench.shop("import", live=False)
    rates, by_hand = [], []
    for _ in range(bench.form.repeats):
        url = place.create("imported")
        _make_tables(url)
        load(url, world, purchases=False)
        by_hand.append(len(lines) / python([IMPORT_BY_HAND, url, str(file)]).seconds)
        url = place.create("imported")
        _make_tables(url)
        load(url, world, purchases=False)
        ran = smr(url, "import", "purchases", str(file), "--config", config, "--now", IMPORTED_AT)
        _expect(_count(url, "purchases") == len(lines), "the import kept every line")
        rates.append((len(lines) / ran.seconds, ran.peak_mb))
    place.drop("imported")
    rate, peak = sorted(rates)[len(rates) // 2]
    wanted = 60_000 if place.kind == "SQLite" else 40_000
    yield Figure(
        "import of a history", rate, " lines/s", wanted, note=f"{len(lines):,} lines of CSV, by time"
    )
    yield Figure("  its peak memory", peak, " MB")
    reference = sorted(by_hand)[len(by_hand) // 2]
    yield Figure("  by hand, nothing checked", reference, " lines/s")
    yield Figure("  smr to by hand", rate / reference)


def walking(bench: Bench) -> Iterator[Figure]:
    """A backtest of all playbooks over one quarter, the copy of the facts included; and over half as long."""
    config = bench.shop("backtest", live=True, useful_for=3 * DAY)
    url = bench.place.url(bench.base)
    ran = {
        days: smr(url, "backtest", "--from", first, "--to", "2026-11-13", "--config", config, "--json")
        for days, first in ((45, "2026-09-30"), (90, "2026-08-16"))
    }
    quarter = ran[90]
    sent = json.loads(quarter.printed)["would_have_sent"]
    lines = bench.form.world.lines
    yield Figure(
        f"backtest of 90 days, {lines:,} lines",
        quarter.seconds,
        " s",
        60 if lines <= 1_100_000 else None,
        "most",
        note=f"{sent:,} messages; {quarter.cpu:.1f} s of processor time",
    )
    yield Figure("  its peak memory", quarter.peak_mb, " MB")
    yield Figure("  peak memory, days doubled", quarter.peak_mb / ran[45].peak_mb, "×", 1.2, "most")


def loading(bench: Bench) -> Iterator[Figure]:
    """The base: facts past the importer, then what follows from them by a run without live playbooks."""
    seconds = prepare(bench, bench.form.world)
    if seconds:
        yield Figure(
            "first run over all customers", seconds, " s", note="no playbook live: supplies and buyers only"
        )


def prepare(bench: Bench, world: World) -> float:
    """Make the base of a world, unless a kept folder has it; seconds that smr took to derive what follows."""
    place, name = bench.place, _name(world)
    if place.has(name):
        return 0.0
    url = place.create("loading")
    _make_tables(url)
    load(url, world)
    tidy(url)
    ran = smr(url, "run", "--config", bench.shop("draft", live=False), "--now", DERIVED_AT)
    tidy(url)
    place.copy("loading", name)
    place.drop("loading")
    return ran.seconds


def day(bench: Bench) -> Iterator[Figure]:
    """One day's new lines into the base."""
    world, place = bench.form.world, bench.place
    lines = world.day(world.lines // 100)
    file = bench.folder / "day.csv"
    write_csv(file, world, lines)
    url = place.copy(bench.base, bench.today)
    before = _count(url, "purchases")
    config = bench.shop("draft", live=False)
    ran = smr(url, "import", "purchases", str(file), "--config", config, "--now", IMPORTED_AT)
    _expect(_count(url, "purchases") == before + len(lines), "the day's import kept every line")
    note = f"{len(lines):,} lines into {before:,}"
    yield Figure("import of a day", len(lines) / ran.seconds, " lines/s", note=note)


def running(bench: Bench) -> Iterator[Figure]:
    """The whole way to queued messages, by each contender."""
    form, place = bench.form, bench.place
    path = bench.rules("rules")
    by_orm = python(["-m", "benchmarks.by_orm", place.copy(bench.today, "by_orm"), path])
    place.drop("by_orm")
    by_pandas = None
    if find_spec("pandas"):
        by_pandas = python(["-m", "benchmarks.by_pandas", place.copy(bench.today, "by_pandas"), path])
        place.drop("by_pandas")
    config = bench.shop("live", live=True)
    by_hand, whole, ours = [], [], []
    for _ in range(form.repeats):
        by_hand.append(python([BY_HAND, place.copy(bench.today, "by_hand"), path]))
        whole.append(python(["-m", "benchmarks.whole_by_hand", place.copy(bench.today, "whole"), path]))
        ours.append(_run(place.copy(bench.today, "ours"), config, NOW, "--json"))
    again = _run(place.url("ours"), config, A_MINUTE_LATER)
    contenders = (typical(by_hand), by_orm, typical(ours))
    yield from _compared(*contenders, again, place.url("by_hand"), place.url("ours"))
    yield from _whole_way(typical(whole), typical(ours), place.url("whole"), place.url("ours"))
    if by_pandas is not None:
        yield from _beside_pandas(by_pandas, typical(ours))
    for name in ("by_hand", "whole", "ours"):
        place.drop(name)


def daily(bench: Bench) -> Iterator[Figure]:
    """A run as every day has it, playbooks live for long, one in a hundred lines new; and how it grows."""
    world = bench.form.world
    seconds, queued, by_hand = _a_day(bench, world, world.lines // 100, timedelta(days=3))
    note = f"{world.lines // 100:,} new lines, {queued:,} messages; the whole process"
    wanted = 5.0 if bench.place.kind == "SQLite" else None
    yield Figure("a day's run", seconds, " s", wanted, "most", only_full=True, note=note)
    note = f"{by_hand['messages']:,} messages; the same refresh, and what came due since the run before"
    yield Figure("a day's run by hand", by_hand["seconds"], " s", note=note)
    few = world.customers * 3 // 10  # who buy thrice on average, and then thirty times
    young, old = World(few, world.lines // 10), World(few, world.lines)
    wanted = 1.2 if bench.place.kind == "SQLite" else 1.4
    yield from _grown(
        bench, "ten times the history", (young, timedelta(days=3)), (old, timedelta(days=4)), wanted
    )
    # Below the span of the cap, so that as many are due and none comes free.
    small = (bench.form.small, timedelta(days=6.9))
    yield from _grown(bench, "ten times the shop", small, (world, timedelta(days=0.69)), None)


def _grown(
    bench: Bench,
    what: str,
    before: tuple[World, timedelta],
    after: tuple[World, timedelta],
    wanted: float | None,
) -> Iterator[Figure]:
    """A day's run with as many new lines and about as many due, in a small world and in a large one."""
    lines = before[0].lines // 100
    for world, _since in (before, after):
        if not bench.place.has(_name(world)):
            prepare(bench, world)
    small, queued_small, by_hand_small = _a_day(bench, before[0], lines, before[1])
    large, queued_large, by_hand_large = _a_day(bench, after[0], lines, after[1])
    note = f"{lines:,} new lines: {queued_small:,} messages in {small:.2f} s, then {queued_large:,} in"
    note += f" {large:.2f} s"
    yield Figure(f"a day's run, {what}", large / small, "×", wanted, "most", True, note)
    note = f"{by_hand_small['seconds']:.2f} s, then {by_hand_large['seconds']:.2f} s"
    yield Figure("  of one by hand", by_hand_large["seconds"] / by_hand_small["seconds"], "×", note=note)
    for world in (before[0], after[0]):
        if world is not bench.form.world:
            bench.place.drop(_name(world))


def _a_day(bench: Bench, world: World, lines: int, since: timedelta) -> tuple[float, int, dict[str, Any]]:
    """Seconds of a run that long after all was up to date, with so many new lines; how many it queued.

    Then what the same by hand tells, and its seconds.
    """
    place, config, at = bench.place, bench.shop("daily", live=True), RUN_AT + since
    url = place.copy(_name(world), "daily")
    _run(url, config, NOW)
    file = bench.folder / "daily.csv"
    write_csv(file, world, world.day(lines, int(at.timestamp()) - DAY))
    smr(url, "import", "purchases", str(file), "--config", config, "--now", at.isoformat())
    tidy(url)
    before = _count(url, "messages")
    news = str(write_rules(bench.folder / "daily.json", rules(at, int(since.total_seconds()))))
    ran, by_hand = [], []
    for _ in range(bench.form.repeats):
        by_hand.append(python(["-m", "benchmarks.whole_by_hand", place.copy("daily", "later"), news]))
        ran.append(_run(place.copy("daily", "later"), config, at.isoformat()))
    queued = _count(place.url("later"), "messages") - before
    place.drop("later")
    place.drop("daily")
    chosen = typical(by_hand)
    return typical(ran).seconds, queued, {**_told(chosen), "seconds": chosen.seconds}


def slices(bench: Bench) -> Iterator[Figure]:
    """The same run shared by two processes, beside one, in turn."""
    form, place, config = bench.form, bench.place, bench.shop("live", live=True)
    one, two = [], []
    for _ in range(form.repeats):
        one.append(_run(place.copy(bench.today, "alone"), config))
        two.append(_run(place.copy(bench.today, "shared"), config, NOW, "--slices", "2"))
    _expect(_texts(place.url("alone")) == _texts(place.url("shared")), "two wrote what one wrote")
    count = len(_texts(place.url("shared")))
    for name in ("alone", "shared"):
        place.drop(name)
    alone, shared = (median(ran.seconds for ran in each) for each in (one, two))
    yield Figure("run by one process", alone, " s", note=f"{count:,} messages, the day's refresh included")
    yield Figure("run by two processes", shared, " s", note="smr run --slices 2")
    wanted = 1.4 if place.kind == "PostgreSQL" else None
    yield Figure("  two processes to one", alone / shared, "×", wanted, only_full=True)


def rendering(bench: Bench) -> Iterator[Figure]:
    """The texts of what is due beside Jinja2's own way in the same sandbox; then queueing them."""
    url = bench.place.copy(bench.today, "texts")
    asked = [url, bench.shop("live", live=True), NOW]
    ran = _told(python(["-m", "benchmarks.rendering", *asked]))
    queued = _told(python(["-m", "benchmarks.putting", *asked]))
    bench.place.drop("texts")
    note = f"context, subject and body of {ran['texts']:,}, by processor time"
    yield Figure("rendering by smr", ran["smr"], " texts/s", note=note)
    yield Figure("rendering by Template.render", ran["plain"], " texts/s")
    yield Figure("  smr to that", ran["smr"] / ran["plain"], "×", 1.3)
    note = f"{queued['messages']:,} rendered messages into the outbox"
    yield Figure("queueing by smr", queued["smr"], " messages/s", note=note)
    yield Figure("queueing by the driver, unchecked", queued["raw"], " messages/s")
    yield Figure("  smr to that, queueing", queued["smr"] / queued["raw"])


def _run(url: str, config: str, now: str = NOW, *more: str) -> Ran:
    return smr(url, "run", "--config", config, "--now", now, *more)


def _compared(
    by_hand: Ran, by_orm: Ran, ours: Ran, again: Ran, url_by_hand: str, url: str
) -> Iterator[Figure]:
    reference, mine = _texts(url_by_hand), _texts(url)
    count = len(mine)
    _expect(count > 0, "the run queued messages")
    rate, rate_by_hand = count / ours.seconds, len(reference) / by_hand.seconds
    rate_by_orm = json.loads(by_orm.printed)["messages"] / by_orm.seconds
    yield Figure("messages queued", count, note=f"by hand {len(reference):,}")
    same = len(mine.keys() & reference.keys()) / max(len(mine.keys() | reference.keys()), 1)
    yield Figure("  for the same customers and playbooks", 100 * same, " %", 100.0)
    text = sum(reference.get(key) == body for key, body in mine.items()) / count
    yield Figure("  with the same text", 100 * text, " %", 100.0)
    yield Figure("run by hand", rate_by_hand, " messages/s", note=by_hand.times)
    yield Figure("run by ORM, row by row", rate_by_orm, " messages/s", note=by_orm.times)
    yield Figure("run by smr", rate, " messages/s", note=f"{ours.times}, the day's refresh included")
    yield Figure("smr to by hand", rate / rate_by_hand, "", 0.4, only_full=True)
    yield Figure("smr to ORM", rate / rate_by_orm, "×", 5.0, only_full=True)
    yield Figure("peak memory of the run", ours.peak_mb, " MB", 150.0, "most")
    second = again.seconds / ours.seconds
    yield Figure(
        "second run to the first", second, "", 0.1, "most", only_full=True, note=f"{again.seconds:.2f} s"
    )


def _beside_pandas(by_pandas: Ran, ours: Ran) -> Iterator[Figure]:
    """Beside one who reads the whole history into memory."""
    told = _told(by_pandas)
    note = f"{told['messages']:,} messages in {by_pandas.seconds:.1f} s, {told['load']:.1f} s of it reading;"
    note += f" {told['peak_mb']:,.0f} MB"
    yield Figure("smr to pandas", by_pandas.seconds / ours.seconds, "×", note=note)


def _whole_way(by_hand: Ran, ours: Ran, url_by_hand: str, url: str) -> Iterator[Figure]:
    """Beside the script that brings supplies up to date and writes decisions down, too."""
    _expect(_texts(url_by_hand) == _texts(url), "the whole way by hand writes what smr writes")
    decided = json.loads(by_hand.printed)["decided"]
    note = f"{by_hand.times}; the day's refresh and {decided:,} decisions included"
    yield Figure("the whole way by hand", len(_texts(url)) / by_hand.seconds, " messages/s", note=note)
    ratio = by_hand.seconds / ours.seconds
    yield Figure("smr to the whole way by hand", ratio, "", 0.7, only_full=True)
    yield from _by_stage(_told(by_hand), _told(ours)["stage_seconds"])


def _by_stage(by_hand: dict[str, Any], ours: dict[str, float]) -> Iterator[Figure]:
    """What each part of the way takes, beside the same part by hand."""
    for what, part, stages in STAGES:
        mine = sum(ours[stage] for stage in stages)
        note = f"{mine:.2f} s, by hand {by_hand[part]:.2f} s"
        yield Figure(f"  {what}, time to by hand", mine / by_hand[part], "×", note=note)


INTERACTIONS = 5
"""Of each customer."""


def sorting(bench: Bench) -> Iterator[Figure]:
    """Twenty segments, two ladders, two tags by rule: everybody, and after one in a hundred bought."""
    place = bench.place
    url = place.copy(bench.base, "sorted")
    filled = _told(python(["-m", "benchmarks.sorting", "fill", url, str(INTERACTIONS)]))
    tidy(url)
    now = str(int(RUN_AT.timestamp()))
    by_hand = _told(python(["-m", "benchmarks.sorting_by_hand", place.copy("sorted", "by_hand"), now]))
    place.drop("by_hand")
    told = _told(python(["-m", "benchmarks.sorting", "sort", url]))
    place.drop("sorted")
    _expect(told["counts"] == by_hand["counts"], "both ways sort everybody alike")
    note = f"{told['customers']:,} customers, {filled['interactions']:,} interactions, 24 definitions"
    yield Figure("sorting everybody by hand", by_hand["seconds"], " s", note=note)
    yield Figure("sorting everybody, at first", told["first"], " s")
    slower = told["first"] / by_hand["seconds"]
    yield Figure("  time of smr to that", slower, "×", 1.5, "most", note="as many in each segment and stage")
    yield Figure("sorting everybody again", told["again"], " s")
    note = f"{told['judged']:,} judged in {told['after']:.2f} s, {told['changed']:,} of them changed"
    share = told["after"] / told["again"]
    yield Figure("sorting after a change of 1 in 100, to all", share, "", 0.1, "most", note=note)
    note = f"{told['judged_by_clock']:,} judged in {told['day']:.2f} s"
    yield Figure("sorting a day later with no change, to all", told["day"] / told["again"], note=note)


QUEUES = {"SQLite": (), "PostgreSQL": ("pgqueuer", "procrastinate")}
"""By kind of database: the job queues that smr's outbox is compared with, beside the raw one."""
QUEUE_TURNS = 3
STRICT_SHARE = 5  # of the jobs are acknowledged one by one, which takes longer


def queueing(bench: Bench) -> Iterator[Figure]:
    """Jobs that do nothing, claimed and acknowledged durably: by hand, by two job queues, by smr's outbox."""
    place, count = bench.place, bench.form.queued
    raw: list[dict[str, Any]] = []
    ours: list[dict[str, Any]] = []
    for _ in range(QUEUE_TURNS):
        raw += _burned(bench, ["benchmarks.queue_references", "raw"], count)
        ours += _burned(bench, ["benchmarks.queue_smr"], count)
    rates = {"raw": _rate(raw)}
    for kind in QUEUES[place.kind]:
        rates[kind] = _rate(_burned(bench, ["benchmarks.queue_references", kind], count))
    rate, peak = _rate(ours), max(one["peak_mb"] for one in ours)
    for kind, theirs in rates.items():
        yield Figure(f"queue: {kind}", theirs, " jobs/s", note=f"{count:,} jobs")
    yield Figure(
        "queue: smr", rate, " messages/s", note="guards judged again, each batch recorded before it is sent"
    )
    yield Figure("  its peak memory", peak, " MB", 200.0, "most")
    yield Figure(
        "  smr to by hand",
        rate / rates["raw"],
        "",
        {"SQLite": 0.1, "PostgreSQL": 0.25}[place.kind],
        note=f"the middle of {QUEUE_TURNS} turns each",
    )
    if place.kind == "PostgreSQL":
        two = _burned(bench, ["benchmarks.queue_smr"], count, workers=2)
        together = count / max(ran["seconds"] for ran in two)
        yield Figure("  smr to procrastinate", rate / rates["procrastinate"], "×", 10.0)
        yield Figure("  smr to PgQueuer", rate / rates["pgqueuer"], "×", 1.0)
        yield Figure("  two workers to one", together / rate, "×", 1.0, note=f"{together:,.0f} messages/s")
    few = count // STRICT_SHARE
    by_hand: list[dict[str, Any]] = []
    one_by_one: list[dict[str, Any]] = []
    for _ in range(QUEUE_TURNS):
        by_hand += _burned(bench, ["benchmarks.queue_references", "strict"], few)
        one_by_one += _burned(bench, ["benchmarks.queue_smr"], few, drain="strict")
    wanted = {"SQLite": None, "PostgreSQL": 0.8}[place.kind]
    note = f"one durable acknowledgement per message: by hand {_rate(by_hand):,.0f} jobs/s, smr"
    note += f" {_rate(one_by_one):,.0f} with {STRICT.parallel} calls at once"
    yield Figure("  strict, smr to by hand", _rate(one_by_one) / _rate(by_hand), "", wanted, note=note)
    many = _burned(bench, ["benchmarks.queue_smr"], 10 * count, drained=count // 2)
    note = f"with {10 * count:,} waiting: {many[0]['peak_mb']:.0f} MB"
    yield Figure(
        "  peak memory, ten times as many waiting",
        many[0]["peak_mb"] / peak,
        "×",
        1.2,
        "most",
        note=note,
    )


def _rate(ran: list[dict[str, Any]]) -> float:
    """Jobs done in a second, the middle of all runs."""
    return float(median(one["done"] / one["seconds"] for one in ran))


def _burned(
    bench: Bench,
    module: list[str],
    count: int,
    *,
    workers: int = 1,
    drained: int | None = None,
    drain: str = "drain",
) -> list[dict[str, Any]]:
    """Fill a queue and burn it down by so many processes at once; what each tells."""
    url = bench.place.create("queue")
    name, *kind = module
    python(["-m", name, *kind, "fill", url, str(count)])
    os.sync()  # else what is timed next waits for this
    burn = ["-m", name, *kind, drain, url, str(drained or count)]
    with ThreadPoolExecutor(workers) as pool:
        told = [_told(ran) for ran in pool.map(python, [burn] * workers)]
    bench.place.drop("queue")
    done = sum(one["done"] for one in told)
    _expect(done == (drained or count), f"{name} did {drained or count} jobs, and it did {done}")
    return told


def evaluating(bench: Bench, tell: Tell) -> Iterator[Figure]:
    """The reference rule alone (one category), in process; and how it grows with the shop."""
    tell("evaluating one rule")
    large = _evaluated(bench, bench.form.world)
    if "evaluation" in bench.form.parts:
        yield from _rule(bench, large)
    if "growth" in bench.form.parts:
        tell(f"the same at {bench.form.small.lines:,} lines")
        yield from _growth(bench, large)
    bench.place.drop(large)


def _evaluated(bench: Bench, world: World) -> str:
    """A copy of a base in which nothing waits for a refresh; its name."""
    name = f"{_name(world)}_rule"
    prepare(bench, world)
    bench.place.copy(_name(world), name)
    tidy(bench.place.url(name))
    return name


def _rule(bench: Bench, name: str) -> Iterator[Figure]:
    form, url = bench.form, bench.place.url(name)
    path = bench.rules("rules")
    hand = _told(python([BY_HAND, url, path, "--evaluate", "9"]))
    written = _told(python(["-m", "benchmarks.whole_by_hand", url, path, "--evaluate", "9"]))
    loop = _told(python(["-m", "benchmarks.by_orm", url, path, "--evaluate", str(form.sample)]))
    ahead = None
    if bench.place.kind == "PostgreSQL":  # SQLite scans the whole table for a list of two-column keys
        ahead = _told(python(["-m", "benchmarks.by_orm", url, path, "--evaluate", str(form.sample), "ahead"]))
    ours = _evaluate(url, bench.shop("live", live=True))
    whole = loop["seconds"] * form.world.customers / form.sample
    yield Figure("one rule by hand", hand["seconds"] * 1000, " ms", note=f"{hand['due']:,} customers")
    note = f"from a sample of {form.sample:,} customers, loaded as they are asked for"
    yield Figure("one rule by an ORM loop", whole, " s", note=note)
    note = f"{ours['due']:,} candidates found, judged and written down, {ours['accepted']:,} accepted"
    yield Figure("one rule by smr", ours["seconds"] * 1000, " ms", note=note)
    yield Figure("ORM loop to smr", whole / ours["seconds"], "×", 500.0)
    if ahead is not None:
        whole_ahead = ahead["seconds"] * form.world.customers / form.sample
        yield Figure(
            "one rule by an ORM loop that loads ahead", whole_ahead, " s", note="by a thousand customers"
        )
        yield Figure("  that to smr", whole_ahead / ours["seconds"], "×")
    yield Figure("smr to by hand, one rule", hand["seconds"] / ours["seconds"])
    note = f"{written['due']:,} decisions"
    yield Figure("one rule by hand, written down", written["seconds"] * 1000, " ms", note=note)
    slower = ours["seconds"] / written["seconds"]
    yield Figure("  time of smr to that", slower, "×", 1.15, "most", only_full=True)
    if bench.place.kind == "SQLite":
        yield from _scans(bench, url, path, ours["seconds"])


def _scans(bench: Bench, url: str, rules: str, ours: float) -> Iterator[Figure]:
    """The same rule by a full scan of all lines in a Parquet file, by three that are good at that."""
    lines, days = str(bench.folder / "lines.parquet"), str(LASTS_DAYS[0])
    python(["-m", "benchmarks.by_frame", "write", url, lines])
    for kind, name in (("duckdb", "DuckDB"), ("polars", "Polars"), ("pandas", "pandas")):
        scan = _told(python(["-m", "benchmarks.by_frame", kind, lines, rules, days, "5"]))
        _expect(scan["due"] > 0, f"{name} found somebody")
        note = f"{scan['due']:,} customers; no stock at home, no guard, nothing written down"
        yield Figure(f"one rule by {name}, full scan", scan["seconds"] * 1000, " ms", note=note)
        wanted = 1.0 if kind == "duckdb" else None
        yield Figure("  that to smr", scan["seconds"] / ours, "×", wanted, only_full=True)
    Path(lines).unlink()


def _growth(bench: Bench, large: str) -> Iterator[Figure]:
    """The large shop with so short a window that as many are due as in the small one."""
    small = _evaluated(bench, bench.form.small)
    url, url_small = bench.place.url(large), bench.place.url(small)
    due = _due(url_small, USEFUL_FOR)
    window = _window(url, due)
    at_small = _evaluate(url_small, bench.shop("live", live=True))
    at_large = _evaluate(url, bench.shop("window", live=True, useful_for=window))
    note = f"{at_small['due']:,} due in {at_small['seconds'] * 1000:.1f} ms, then {at_large['due']:,} in"
    note += f" {at_large['seconds'] * 1000:.1f} ms"
    yield Figure(
        "time of one rule, ten times the lines",
        at_large["seconds"] / at_small["seconds"],
        "×",
        1.3,
        "most",
        only_full=True,
        note=note,
    )
    yield from _memory(bench)
    bench.place.drop(small)


def _memory(bench: Bench) -> Iterator[Figure]:
    """Peak memory of a whole run in the large shop to that in the small one."""
    peaks = []
    for world in (bench.form.small, bench.form.world):
        ran = _run(bench.place.copy(_name(world), "memory"), bench.shop("live", live=True))
        peaks.append(ran.peak_mb)
        bench.place.drop("memory")
    note = f"{peaks[0]:.0f} MB, then {peaks[1]:.0f} MB"
    yield Figure(
        "peak memory, ten times the lines", peaks[1] / peaks[0], "×", 1.1, "most", only_full=True, note=note
    )


def _evaluate(url: str, config: str) -> dict[str, Any]:
    return _told(python(["-m", "benchmarks.evaluation", url, config, NOW, "9"]))


def _told(ran: Ran) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(ran.printed)
    return told


def _name(world: World) -> str:
    return f"shop_{world.customers}_{world.lines}"


def _make_tables(url: str) -> None:
    database = open_database(url)
    ensure_current(database)
    database.close()


def _rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """All rows of a query, through the driver."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()
    with psycopg.connect(url) as server:
        return server.execute(query.encode()).fetchall()


def _count(url: str, table: str) -> int:
    return int(_rows(url, f"SELECT count(*) FROM {table}")[0][0])


def _texts(url: str) -> dict[tuple[str, str], str]:
    """The text of each message by its customer and playbook."""
    found = _rows(url, "SELECT customer_id, playbook, body FROM messages")
    return {(customer_id, playbook): body for customer_id, playbook, body in found}


def _due(url: str, useful_for: int) -> int:
    """How many supplies of the first category are due."""
    found = rules(RUN_AT, useful_for)
    window = f"runs_out_at > {found.due_from} AND runs_out_at < {found.due_before}"
    return int(_rows(url, f"SELECT count(*) FROM supplies WHERE {_FIRST} AND {window}")[0][0])


def _window(url: str, count: int) -> int:
    """For how many seconds a step must be useful for that many to be due, in whole minutes."""
    found = rules(RUN_AT, USEFUL_FOR)
    latest = f"SELECT runs_out_at FROM supplies WHERE {_FIRST} AND runs_out_at < {found.due_before}"
    rows = _rows(url, f"{latest} ORDER BY runs_out_at DESC LIMIT 1 OFFSET {count}")
    return max(1, round((found.now - int(rows[0][0])) / 60)) * 60


_FIRST = f"kind = 'category' AND line = '{CATEGORIES[0]}'"


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise RuntimeError(f"expected that {what}, but it did not")
