"""Several products that run out about the same time make one message, and none of them is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smr import outbox, pipeline
from smr.database import Database, open_passing
from smr.delivery import deliver
from smr.playbook.model import Library
from smr.report import RunReport
from smr.settings import Settings
from smr.tables import candidates, messages, metadata, products
from tests.library import library
from tests.pipeline.test_standing import facts_between, from_the_beginning
from tests.worlds import NOW, World, put, random_worlds

CATALOG = """
cycles:
  categories:
    洁面: {lasts: 45d, learn: false}
    猫粮: {lasts: 45d, learn: false}
    咖啡: {lasts: 45d, learn: false}
roles:
  利润: {category: 咖啡}
"""
REFILL = """
name: refill
status: live
trigger: {runs_out: {}}
steps:
  - name: heads_up
    send: 5d before due
    via: wecom
    useful_for: 4d
    message: "{{ product.name }}{% for other in bundle %}+{{ other.product.name }}{% endfor %}"
bundle: BUNDLE
"""
AGAIN = """
  - name: again
    send: 1d after heads_up
    via: wecom
    message: "again {{ product.name }}{% for other in bundle %}+{{ other.product.name }}{% endfor %}"
bundle:"""
SHOP = Settings()


def books(bundle: str = "true", more: str = "") -> Library:
    return library(REFILL.replace("BUNDLE", bundle) + more, catalog=CATALOG)


@pytest.fixture
def ana() -> World:
    """Ana's foam, food and coffee, bought 41, 40.5 and 39 days ago, are due yesterday, today and tomorrow."""
    world = World()
    world.customer("ana", addresses={"wecom": "wm"}, consent=True)
    for name, category, price, days in (
        ("foam", "洁面", 5_000, 41),
        ("food", "猫粮", 9_000, 40.5),
        ("coffee", "咖啡", 7_000, 39),
    ):
        world.product(name, category=category, price=price)
        world.purchase("ana", name, days_ago=days)
    return world


def run(database: Database, known: Library, days: float = 0, settings: Settings = SHOP) -> RunReport:
    done = pipeline.run(database, known, settings, now=NOW + timedelta(days=days))
    assert isinstance(done, RunReport)
    return done


def bodies(database: Database) -> list[str]:
    question = sa.select(messages.c.body).order_by(messages.c.queued_at, messages.c.anchor)
    with database.read() as connection:
        return list(connection.execute(question).scalars())


def reasons(database: Database, step: str = "heads_up") -> dict[str, tuple[str | None, str | None]]:
    """By product, the reason and the winner's line."""
    columns = (candidates.c.product_id, candidates.c.reason, candidates.c.winner_anchor)
    with database.read() as connection:
        found = connection.execute(sa.select(*columns).where(candidates.c.step == step))
        return {product: (reason, lead and lead.split("/")[1]) for product, reason, lead in found}


def test_what_is_due_together_is_one_message_and_what_is_due_soon_joins_it(
    database: Database, ana: World
) -> None:
    put(database, ana)
    report = run(database, books())
    assert bodies(database) == ["foam+food+coffee"]
    assert reasons(database) == {
        "foam": (None, None),
        "food": ("bundled", "洁面"),
        "coffee": ("bundled", "洁面"),
    }
    assert (report.due, report.queued, report.blocked) == (3, 1, {"bundled": 2})


def test_what_was_named_is_not_reminded_of_again(database: Database, ana: World) -> None:
    put(database, ana)
    for day in range(4):
        run(database, books(), days=day)
    assert bodies(database) == ["foam+food+coffee"]


def test_without_a_bundle_each_is_a_message_of_its_own(database: Database, ana: World) -> None:
    put(database, ana)
    for day in range(4):
        run(database, books("false"), days=day)
    assert sorted(bodies(database)) == ["coffee", "foam", "food"]


def test_what_does_not_fit_is_said_the_next_day(database: Database, ana: World) -> None:
    put(database, ana)
    known = books("{at_most: 2, within: 1h}")
    for day in range(3):
        run(database, known, days=day)
    assert bodies(database) == ["foam+food", "coffee"]


def test_nothing_joins_that_is_due_later_than_said(database: Database, ana: World) -> None:
    put(database, ana)
    run(database, books("{within: 1h}"))
    assert bodies(database) == ["foam+food"]
    assert "coffee" not in reasons(database)


def test_the_dearest_may_lead(database: Database, ana: World) -> None:
    put(database, ana)
    run(database, books("{lead: dearest}"))
    assert bodies(database) == ["food+foam+coffee"]


def test_products_of_a_role_may_lead(database: Database, ana: World) -> None:
    put(database, ana)
    run(database, books("{prefer: 利润}"), days=1)
    assert bodies(database) == ["coffee+foam+food"]


def test_a_text_that_does_not_name_the_others_bundles_nothing(database: Database, ana: World) -> None:
    put(database, ana)
    known = library(
        REFILL.replace("BUNDLE", "true").replace(
            "{% for other in bundle %}+{{ other.product.name }}{% endfor %}", ""
        ),
        catalog=CATALOG,
    )
    run(database, known)
    assert bodies(database) == ["foam"]


