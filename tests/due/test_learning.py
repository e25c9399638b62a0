"""Learned rhythms: whose supply runs out when, what it rests on, and which days playbooks may ask for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import floats, randoms

from smr import clock, pipeline
from smr.database import Database
from smr.due import visits
from smr.due.chance import bought_by, chance, chance_sql
from smr.due.visits import CUTS
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import candidates, forecasts, learned, metadata, odds, rhythms, supplies
from tests.examples import many
from tests.library import library
from tests.worlds import NOW, World, put, random_worlds

DAY = clock.DAY
LEARNING = "cycles: {default: {lasts: 30d}, categories: {洁面: {lasts: 45d}, 猫粮: {lasts: 12d}}}"
FINAL = LEARNING.replace("d}", "d, learn: false}")
SHOP = Settings.model_validate({"shop": {"zone": "Asia/Shanghai"}})


def run(database: Database, known: Library, days: float = 0) -> None:
    """A run so many days after NOW."""
    pipeline.run(database, known, SHOP, now=NOW + timedelta(days=days))


def supply_of(database: Database, customer: str, line: str = "洁面") -> Any:
    """What is written of a supply."""
    of = (supplies.c.customer_id == customer, supplies.c.line == line)
    with database.read() as connection:
        return connection.execute(sa.select(supplies).where(*of)).one()


@pytest.fixture
def shop() -> Iterator[World]:
    """Twenty customers who buy a cleanser about every 45 days, and cat food every 12."""
    world = World()
    world.product("foam", category="洁面")
    world.product("fish", category="猫粮")
    for number in range(20):
        name = f"c{number}"
        world.customer(name)
        for back in range(6):
            world.purchase(name, "foam", days_ago=10 + number % 3 + back * (40 + number % 11))
            world.purchase(name, "fish", days_ago=8 + number % 2 + back * (10 + number % 5))
    yield world


def test_whoever_buys_every_three_weeks_is_out_after_three_weeks(database: Database, shop: World) -> None:
    shop.customer("ana")
    for back in range(8):
        shop.purchase("ana", "foam", days_ago=10 + 21 * back)
    put(database, shop)
    run(database, library(catalog=LEARNING))
    ana = supply_of(database, "ana")
    days = (ana.runs_out_at - NOW) / timedelta(days=1) + 10
    assert 20 < days < 27
    assert ana.own_gaps == 7
    assert 0.6 < ana.own_weight < 1
    assert timedelta(days=1) < timedelta(seconds=ana.spread) < timedelta(days=12)


def test_whoever_bought_once_follows_the_others(database: Database, shop: World) -> None:
    shop.customer("bo")
    shop.purchase("bo", "fish", days_ago=9)
    put(database, shop)
    run(database, library(catalog="cycles: {default: {lasts: 90d}}"))
    bo = supply_of(database, "bo", "猫粮")
    assert 8 < (bo.runs_out_at - bo.last_purchased_at) / timedelta(days=1) < 20
    assert (bo.own_gaps, bo.own_weight) == (0, 0)


def test_the_first_purchase_of_a_new_shop_lasts_as_stated(database: Database) -> None:
    world = World()
    world.product("twin", category="洁面", units=2.0)
    world.customer("ana")
    world.purchase("ana", "twin", days_ago=30, quantity=3.0)
    put(database, world)
    run(database, library(catalog=LEARNING))
    ana = supply_of(database, "ana")
    assert (ana.runs_out_at - ana.last_purchased_at) / timedelta(days=1) == pytest.approx(6 * 45, abs=1.5)


def test_three_bottles_last_three_times_as_long_where_that_is_how_people_buy(database: Database) -> None:
    world = World()
    world.product("foam", category="洁面")
    for number in range(40):
        name = f"c{number}"
        world.customer(name)
        ago = 15.0 + number % 7
        for back in range(8):
            quantity = 1 + (number + back) % 3
            ago += quantity * 20
            world.purchase(name, "foam", days_ago=ago, quantity=float(quantity))
        world.purchase(name, "foam", days_ago=15.0 + number % 7, quantity=float(1 + number % 3))
    put(database, world)
    run(database, library(catalog=LEARNING))
    with database.read() as connection:
        exponent = connection.execute(
            sa.select(learned.c.exponent).where(learned.c.line == "洁面")
        ).scalar_one()
    assert exponent > 0.9
    one, three = supply_of(database, "c0"), supply_of(database, "c2")
    assert (three.runs_out_at - three.last_purchased_at) > 2.5 * (one.runs_out_at - one.last_purchased_at)


def test_the_operators_word_is_final_where_it_is_said_so(database: Database, shop: World) -> None:
    put(database, shop)
    run(database, library(catalog=FINAL))
    with database.read() as connection:
        for table in (rhythms, learned, odds, forecasts):
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0
    foam = supply_of(database, "c0")
    assert (foam.location, foam.own_weight, foam.spread) == (None, None, None)


def test_who_said_the_last_word_first_may_let_purchases_speak_later(database: Database, shop: World) -> None:
    put(database, shop)
    run(database, library(catalog=FINAL))
    stated = supply_of(database, "c0").runs_out_at
    run(database, library(catalog=LEARNING))
    assert supply_of(database, "c0").location is not None
    run(database, library(catalog=FINAL))
    foam = supply_of(database, "c0")
    assert (foam.runs_out_at, foam.location) == (stated, None)


def test_what_the_shop_learns_changes_once_a_week(database: Database, shop: World) -> None:
    put(database, shop)
    known = library(catalog=LEARNING)
    run(database, known)
    with database.read() as connection:
        before = connection.execute(sa.select(learned).order_by(learned.c.line)).all()
    later = World(products=shop.products, customers=shop.customers)
    for number in range(20):
        later.purchase(f"c{number}", "foam", days_ago=-1, order_id=f"later{number}")
    put(database, later)
    run(database, known, days=3)
    with database.read() as connection:
        assert connection.execute(sa.select(learned).order_by(learned.c.line)).all() == before
    assert supply_of(database, "c0").own_gaps == 6
    run(database, known, days=7)
    with database.read() as connection:
        assert connection.execute(sa.select(learned).order_by(learned.c.line)).all() != before


def test_newcomers_change_nothing_of_what_was_learned_before_they_came(
    database: Database, shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "SAMPLE", 10)
    put(database, shop)
    known = library(catalog=LEARNING)
    run(database, known)
    before = all_odds(database)
    newcomers = World()
    for number in range(20):
        newcomers.customer(f"new{number}")
        newcomers.purchase(f"new{number}", "fish", days_ago=0)
    put(database, newcomers)
    run(database, known, days=0.1)
    assert all_odds(database) == before


def all_odds(database: Database) -> list[Any]:
    """What is known of the shop as a whole."""
    with database.read() as connection:
        return list(connection.execute(sa.select(odds).order_by(odds.c.kind, odds.c.what, odds.c.step)))


@settings(max_examples=many(80), deadline=None)
@given(days=floats(1, 400), location=floats(0, 6), steepness=floats(0.5, 9), follows=floats(0.02, 0.995))
def test_the_chance_is_one_whatever_the_silence(
    days: float, location: float, steepness: float, follows: float
) -> None:
    found = chance(days, location, steepness, follows)
    assert 0 <= found <= follows
    assert found <= bought_by(days + 8, location, steepness) + 1e-9


def test_sql_and_python_tell_the_same_chance(database: Database) -> None:
    for days, location, steepness, follows in ((1, 3, 2, 0.9), (30, 3.4, 5, 0.5), (300, 2, 9, 0.99)):
        values = (sa.cast(sa.literal(float(one)), sa.Double) for one in (days, location, steepness, follows))
        with database.read() as connection:
            told = connection.execute(sa.select(chance_sql(*values))).scalar_one()
        assert told == pytest.approx(chance(days, location, steepness, follows), rel=1e-9)


REFILL = """
name: refill
status: live
trigger: {runs_out: {category: 洁面}%s}
steps:
  - {name: heads_up, send: %s, via: [wecom], message: again, useful_for: 3d}
