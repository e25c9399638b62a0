"""What is dear or delicate goes to a person, once; the robot keeps out of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from smr import handovers, pipeline
from smr.database import Database
from smr.delivery import deliver
from smr.playbook.model import Library
from smr.report import RunReport
from smr.settings import Settings
from smr.tables import candidates, messages, products
from smr.tables import handovers as cases
from tests.library import REFILL, library
from tests.worlds import NOW, World, put

SHOP = Settings()
LATER = "  - {name: offer, send: 1d before due, via: wecom, message: 还要吗}\n"


def rules(said: str) -> Library:
    """A refill reminder with a second step, handed over by these rules."""
    lasting = REFILL.replace("send: 5d before due,", "send: 5d before due, useful_for: 9d,")
    return library(lasting + LATER + f"hand_over: {said}\n")


@pytest.fixture
def world() -> World:
    """Ana's dear cream and Ben's cheap foam run out in four days."""
    shop = World()
    shop.product("cream", category="洁面", name="面霜", price=80_000)
    shop.product("foam", category="洁面", name="洁面乳", price=5_000)
    for customer, product in (("ana", "cream"), ("ben", "foam")):
        shop.customer(
            customer, name=customer.title(), addresses={"wecom": "wm"}, consent=True, staff_id="lin"
        )
        shop.purchase(customer, product, days_ago=41)
    return shop


def run(database: Database, known: Library, days: float = 0, settings: Settings = SHOP) -> RunReport:
    done = pipeline.run(database, known, settings, now=NOW + timedelta(days=days))
    assert isinstance(done, RunReport)
    return done


def written_to(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        question = sa.select(messages.c.customer_id, messages.c.step)
        return [tuple(row) for row in connection.execute(question.order_by(*question.selected_columns))]


def open_cases(database: Database) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        columns = (cases.c.customer_id, cases.c.playbook, cases.c.step, cases.c.staff_id, cases.c.reason)
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(cases.c.customer_id))]


def test_from_a_price_on_a_person_writes_and_below_it_the_robot(database: Database, world: World) -> None:
    put(database, world)
    report = run(database, rules("{price_from: 500}"))
    assert open_cases(database) == [("ana", "refill", "heads_up", "lin", "price_from: 500")]
    assert written_to(database) == [("ben", "heads_up")]
    assert report.blocked == {"handed_over": 1}


def test_a_round_is_one_case_and_its_later_steps_are_the_persons_too(
    database: Database, world: World
) -> None:
    put(database, world)
    known = rules("{price_from: 500}")
    run(database, known)
    run(database, known, days=0.1)
    with database.write() as connection:
        connection.execute(sa.update(products).values(price=100))
        handovers.close(connection, "ana/playbook/refill/o1/洁面", now=NOW)
    run(database, known, days=3)
    assert len(open_cases(database)) == 1
    assert written_to(database) == [("ben", "heads_up"), ("ben", "offer")]


def test_of_several_rules_one_is_enough_and_of_one_rule_all_must_hold(
    database: Database, world: World
) -> None:
    world.tag("ben", "敏感肌")
    put(database, world)
    run(database, rules("[{when: {tag: 敏感肌}}, {price_from: 500, when: {tag: 大客户}}]"))
    assert [case[0] for case in open_cases(database)] == ["ben"]
    assert written_to(database) == [("ana", "heads_up")]


def test_where_no_price_is_known_what_was_paid_counts(database: Database, world: World) -> None:
    put(database, world)
    with database.write() as connection:
        connection.execute(sa.update(products).values(price=None))
    run(database, rules("{price_from: 100}"))
    assert [case[0] for case in open_cases(database)] == ["ana", "ben"]


def test_who_is_held_out_is_not_handed_over(database: Database, world: World) -> None:
    put(database, world)
    run(database, library(REFILL + "hand_over: {price_from: 500}\nholdout: 100%\n"))
    assert open_cases(database) == []


def test_a_plan_tells_of_cases_and_opens_none(database: Database, world: World) -> None:
    put(database, world)
    known = rules("{price_from: 500}")
    planned, _ = pipeline.plan(database, known, SHOP, now=NOW)
    assert open_cases(database) == []
    assert planned.counts() == run(database, known).counts()


def test_a_case_tells_of_the_customer_and_of_what_it_is_about(database: Database, world: World) -> None:
    world.tag("ana", "大客户")
    put(database, world)
    run(database, rules("{price_from: 500}"))
    with database.read() as connection:
        (case,) = handovers.cases(connection, now=NOW)
    assert case.situation is not None
    about = case.situation
    assert (about.name, about.orders, about.tags) == ("Ana", 1, ("大客户",))
    assert (about.product, about.price, about.quantity) == ("面霜", 80_000, 1.0)
    assert about.bought_at == NOW - timedelta(days=41)


def test_what_waits_is_not_sent_when_its_round_went_to_a_person(
    database: Database, world: World, tmp_path: Path
) -> None:
    put(database, world)
    settings = Settings.model_validate({"files": {"folder": tmp_path}})
    run(database, rules("{price_from: 5000}"), settings=settings)
    with database.write() as connection:
        connection.execute(sa.update(products).values(price=900_000))
    known = rules("{price_from: 5000}")
    run(database, known, days=3, settings=settings)
    deliver(database, known, settings, now=NOW + timedelta(days=3), owner="worker")
    with database.read() as connection:
        question = sa.select(messages.c.customer_id, messages.c.state, messages.c.reason)
        told = connection.execute(question.where(messages.c.step == "heads_up")).all()
    assert sorted(map(tuple, told)) == [
        ("ana", "cancelled", "handed_over"),
        ("ben", "cancelled", "handed_over"),
    ]


def test_what_is_handed_over_is_settled(database: Database, world: World) -> None:
    put(database, world)
    run(database, rules("{price_from: 500}"))
    again = run(database, rules("{price_from: 500}"), days=0.1)
    assert (again.due, again.settled) == (0, 2)
    with database.read() as connection:
        states = connection.execute(sa.select(candidates.c.state).where(candidates.c.customer_id == "ana"))
        assert list(states.scalars()) == ["blocked"]