def test_what_is_out_of_stock_does_not_join(database: Database, ana: World) -> None:
    put(database, ana)
    with database.write() as connection:
        connection.execute(sa.update(products).values(in_stock=False).where(products.c.product_id != "foam"))
    run(database, books())
    assert bodies(database) == ["foam"]
    assert reasons(database) == {"foam": (None, None), "food": ("out_of_stock", None)}


def test_what_a_person_is_to_write_about_is_left_out(database: Database, ana: World) -> None:
    put(database, ana)
    run(database, books("true", "hand_over: {price_from: 80}\n"))
    assert bodies(database) == ["foam+coffee"]


def capped(database: Database, ana: World) -> None:
    """A day on which another playbook takes Ana's place."""
    other = """
name: other
status: live
priority: 90
trigger: {runs_out: {category: 洁面}}
steps: [{name: first, send: 5d before due, via: wecom, message: other}]
"""
    put(database, ana)
    run(database, library(REFILL.replace("BUNDLE", "true"), other, catalog=CATALOG))


def test_all_give_way_with_their_leader_and_come_together_the_next_day(
    database: Database, ana: World
) -> None:
    capped(database, ana)
    assert bodies(database) == ["other"]
    assert reasons(database) == {
        "foam": ("superseded", "洁面"),
        "food": ("superseded", "洁面"),
        "coffee": ("not_due", None),
    }
    run(database, books(), days=1)
    assert bodies(database) == ["other", "foam+food+coffee"]


def test_who_is_held_out_is_held_out_of_all_of_it(database: Database, ana: World) -> None:
    put(database, ana)
    run(database, books("true", "holdout: 100%\n"))
    with database.read() as connection:
        question = sa.select(candidates.c.product_id, candidates.c.state)
        held = sorted(tuple(row) for row in connection.execute(question))
    assert held == [("coffee", "blocked"), ("foam", "held_out"), ("food", "held_out")]


def states(database: Database) -> list[tuple[str, str | None]]:
    with database.read() as connection:
        rows = connection.execute(sa.select(messages.c.state, messages.c.reason))
        return [tuple(row) for row in rows]


def test_a_cancelled_message_sets_free_what_it_named(database: Database, ana: World) -> None:
    put(database, ana)
    run(database, books())
    outbox.cancel(database, messages.c.customer_id == "ana", actor="ben", now=NOW)

    run(database, books(), days=1)
    assert sorted(bodies(database)) == ["foam+food+coffee", "food+coffee"]
    assert reasons(database)["coffee"] == ("bundled", "猫粮")


def later(database: Database, tmp_path: Path, minutes: int = 10) -> None:
    settings = Settings.model_validate({"files": {"folder": tmp_path}})
    deliver(database, books(), settings, now=NOW + timedelta(minutes=minutes), owner="worker")


def buys(database: Database, product: str) -> None:
    """Ana buys a product five minutes after the run."""
    again = World()
    again.purchase("ana", product, days_ago=-5 / 1440, order_id="new")
    put(database, again)


def test_what_was_bought_meanwhile_is_named_no_more_and_the_rest_is(
    database: Database, ana: World, tmp_path: Path
) -> None:
    put(database, ana)
    run(database, books())
    buys(database, "food")
    later(database, tmp_path)
    assert states(database) == [("cancelled", "bundle_changed")]

    run(database, books(), days=0.1)
    assert bodies(database) == ["foam+coffee"]
    assert states(database) == [("queued", None)]


def test_where_the_leader_was_bought_the_others_go_on(database: Database, ana: World, tmp_path: Path) -> None:
    put(database, ana)
    run(database, books())
    buys(database, "foam")
    later(database, tmp_path)
    assert states(database) == [("cancelled", "bought_already")]

    run(database, books(), days=0.1)
    assert sorted(bodies(database)) == ["foam+food+coffee", "food+coffee"]


def test_a_step_after_the_message_is_about_all_that_it_named(
    database: Database, ana: World, tmp_path: Path
) -> None:
    put(database, ana)
    known = library(REFILL.replace("BUNDLE", "true").replace("\nbundle:", AGAIN), catalog=CATALOG)
    settings = Settings.model_validate({"files": {"folder": tmp_path}, "policy": {"caps": ["9 per 1d"]}})
    run(database, known, settings=settings)
    deliver(database, known, settings, now=NOW, owner="worker")
    run(database, known, days=1.5, settings=settings)
    assert bodies(database) == ["foam+food+coffee", "again foam+food+coffee"]


def test_a_round_of_several_products_counts_once(database: Database, ana: World) -> None:
    put(database, ana)
    limited = books("{within: 1h, at_most: 2}", "limits: {per_customer: 1 per 2d}\n")
    for day in range(4):
        run(database, limited, days=day)
    assert bodies(database) == ["foam+food", "coffee"]


def test_a_plan_tells_what_the_run_does(database: Database, ana: World) -> None:
    put(database, ana)
    planned, shown = pipeline.plan(database, books(), SHOP, now=NOW)
    assert [getattr(message, "body", None) for message in shown] == ["foam+food+coffee"]
    assert planned.counts() == run(database, books()).counts()


