"""What is learned once a week reaches all that rests on it, also where the run that learns is killed."""

from __future__ import annotations

import signal
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from smr import pipeline, slices
from smr.database import Database, open_database
from smr.settings import Settings
from smr.tables import (
    buyers,
    candidates,
    forecasts,
    learned,
    members,
    messages,
    metadata,
    next_changes,
    odds,
    rhythms,
    supplies,
    unsorted_customers,
)
from tests.library import library
from tests.warm import start
from tests.worlds import NOW, World, put

SHOP = Settings.model_validate({"shop": {"zone": "Asia/Shanghai"}})
CATALOG = "cycles: {categories: {洁面: {lasts: 45d}, 猫粮: {lasts: 12d}}}"
REFILL = """
name: refill
status: live
trigger: {runs_out: {category: 洁面}, likely: 15%, quiet: 12d}
steps: [{name: again, send: on due, via: [wecom], message: again, useful_for: 9d}]
"""
CATS = """
name: cats
status: live
trigger: {runs_out: {category: 猫粮}}
who: {not: {segment: out}}
steps: [{name: late, send: on due at 75%, via: [wecom], message: late, useful_for: 9d}]
"""
SEGMENTS = "segments: {out: {where: {supply: {category: 洁面, ran_out_for: 1d}}}}"
BOOKS = library(REFILL, CATS, segments=SEGMENTS, catalog=CATALOG)
PEOPLE = 24
SLICES = 3

DERIVED = (
    buyers,
    supplies,
    rhythms,
    learned,
    odds,
    forecasts,
    members,
    next_changes,
    unsorted_customers,
    candidates,
    messages,
)
NUMBERED = ("run_id", "import_id")


def regulars() -> World:
    """Customers who buy foam about every 45 days and cat food about every 12, each in their own rhythm."""
    made = World()
    made.product("foam", category="洁面")
    made.product("fish", category="猫粮")
    for number in range(PEOPLE):
        name = f"c{number}"
        made.customer(name, addresses={"wecom": name}, consent=True)
        for back in range(6):
            made.purchase(name, "foam", days_ago=10 + number % 7 * 5 + back * (35 + number))
            made.purchase(name, "fish", days_ago=3 + number % 9 + back * (10 + number % 5))
    return made


def busy_week(world: World) -> World:
    """The week after: a third of them buy foam again, every day of it."""
    later = World(products=world.products, customers=world.customers)
    for number in range(0, PEOPLE, 3):
        for day in range(1, 7):
            later.purchase(f"c{number}", "foam", days_ago=-day, order_id=f"later{number}-{day}")
    return later


def run(database: Database, days: int) -> None:
    """A run so many days after NOW, in slices of few customers."""
    slices.CUSTOMERS_A_SLICE.update(dict.fromkeys(slices.CUSTOMERS_A_SLICE, -(-PEOPLE // SLICES)))
    pipeline.run(database, BOOKS, SHOP, now=NOW + timedelta(days=days))


def die(url: str) -> None:
    """What a process does that is to be killed: the second week's run."""
    run(open_database(url), days=7)


def killed_at(point: str, url: str) -> None:
    """The second week's run in a process of its own that dies at that point."""
    died = start(die, url, crash=point)
    assert died.wait() == -signal.SIGKILL, died.errors


def derived(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Whole rows of everything that a run makes, but for numbers of runs and imports."""
    found = {}
    with database.read() as connection:
        for table in DERIVED:
            columns = [column for column in table.c if column.name not in NUMBERED]
            ordered = sa.select(*columns).order_by(*(table.primary_key.columns or columns))
            found[table.name] = [tuple(row) for row in connection.execute(ordered)]
    return found


def empty(database: Database) -> None:
    """Forget everything."""
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices are cut as usual after the test."""
    monkeypatch.setattr(slices, "CUSTOMERS_A_SLICE", dict(slices.CUSTOMERS_A_SLICE))


def two_weeks(database: Database, url: str, points: tuple[str, ...]) -> dict[str, list[tuple[Any, ...]]]:
    """What is there after two weekly runs, the second killed at these points before it is run to its end."""
    empty(database)
    world = regulars()
    put(database, world)
    run(database, days=0)
    before = derived(database)
    put(database, busy_week(world))
    for point in points:
        killed_at(point, url)
    run(database, days=7)
    after = derived(database)
    assert after["learned"] != before["learned"]
    return after


@pytest.mark.usefixtures("small_slices")
@pytest.mark.parametrize(
    "points",
    [("in_learning:1",), (f"in_learning:{SLICES}",), ("in_learning:2", "in_learning:2")],
    ids="-".join,
)
def test_a_run_killed_while_it_learns_ends_as_one_never_killed_when_it_is_run_again(
    database: Database, database_url: str, points: tuple[str, ...]
) -> None:
    undisturbed = two_weeks(database, database_url, ())
    assert two_weeks(database, database_url, points) == undisturbed


def inside(database: Database, customer: str) -> bool:
    """Whether a customer is among those who ran out."""
    now = sa.select(members.c.segment).where(members.c.customer_id == customer, members.c.left_at.is_(None))
    with database.read() as connection:
        return connection.execute(now).first() is not None


def test_whoever_has_run_out_by_what_was_learned_comes_into_the_segment(database: Database) -> None:
    """Ana does nothing all week; but the others turn out to buy much more often than was thought."""
    world = regulars()
    world.customer("ana")
    world.purchase("ana", "foam", days_ago=15)
    put(database, world)
    pipeline.run(database, BOOKS, SHOP, now=NOW)
    assert not inside(database, "ana")
    later = World(products=world.products, customers=world.customers)
    for number in range(PEOPLE):
        for day in range(1, 7):
            later.purchase(f"c{number}", "foam", days_ago=-day, order_id=f"later{number}-{day}")
    put(database, later)
    pipeline.run(database, BOOKS, SHOP, now=NOW + timedelta(days=6))
    assert not inside(database, "ana")
    pipeline.run(database, BOOKS, SHOP, now=NOW + timedelta(days=7))
    assert inside(database, "ana")
