"""A duty fires once per slot, whoever asks, however often, and whatever happened meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smr import clock, firings
from smr.cron import Cron, parse_cron
from smr.database import Database
from smr.firings import Firing
from smr.runs import this_process
from smr.tables import firings as table
from tests.examples import many

SHANGHAI = clock.zone("Asia/Shanghai")
HOURLY = parse_cron("0 * * * *")
MONDAY = datetime.fromisoformat("2026-11-23T01:30:00+00:00")
ANA, BEN = "ana/1/unknown", "ben/2/unknown"
HOUR = timedelta(hours=1)


def begin(database: Database, owner: str = ANA, now: datetime = MONDAY, **more: Any) -> Firing | None:
    stated: dict[str, Any] = {"cron": HOURLY, "where": SHANGHAI, **more}
    return firings.begin(database, "run", now=now, owner=owner, **stated)


def watched(database: Database, since: datetime = MONDAY - HOUR) -> None:
    assert begin(database, now=since) is None


def silent(database: Database) -> None:
    """As if the owner had been silent for longer than its lease."""
    with database.write() as connection:
        connection.execute(sa.update(table).values(lease_until=1))


def states(database: Database) -> list[tuple[str, int]]:
    with database.read() as connection:
        rows = connection.execute(sa.select(table.c.state, table.c.attempts).order_by(table.c.slot_at))
        return [(row.state, row.attempts) for row in rows]


def test_the_first_time_nothing_fires_and_the_duty_is_watched_from_then_on(database: Database) -> None:
    assert begin(database) is None
    assert begin(database) is None
    assert begin(database, now=MONDAY + HOUR) is not None


def test_one_of_those_who_ask_at_the_same_moment_gets_the_slot(database: Database) -> None:
    watched(database)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda number: begin(database, f"w{number}/1/unknown"), range(16)))
    [firing] = [one for one in got if one is not None]
    assert firing.slot == "2026-11-23T01:00:00Z"
    assert states(database)[1:] == [("running", 1)]


def test_many_missed_times_are_made_up_for_once(database: Database) -> None:
    watched(database, MONDAY - timedelta(days=7))
    firing = begin(database)
    assert firing is not None
    assert firings.finish(database, firing)
    assert begin(database) is None
    assert len(states(database)) == 2


def test_a_duty_that_goes_on_is_not_begun_again_at_its_next_time(database: Database) -> None:
    watched(database)
    first = begin(database)
    assert first is not None
    assert begin(database, BEN, now=MONDAY + HOUR) is None
    assert firings.finish(database, first)
    later = begin(database, BEN, now=MONDAY + HOUR)
    assert later is not None
    assert later.slot == "2026-11-23T02:00:00Z"


def test_a_firing_whose_owner_is_silent_is_taken_up_by_another(database: Database) -> None:
    watched(database)
    first = begin(database)
    silent(database)
    second = begin(database, BEN)
    assert first is not None
    assert second is not None
    assert (second.slot, second.attempt) == (first.slot, 2)
    assert not firings.finish(database, first), "the first one wakes up too late"
    assert firings.finish(database, second)
    assert states(database)[-1] == ("done", 2)


def test_an_owner_that_keeps_its_lease_is_left_alone(database: Database) -> None:
    watched(database)
    assert begin(database) is not None
    silent(database)
    with database.write() as connection:
        firings.keep(connection, ANA)
    assert begin(database, BEN) is None


def test_a_process_that_is_gone_from_this_machine_gives_way_at_once(database: Database) -> None:
    host = this_process().split("/")[0]
    watched(database)
    assert begin(database, f"{host}/999999999/1") is not None
    assert begin(database, BEN) is not None


def test_what_an_owner_lost_in_an_outage_it_takes_up_itself(database: Database) -> None:
    watched(database)
    assert begin(database) is not None
    assert begin(database, active={"run"}) is None
    again = begin(database)
    assert again is not None
    assert again.attempt == 2


def test_a_failed_firing_is_tried_again_after_a_pause(database: Database) -> None:
    watched(database)
    first = begin(database)
    assert first is not None
    assert firings.finish(database, first, failed="no route")
    assert begin(database, BEN) is None
    with database.read() as connection:
        assert firings.undone(connection, BEN, ()) == []
    silent(database)
    with database.read() as connection:
        assert firings.undone(connection, BEN, ()) == ["run"]
    assert begin(database, BEN) is not None


def test_a_later_time_takes_over_from_what_failed(database: Database) -> None:
    watched(database)
    first = begin(database)
    assert first is not None
    firings.finish(database, first, failed="no route")
    later = begin(database, BEN, now=MONDAY + HOUR)
    assert later is not None
    assert states(database)[1:] == [("stopped", 1), ("running", 1)]


def test_what_was_broken_off_may_be_taken_up_at_once(database: Database) -> None:
    watched(database)
    first = begin(database)
    assert first is not None
    assert firings.put_back(database, first)
    assert begin(database, BEN) is not None


def test_a_clock_that_jumps_back_fires_nothing_again(database: Database) -> None:
    watched(database)
    first = begin(database)
    assert first is not None
    firings.finish(database, first)
    assert begin(database, now=MONDAY - timedelta(days=1)) is None
    assert begin(database, now=MONDAY + timedelta(minutes=1)) is None


def test_pruning_keeps_the_last_slot_of_each_duty(database: Database) -> None:
    watched(database, MONDAY - timedelta(days=200))
    first = begin(database)
    assert first is not None
    firings.finish(database, first)
    with database.write() as connection:
        assert firings.prune(connection, before=MONDAY - timedelta(days=90)) == 1
        assert firings.prune(connection, before=MONDAY + timedelta(days=90)) == 0
    assert states(database) == [("done", 1)]


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo"])
def test_a_year_of_looking_fires_each_day_once_in_zones_that_change_their_clocks(
    sqlite_database: Database, zone: str
) -> None:
    where, cron = clock.zone(zone), parse_cron("30 2 * * *")
    now = datetime.fromisoformat("2026-03-01T00:00:00+00:00")
    fired = []
    begin(sqlite_database, now=now, cron=cron, where=where)
    for _ in range(24 * 45):
        now += HOUR
        firing = begin(sqlite_database, now=now, cron=cron, where=where)
        if firing is not None:
            fired.append(firing.slot_at.astimezone(where).date())
            firings.finish(sqlite_database, firing)
    assert len(fired) == len(set(fired)) == (fired[-1] - fired[0]).days + 1


@settings(max_examples=many(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["ask", "finish", "fail", "die"]), st.integers(0, 200)),
        max_size=25,
    )
)
def test_no_slot_is_ever_in_two_hands_and_none_is_done_twice(
    sqlite_database: Database, steps: list[tuple[int, str, int]]
) -> None:
    with sqlite_database.write() as connection:
        connection.execute(sa.delete(table))
    watched(sqlite_database)
    now, held, done = MONDAY, dict[str, Firing](), list[str]()
    for who, what, minutes in steps:
        owner, now = f"w{who}/1/unknown", now + timedelta(minutes=minutes)
        if what == "ask" and owner not in held:
            firing = begin(sqlite_database, owner, now=now, active=[])
            if firing is not None:
                assert not held, "somebody has it"
                held[owner] = firing
        elif what in ("finish", "fail") and owner in held:
            firing = held.pop(owner)
            assert firings.finish(sqlite_database, firing, failed="no" if what == "fail" else None)
            done += [firing.slot] if what == "finish" else []
        elif what == "die" and owner in held:
            del held[owner]
            silent(sqlite_database)
    assert len(done) == len(set(done))


def test_the_schedule_has_sunday_as_0_and_7() -> None:
    sunday = datetime.fromisoformat("2026-11-22T00:00:00+08:00")
    for weekday in ("0", "7", "sun"):
        cron: Cron = parse_cron(f"0 9 * * {weekday}")
        found = cron.next_after(MONDAY, SHANGHAI)
        assert found is not None
        assert (found.astimezone(SHANGHAI).date() - sunday.date()).days == 7