def test_what_is_named_has_its_own_purchase_and_day(database: Database, ana: World) -> None:
    put(database, ana)
    text = (
        "{{ other.due.in_words }},{{ other.due.days }},{{ other.purchase.quantity }},{{ other.offer.name }}"
    )
    known = library(
        REFILL.replace("BUNDLE", "{within: 1h}").replace("{{ other.product.name }}", text), catalog=CATALOG
    )
    run(database, known)
    assert bodies(database) == ["foam+in 4 days,4,1,food"]


def test_a_failing_text_leaves_all_of_it_open(database: Database, ana: World) -> None:
    put(database, ana)
    known = library(
        REFILL.replace("BUNDLE", "true").replace("{{ product.name }}", "{{ customer.gender }}", 1),
        catalog=CATALOG,
    )
    run(database, known)
    assert {product: reason for product, (reason, _) in reasons(database).items()} == dict.fromkeys(
        ("foam", "food", "coffee"), "template"
    )
    run(database, books(), days=0.1)
    assert bodies(database) == ["foam+food+coffee"]


def test_news_alone_bundle_as_well_as_everything(database: Database, ana: World) -> None:
    """The second run looks for news only: what came into the window since, and what is due soon."""
    put(database, ana)
    run(database, books(), days=-2)
    assert bodies(database) == []
    report = run(database, books())
    assert bodies(database) == ["foam+food+coffee"]
    assert report.due == 3


def test_counts_are_plain(database: Database, ana: World) -> None:
    put(database, ana)
    told: list[dict[str, Any]] = run(database, books()).counts()["lost"]
    assert told == [
        {
            "winner": "refill",
            "winner_step": "heads_up",
            "loser": "refill",
            "loser_step": "heads_up",
            "reason": "bundled",
            "count": 2,
        }
    ]


FOLLOWED = """
name: refill
status: live
trigger: {runs_out: {}}
steps:
  - name: soon
    send: 2d before due
    via: [wecom, sms]
    useful_for: 9d
    message: >-
      {{ purchase.order_id }}/{{ product.category }}
      {% for other in bundle %} {{ other.purchase.order_id }}/{{ other.product.category }}{% endfor %}
bundle: {within: 4d, at_most: 2}
holdout: 15%
"""
PLENTY = library(FOLLOWED, catalog=CATALOG.replace("45d", "9d").replace("咖啡", "P4"))
LIVE = ("queued", "claimed", "sending", "sent", "delivered")
DAY = st.tuples(st.integers(6, 40), st.sampled_from(("nothing", "deliver", "deliver", "cancel")))


def laws(database: Database) -> None:
    """What holds after each run."""
    with database.read() as connection:
        made = connection.execute(
            sa.select(messages.c.customer_id, messages.c.anchor, messages.c.body, messages.c.state)
        ).all()
        found = connection.execute(sa.select(candidates)).all()
    named: Counter[tuple[str, str]] = Counter()
    for message in made:
        anchors = message.body.split()
        assert message.anchor == anchors[0]
        assert 1 <= len(anchors) <= 2
        assert len(anchors) == len({anchor.split("/")[1] for anchor in anchors})
        if message.state in LIVE:
            named.update((message.customer_id, anchor) for anchor in anchors)
    assert set(named.values()) <= {1}
    live = {(message.customer_id, message.anchor): message.body.split() for message in made}
    for one in found:
        sent = (one.customer_id, one.anchor) in live
        if one.state == "accepted":
            assert sent and one.reason is None and one.queued_at is not None
        elif one.reason == "bundled" and one.queued_at is not None:
            assert not sent
            assert one.anchor in live[one.customer_id, one.winner_anchor]
        else:
            assert not sent and one.reason is not None


@pytest.fixture(scope="module")
def emptied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A SQLite database with all tables; all examples use it."""
    opened = open_passing(tmp_path_factory.mktemp("bundles") / "shop.db")
    with opened.write() as connection:
        metadata.create_all(connection)
    yield opened
    opened.close()


@given(world=random_worlds(least=3, most=7), days=st.lists(DAY, min_size=3, max_size=7))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_each_due_anchor_ends_in_one_message_one_bundle_or_a_reason(
    emptied: Database, world: World, days: list[tuple[int, str]]
) -> None:
    now, before = NOW - timedelta(days=9), None
    with from_the_beginning(emptied) as (shop, folder):
        policy = {"caps": ["2 per 2d"], "quiet_hours": {"from": "22:00", "to": "07:00"}}
        used = Settings.model_validate({"files": {"folder": folder}, "policy": policy})
        for hours, then in days:
            put(shop, facts_between(world, before, now))
            pipeline.run(shop, PLENTY, used, now=now)
            laws(shop)
            before, now = now, now + timedelta(hours=hours)
            if then == "cancel":
                outbox.cancel(shop, messages.c.state == "queued", actor="ben", now=now)
            if then == "deliver":
                deliver(shop, PLENTY, used, now=now, owner="worker")
