"""Whether a channel may be used now, and how fast; one row for all processes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from smr.database import Database
from smr.delivery import gate
from smr.errors import Refusal
from smr.notation import Rate
from smr.tables import channels
from tests.delivery.shop import end_rests
from tests.outbox.rows import NOON

SMS = "sms"


def ask(database: Database, wanted: int, rate: Rate | None = None) -> gate.Leave:
    with database.write() as connection:
        return gate.ask(connection, SMS, rate, wanted)


def fail(database: Database, refusal: Refusal = Refusal.UNAVAILABLE, asked: float = 0) -> None:
    with database.write() as connection:
        gate.failed(connection, SMS, refusal, "no", asked=asked, now=NOON)


def work(database: Database) -> None:
    with database.write() as connection:
        gate.worked(connection, SMS, now=NOON)


def go_back(database: Database, seconds: float) -> None:
    """As if the last message had gone so much earlier."""
    with database.write() as connection:
        earlier = channels.c.next_us - int(seconds * 1_000_000)
        connection.execute(sa.update(channels).values(next_us=earlier))


def rests_for(database: Database) -> float:
    return ask(database, 1).wait


def test_a_channel_nobody_complains_of_has_leave_for_all(database: Database) -> None:
    assert ask(database, 1000) == gate.Leave(1000)


def test_a_rate_gives_leave_for_what_the_time_allows_and_says_when_there_is_more(database: Database) -> None:
    tens = Rate(10, 1)
    first = ask(database, 5, tens)
    assert (first.count, 0 < first.wait <= 0.1) == (1, True)
    go_back(database, 0.45)
    assert ask(database, 100, tens).count in (4, 5, 6)
    assert ask(database, 1, tens).count in (0, 1)


def test_what_was_not_used_is_kept_for_one_second_only(database: Database) -> None:
    tens = Rate(10, 1)
    ask(database, 1, tens)
    go_back(database, 3600)
    assert ask(database, 100, tens).count == 11


def test_a_slow_rate_saves_nothing_up(database: Database) -> None:
    daily = Rate(3, 86_400)
    assert ask(database, 9, daily).count == 1
    go_back(database, 3 * 86_400)
    assert ask(database, 9, daily).count == 1
    assert 28_000 < ask(database, 9, daily).wait <= 28_800


def test_leave_that_was_not_needed_is_given_back(database: Database) -> None:
    rate = Rate(1, 60)
    assert ask(database, 1, rate).count == 1
    with database.write() as connection:
        gate.give_back(connection, SMS, rate, 1)
    assert ask(database, 1, rate).count == 1


@pytest.mark.parametrize(("asked", "least", "most"), [(120, 118, 120), (10**9, 3590, 3600), (0, 1, 3)])
def test_a_provider_that_asks_to_be_left_alone_is_left_alone(
    database: Database, asked: float, least: float, most: float
) -> None:
    fail(database, Refusal.THROTTLED, asked)
    assert least <= rests_for(database) + 1 <= most + 1
    assert ask(database, 1).count == 0


def test_without_a_time_the_pauses_grow(database: Database) -> None:
    waits = []
    for _ in range(5):
        fail(database, Refusal.THROTTLED)
        waits.append(rests_for(database))
        end_rests(database)
    assert waits == sorted(waits)
    assert waits[-1] > 8 * waits[0]


def test_the_circuit_opens_after_five_failures_and_one_probe_closes_it(database: Database) -> None:
    for _ in range(4):
        fail(database)
    assert ask(database, 10).count == 10
    fail(database)
    resting = ask(database, 10)
    assert (resting.count, resting.why) == (0, "no")
    assert 28 <= resting.wait <= 39
    end_rests(database)
    assert ask(database, 10).count == 1, "one tries"
    assert ask(database, 10).count == 0, "the others wait for it"
    work(database)
    assert ask(database, 10).count == 10


def test_a_probe_that_fails_makes_the_rest_longer(database: Database) -> None:
    for _ in range(5):
        fail(database)
    first = rests_for(database)
    end_rests(database)
    ask(database, 1)
    fail(database)
    assert rests_for(database) > 1.5 * first


def test_not_being_let_in_opens_it_at_once(database: Database) -> None:
    fail(database, Refusal.UNAUTHORIZED)
    assert ask(database, 1).count == 0


@pytest.mark.parametrize("ending", [work, end_rests])
def test_a_success_makes_failures_count_from_nothing(
    database: Database, ending: Callable[[Database], None]
) -> None:
    for _ in range(4):
        fail(database)
    ending(database)
    fail(database)
    assert ask(database, 1).count == (1 if ending is work else 0)