"""


def due_on(database: Database, known: Library, days: range) -> dict[str, int]:
    """The first day (after NOW) on which a run finds each customer due."""
    found: dict[str, int] = {}
    for day in days:
        run(database, known, days=day)
        with database.read() as connection:
            for customer in connection.execute(sa.select(candidates.c.customer_id)).scalars():
                found.setdefault(customer, day)
    return found


def test_due_at_three_quarters_is_later_than_at_one_quarter(database: Database, shop: World) -> None:
    put(database, shop)
    playbooks = [
        REFILL.replace("refill", f"at{share}") % ("", f"on due at {share}%") for share in (25, 50, 75)
    ]
    run(database, library(*playbooks, catalog=LEARNING))
    with database.read() as connection:
        rows = connection.execute(
            sa.select(forecasts.c.asked, forecasts.c.expected_at)
            .where(forecasts.c.customer_id == "c0", forecasts.c.line == "洁面")
            .order_by(forecasts.c.expected_at)
        ).all()
    assert [asked for asked, _ in rows] == ["due at 25%", "due at 50%", "due at 75%"]
    assert abs(rows[1].expected_at - supply_of(database, "c0").runs_out_at) < timedelta(seconds=5)


def likely_day(database: Database, customer: str, share: float, quiet: int) -> int | None:
    """The first day after the purchase on which it is so likely, told day by day."""
    supply = supply_of(database, customer)
    with database.read() as connection:
        of_visits = sa.select(odds).where(odds.c.kind == "category", odds.c.what == "visit")
        factors = {row.step: row.share for row in connection.execute(of_visits)}
        visit = connection.execute(
            sa.select(rhythms).where(rhythms.c.customer_id == customer, rhythms.c.kind == "visit")
        ).one()
    gap = math.exp(visit.log_gap / visit.weight) if visit.weight else None
    shift = (supply.starts_at - visit.starts_at) // timedelta(days=1)
    for day in range(max(quiet, 1), 401):
        step = len(CUTS) + 1 if gap is None else sum((day + shift) / gap >= cut for cut in CUTS)
        if chance(day, supply.location, supply.steepness, supply.follows) * factors[step] >= share:
            return day
    return None


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6])
def test_likely_is_the_first_day_that_reaches_the_share(
    database: Database, shop: World, share: float
) -> None:
    put(database, shop)
    known = library(REFILL % (f", likely: {share:.0%}, quiet: 12d", "on due"), catalog=LEARNING)
    run(database, known)
    asked = f"likely {share:.0%} after 12d"
    with database.read() as connection:
        found = {
            row.customer_id: row.expected_at
            for row in connection.execute(
                sa.select(forecasts).where(forecasts.c.asked == asked, forecasts.c.line == "洁面")
            )
        }
    days = {f"c{number}": likely_day(database, f"c{number}", share, 12) for number in range(20)}
    assert {name: (at - supply_of(database, name).starts_at).days for name, at in found.items()} == {
        name: day for name, day in days.items() if day is not None
    }
    assert share > 0.3 or found


def test_a_step_counts_from_the_likely_day(database: Database, shop: World) -> None:
    put(database, shop)
    known = library(REFILL % (", likely: 20%", "2d after due"), catalog=LEARNING)
    run(database, known)
    with database.read() as connection:
        asked = sa.select(forecasts.c.customer_id, forecasts.c.expected_at)
        rows = connection.execute(asked).all()
    ahead = {name: (at - NOW) / timedelta(days=1) for name, at in rows}
    days = due_on(database, known, range(10, 33))
    assert days
    for name, day in days.items():
        assert day - 1 <= ahead[name] + 2 <= day + 1, name


def test_a_new_purchase_takes_the_likely_day_along(database: Database, shop: World) -> None:
    put(database, shop)
    known = library(REFILL % (", likely: 20%", "on due"), catalog=LEARNING)
    run(database, known)
    later = World(products=shop.products, customers=shop.customers)
    later.purchase("c0", "foam", days_ago=0, order_id="later")
    put(database, later)
    run(database, known)
    with database.read() as connection:
        at = connection.execute(
            sa.select(forecasts.c.expected_at).where(forecasts.c.customer_id == "c0")
        ).scalar_one_or_none()
    day = likely_day(database, "c0", 0.2, 10)
    assert at == (None if day is None else NOW + timedelta(days=day))


def derived(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Whole rows of everything that is learned."""
    with database.read() as connection:
        return {
            table.name: [
                tuple(row)
                for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns))
            ]
            for table in (rhythms, learned, odds, supplies, forecasts)
        }


def empty(database: Database) -> None:
    """Forget everything."""
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))


PLAYBOOKS = (REFILL % (", likely: 20%", "on due"), REFILL.replace("refill", "late") % ("", "due at 75%"))
BOTH = "track: both\n" + LEARNING


@settings(max_examples=many(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=random_worlds(least=4), random=randoms(use_true_random=False))
def test_facts_in_any_order_teach_what_a_rebuild_teaches(
    database: Database, world: World, random: Random
) -> None:
    empty(database)
    known = library(*PLAYBOOKS, catalog=BOTH)
    lines, backs = list(world.purchases), list(world.refunds)
    random.shuffle(lines)
    random.shuffle(backs)
    for part in range(4):
        some = World(products=world.products, customers=world.customers)
        some.purchases[:] = lines[part::4]
        some.refunds[:] = backs[part::4]
        put(database, some)
        run(database, known, days=random.choice([-9, -2, 0]))
    run(database, known)
    stepwise = derived(database)
    pipeline.rebuild(database, known, SHOP, now=NOW)
    assert derived(database) == stepwise
