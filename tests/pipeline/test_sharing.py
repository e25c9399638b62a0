"""A run that several processes share is the run that one makes alone: same rows, same report."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from smr import pipeline, runs, sharing, tables
from smr.database import Database, open_database
from smr.database.migrate import mark_current
from smr.errors import StateError
from smr.playbook.model import Library
from smr.report import RunReport
from smr.settings import Settings
from smr.sharing import Place
from smr.slices import Slice
from smr.tables import metadata, run_slices
from tests.fresh import fresh_postgresql
from tests.house.everything import everything
from tests.library import REFILL, library
from tests.worlds import NOW, World, put, random_worlds

COMPARED = (
    tables.buyers,
    tables.supplies,
    tables.rhythms,
    tables.learned,
    tables.odds,
    tables.members,
    tables.stages,
    tables.tags,
    tables.sortings,
    tables.candidates,
    tables.messages,
    tables.changed_customers,
    tables.undecided_customers,
)
NUMBERED = ("run_id", "taken_by")
PROCESSES = 3


@pytest.fixture(autouse=True)
def each_thread_is_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "this_process", lambda: f"machine-{threading.get_ident()}/1/1")


def everything_known(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row that a run makes, but for the number of the run."""
    found = {}
    with database.read() as connection:
        for table in COMPARED:
            columns = [column for column in table.c if column.name not in NUMBERED]
            rows = connection.execute(sa.select(*columns))
            found[table.name] = sorted(tuple(map(str, row)) for row in rows)
    return found


def alone(database: Database, known: tuple[Library, Settings], days: float) -> RunReport:
    done = pipeline.run(database, *known, now=NOW + timedelta(days=days))
    assert isinstance(done, RunReport)
    return done


def shared(
    database: Database, known: tuple[Library, Settings], days: float, slot: str = "together"
) -> list[RunReport]:
    """The report that each of three processes gets, where they work at the same time."""

    def work(number: int) -> RunReport | runs.UnderWay:
        now, place = NOW + timedelta(days=days), Place(number, PROCESSES)
        return pipeline.share(database, *known, now=now, place=place, slot=f"{slot}/{days}")

    with ThreadPoolExecutor(PROCESSES) as pool:
        done = list(pool.map(work, range(1, PROCESSES + 1)))
    return [one for one in done if isinstance(one, RunReport)]


def agree(world: World, databases: tuple[Database, Database], known: tuple[Library, Settings]) -> None:
    """Runs in two weeks, alone and shared."""
    one, many = databases
    for days in (0.0, 7.5):
        for database in databases:
            put(database, world)
        report = alone(one, known, days)
        reports = shared(many, known, days)
        assert reports
        assert [found.counts() for found in reports] == [report.counts()] * len(reports)
        assert all(found.took.keys() == report.took.keys() for found in reports)
        assert everything_known(many) == everything_known(one)


@contextmanager
def two_files() -> Iterator[tuple[Database, Database]]:
    with TemporaryDirectory() as folder:
        one, many = (open_database(f"sqlite:///{Path(folder, name)}.db") for name in ("one", "many"))
        for database in (one, many):
            with database.write() as connection:
                metadata.create_all(connection)
                mark_current(connection)
        yield one, many
        one.close()
        many.close()


@contextmanager
def two_of_postgresql(url: str) -> Iterator[tuple[Database, Database]]:
    with fresh_postgresql(url) as one, fresh_postgresql(url) as many:
        for database in (one, many):
            with database.write() as connection:
                metadata.create_all(connection)
                mark_current(connection)
        yield one, many


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(random_worlds(least=6, most=12))
def test_three_processes_decide_what_one_does(world: World) -> None:
    with two_files() as databases:
        agree(world, databases, everything())


