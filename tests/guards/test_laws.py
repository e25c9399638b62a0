"""Laws that hold whatever happens: caps, stop_when, consent, holdout, one stage per ladder."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from smr import pipeline
from smr.database import Database
from smr.report import RunReport
from smr.settings import Settings
from smr.tables import candidates, messages, metadata, stages
from tests.examples import many
from tests.library import library
from tests.worlds import NOW, World, put, random_worlds

SHOP = Settings.model_validate(
    {"policy": {"caps": ["1 per 1d", "2 per 5d"]}, "channels": {"sms": {"cap": "1 per 4d"}}}
)
SEGMENTS = """
ladders:
  lifecycle:
    - {stage: lost, where: {last_purchase: {more_than: 90d}}}
    - {stage: regular, where: {orders: {at_least: 2}}}
    - {stage: growing, where: {orders: {at_least: 1}}}
    - {stage: new}
"""
REFILL = """
name: %(name)s
status: live
priority: %(priority)s
trigger: {runs_out: {category: %(category)s}}
steps:
  - {name: early, send: 5d before due, via: [%(via)s], message: early, useful_for: 30d}
  - {name: late, send: 2d after due, via: [%(via)s], message: late, useful_for: 30d}
stop_when: [{purchase: {category: %(stop)s}}]
limits: {per_customer: 1 per 6d}
holdout: 25%%
"""
BOOKS = library(
    REFILL % {"name": "face", "priority": 60, "category": "洁面", "via": "wecom, sms", "stop": "猫粮"},
    REFILL % {"name": "cats", "priority": 40, "category": "猫粮", "via": "sms, wecom", "stop": "猫粮"},
    segments=SEGMENTS,
)
DAYS = range(6)


def live_through(database: Database, world: World) -> None:
    """A fresh database in which a run happens each day; facts come into force as their days come."""
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))
    put(database, world)
    for day in DAYS:
        done = pipeline.run(database, BOOKS, SHOP, now=NOW - timedelta(days=DAYS[-1] - day))
        assert isinstance(done, RunReport)


def rows(database: Database, question: sa.Select[Any]) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(question))


def later_purchase(world: World, row: Any, categories: set[str]) -> bool:
    """Whether such goods were bought and kept after the anchor and before the message was made."""
    category = {product.product_id: product.category for product in world.products}
    for line in world.purchases:
        back = [
            one
            for one in world.refunds
            if (one.order_id, one.product_id, one.line_no) == (line.order_id, line.product_id, line.line_no)
        ]
        returned = sum(
            line.quantity if one.quantity is None else one.quantity
            for one in back
            if one.refunded_at <= row.queued_at
        )
        if (
            line.customer_id == row.customer_id
            and category[line.product_id] in categories
            and line.kind not in ("sample", "gift")
            and line.quantity > returned
            and row.anchor_at < line.purchased_at <= row.queued_at
        ):
            return True
    return False


def consented(world: World, row: Any) -> bool:
    said = [
        one
        for one in world.consents
        if one.customer_id == row.customer_id and one.decided_at <= row.queued_at
    ]
    return bool(said) and max(said, key=lambda one: (one.decided_at, not one.granted)).granted


@settings(max_examples=many(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=random_worlds(most=6))
def test_whatever_happens_no_rule_is_broken_and_everybody_stands_at_the_right_stage(
    database: Database, world: World
) -> None:
    live_through(database, world)
    no_rule_is_broken(database, world)
    everybody_stands_at_one_stage_and_the_right_one(database, world)


def no_rule_is_broken(database: Database, world: World) -> None:
    keys = [
        messages.c[name] == candidates.c[name]
        for name in ("bucket", "customer_id", "playbook", "step", "anchor")
    ]
    columns = (
        messages.c.customer_id,
        messages.c.playbook,
        messages.c.anchor,
        messages.c.channel,
        messages.c.queued_at,
    )
    made = rows(
        database,
        sa.select(*columns, candidates.c.anchor_at, candidates.c.state).select_from(
            messages.join(candidates, sa.and_(*keys))
        ),
    )
    contacts: dict[str, list[int]] = defaultdict(list)
    by_sms: dict[str, list[int]] = defaultdict(list)
    for row in made:
        day = (row.queued_at - NOW).days
        contacts[row.customer_id].append(day)
        if row.channel == "sms":
            by_sms[row.customer_id].append(day)
        assert row.state == "accepted"
        assert consented(world, row)
        stops = {"洁面", "猫粮"} if row.playbook == "face" else {"猫粮"}
        assert not later_purchase(world, row, stops)
    for days in contacts.values():
        assert max(Counter(days).values()) <= 1
        assert all(sum(first <= day < first + 5 for day in days) <= 2 for first in days)
    for days in by_sms.values():
        assert all(sum(first <= day < first + 4 for day in days) <= 1 for first in days)
    rounds = {
        (row.customer_id, row.playbook, row.anchor): (row.queued_at - NOW).days for row in reversed(made)
    }
    for (customer, book, anchor), day in rounds.items():
        others = [d for (c, b, a), d in rounds.items() if (c, b) == (customer, book) and a != anchor]
        assert all(abs(day - other) >= 6 for other in others)


def everybody_stands_at_one_stage_and_the_right_one(database: Database, world: World) -> None:
    columns = (stages.c.customer_id, stages.c.stage)
    standing = [tuple(row) for row in rows(database, sa.select(*columns).where(stages.c.left_at.is_(None)))]
    assert sorted(standing) == sorted(
        (one.customer_id, stage(world, one.customer_id)) for one in world.customers
    )


def stage(world: World, customer: str) -> str:
    """The ladder, told plainly."""
    kept = [
        line
        for line in world.purchases
        if line.customer_id == customer
        and line.kind not in ("sample", "gift")
        and line.quantity
        > sum(
            line.quantity if back.quantity is None else back.quantity
            for back in world.refunds
            if (back.order_id, back.product_id, back.line_no)
            == (line.order_id, line.product_id, line.line_no)
        )
    ]
    if kept and max(line.purchased_at for line in kept) < NOW - timedelta(days=90):
        return "lost"
    orders = len({line.order_id for line in kept})
    return "regular" if orders >= 2 else "growing" if orders else "new"


def test_a_holdout_is_drawn_alike_on_every_database_and_day(database: Database) -> None:
    world = World()
    world.product("foam", category="洁面")
    for number in range(200):
        world.customer(f"c{number}", addresses={"wecom": "x"}, consent=True)
        world.purchase(f"c{number}", "foam", days_ago=41)
    live_through(database, world)
    held = rows(
        database, sa.select(candidates.c.customer_id).where(candidates.c.state == "held_out").distinct()
    )
    expected = sorted(f"c{number}" for number in range(200) if drawn(f"c{number}") < 0.25)
    assert sorted(row.customer_id for row in held) == expected
    assert 30 < len(expected) < 70


def drawn(customer: str) -> float:
    """The draw, told plainly."""
    from hashlib import sha256

    from smr.tables import dice_of

    prime = 2**31 - 1
    digest = sha256(b"\0face").digest()
    factor, shift = int.from_bytes(digest[:4]) % (prime - 1) + 1, int.from_bytes(digest[4:8]) % prime
    return (dice_of(customer) * factor + shift) % prime / prime