def uneven() -> World:
    """Thirty customers: most buy little, some much; some send back, some complain, some have no consent."""
    world = World()
    for product, category in {"P1": "洁面", "P2": "洁面", "P3": "猫粮", "P4": None}.items():
        world.product(product, category=category)
    for number in range(30):
        name = f"c{number}"
        consent = (True, True, True, False, None)[number % 5]
        world.customer(name, addresses={"wecom": name, "sms": "138"}, consent=consent, birthday="1990-11-23")
        for bought in range((1, 2, 7)[number % 3]):
            product = f"P{(number + bought) % 4 + 1}"
            line = world.purchase(name, product, days_ago=41 + 11 * bought - number % 4, quantity=2.0)
        if number % 4 == 0:
            world.refund(line, days_ago=1, quantity=1.0)
        if number % 7 == 0:
            world.tag(name, "投诉中")
        world.interaction(name, days_ago=number % 6, content="脸上过敏了")
    return world


def test_three_processes_decide_what_one_does_on_postgresql(postgres_url: str) -> None:
    with two_of_postgresql(postgres_url) as databases:
        agree(uneven(), databases, everything())


@pytest.fixture
def crowd() -> World:
    """Forty customers who are all due for cleanser."""
    world = World()
    world.product("foam", category="洁面")
    for number in range(40):
        world.customer(f"c{number}", addresses={"wecom": f"wm{number}", "sms": "138"}, consent=True)
        world.purchase(f"c{number}", "foam", days_ago=41)
    return world


def test_the_limit_of_a_run_counts_what_all_processes_found(database: Database, crowd: World) -> None:
    put(database, crowd)
    known = (library(REFILL + "limits: {per_run: 7}\n"), Settings())
    report, *_ = shared(database, known, 0)
    assert (report.queued, report.blocked) == (7, {"per_run_limit": 33})


def test_a_blast_is_noticed_across_slices(database: Database, crowd: World) -> None:
    put(database, crowd)
    careful = Settings.model_validate({"policy": {"blast_limit": "50%"}})
    reports = shared(database, (library(REFILL), careful), 0)
    assert {(report.blast, report.queued) for report in reports} == {(40, 0)}


# Who may join.


def begun(database: Database, owner: str, rules: str | None = "r", **asked: Any) -> runs.Run | runs.UnderWay:
    """What a process that asks for a run gets."""
    at = asked.pop("at", NOW)
    agreed = None
    if rules is not None:
        agreed = runs.Agreed(rules, at, lambda connection, run: sharing.open_stages(connection, run, 3))
    return runs.begin(
        database, now=at or NOW, version="v", slot=asked.get("slot"), owner=owner, agreed=agreed
    )


def test_a_run_is_joined_by_whoever_agrees(sqlite_database: Database) -> None:
    first = begun(sqlite_database, "a/1/1")
    second = begun(sqlite_database, "b/1/1")
    assert isinstance(first, runs.Run)
    assert isinstance(second, runs.Run)
    assert (first.joined, second.joined, second.run_id) == (False, True, first.run_id)


@pytest.mark.parametrize(
    "asked", [{"rules": "others"}, {"rules": None}, {"slot": "daily"}, {"at": NOW + timedelta(hours=1)}]
)
def test_a_run_of_others_is_left_to_them(sqlite_database: Database, asked: dict[str, Any]) -> None:
    begun(sqlite_database, "a/1/1")
    found = begun(sqlite_database, "b/1/1", **asked)
    assert isinstance(found, runs.UnderWay)
    assert not found.done


def test_whoever_states_no_time_joins_at_the_runs_own(sqlite_database: Database) -> None:
    begun(sqlite_database, "a/1/1")
    found = begun(sqlite_database, "b/1/1", at=None)
    assert isinstance(found, runs.Run)
    assert (found.joined, found.now) == (True, NOW)


def test_a_run_that_one_process_makes_alone_is_not_joined(sqlite_database: Database) -> None:
    begun(sqlite_database, "a/1/1", rules=None)
    assert isinstance(begun(sqlite_database, "b/1/1"), runs.UnderWay)


# Who does what.


def quiet(_standing: sharing.Standing) -> None:
    pass


def a_stage_of(database: Database, *parts: Slice) -> tuple[runs.Run, runs.Run]:
    """Two processes of one run whose first stage has begun, with these slices."""
    ana, ben = begun(database, "a/1/1"), begun(database, "b/1/1")
    assert isinstance(ana, runs.Run)
    assert isinstance(ben, runs.Run)
    task = sharing.next_task(database, ana, Place(1, 2), quiet)
    assert task is not None
    with database.write() as connection:
        assert sharing.is_mine(connection, ana, task)
        sharing.add_slices(connection, ana.run_id, 0, list(parts))
        sharing.done(connection, ana, task, {})
    return ana, ben


FOUR = (Slice(0, 1023), Slice(1024, 2047), Slice(2048, 3071), Slice(3072, 4095))


def test_each_begins_at_its_own_place_and_then_takes_what_is_left(database: Database) -> None:
    ana, ben = a_stage_of(database, *FOUR)
    taken = [
        sharing.next_task(database, who, place, quiet)
        for who, place in ((ben, Place(2, 2)), (ana, Place(1, 2)), (ben, Place(2, 2)), (ben, Place(2, 2)))
    ]
    assert [task.number if task else None for task in taken] == [3, 1, 4, 2]


def test_the_next_stage_waits_for_all_of_the_stage_before(database: Database) -> None:
    ana, ben = a_stage_of(database, FOUR[0])
    mine = sharing.next_task(database, ana, Place(1, 2), quiet)
    assert mine is not None
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(sharing.next_task, database, ben, Place(2, 2), quiet)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.15)
        with database.write() as connection:
            assert sharing.is_mine(connection, ana, mine)
            sharing.done(connection, ana, mine, {})
        assert waiting.result(timeout=20) == sharing.Task(1, 0, Slice(0, 4095))


def test_what_is_not_begun_in_time_is_taken_by_another_and_then_not_done_twice(database: Database) -> None:
    ana, ben = a_stage_of(database, FOUR[0])
    mine = sharing.next_task(database, ana, Place(1, 2), quiet)
    assert mine is not None
    with database.write() as connection:
        connection.execute(sa.update(run_slices).values(lease_until=0))
    assert sharing.next_task(database, ben, Place(2, 2), quiet) == mine
    with database.write() as connection:
        assert not sharing.is_mine(connection, ana, mine)
        assert sharing.is_mine(connection, ben, mine)


def test_what_is_put_back_is_there_for_the_next(database: Database) -> None:
    ana, ben = a_stage_of(database, FOUR[0])
    mine = sharing.next_task(database, ana, Place(1, 2), quiet)
    assert mine is not None
    sharing.put_back(database, ana, mine)
    assert sharing.next_task(database, ben, Place(2, 2), quiet) == mine


def test_whoever_works_is_not_robbed_however_long_it_takes(postgres_url: str) -> None:
    with fresh_postgresql(postgres_url) as database:
        with database.write() as connection:
            metadata.create_all(connection)
        ana, ben = a_stage_of(database, *FOUR[:2])
        mine = sharing.next_task(database, ana, Place(1, 2), quiet)
        assert mine is not None
        with database.write() as connection:
            connection.execute(sa.update(run_slices).values(lease_until=0))
        with database.write() as connection:
            assert sharing.is_mine(connection, ana, mine)
            other = sharing.next_task(database, ben, Place(1, 2), quiet)
            assert other is not None
            assert other.number != mine.number


def test_a_process_whose_run_another_took_over_stops(sqlite_database: Database) -> None:
    ana, _ = a_stage_of(sqlite_database, *FOUR)
    with sqlite_database.write() as connection:
        connection.execute(sa.update(tables.runs).values(lease_until=0))
    assert isinstance(begun(sqlite_database, "c/1/1", rules=None), runs.Run)
    with pytest.raises(StateError, match="another took its place"):
        sharing.next_task(sqlite_database, ana, Place(1, 2), quiet)


def test_a_report_is_read_back_as_it_was_told() -> None:
    report = RunReport(customers=3, queued=2, imports="1/0")
    report.look("cats", "now", 4, None)
    report.look("face", "now", 4, 2)
    report.judged("cats", "now", None, None, None, 3)
    report.judged("face", "now", "superseded", "cats", "now", 2)
    assert RunReport.from_plain(report.as_plain()) == report
