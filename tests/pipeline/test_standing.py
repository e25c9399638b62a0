"""What a run leaves standing of the run before makes no difference to what is sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smr import delivery, guards, pipeline
from smr.database import Database, open_passing
from smr.playbook.model import Library
from smr.report import RunReport
from smr.settings import DatabaseSettings, FilesSettings, Settings
from smr.tables import candidates, messages, metadata
from tests.examples import many
from tests.library import library
from tests.worlds import NOW, Consent, World, put, random_worlds

REFILL = """
name: refill
status: live
priority: 60
trigger: {runs_out: {category: 洁面}}
who: {orders: {within: 200d, at_least: 1}}
steps:
  - {name: heads_up, send: 5d before due, via: [wecom, sms], message: "soon", useful_for: 4d}
  - {name: last_call, send: 2d after heads_up, via: [sms, wecom], message: "now"}
holdout: 20%
"""
CATS = """
name: cats
status: live
priority: 70
trigger: {runs_out: {category: 猫粮}}
who: {not: {chat: {topic: complaint, within: 3d}}}
steps:
  - name: on_the_day
    send: on due
    via: [wecom]
    message: "cats"
    when: {reachable: [wecom]}
    useful_for: 9d
  - name: later
    send: 3d after due
    via: [wecom]
    message: "cats"
    when: {any: [{last_purchase: {more_than: 13d}}, {orders: {within: 20d, at_most: 1}}]}
    useful_for: 12d
limits: {per_customer: 1 per 20d, per_run: 2}
stop_when: [{refund: any}]
"""
ANYTHING = """
name: anything
status: live
priority: 50
trigger: {runs_out: {}}
who: {any: [{segment: recent}, {customer: {field: gender, is: f}}]}
steps:
  - name: on_the_day
    send: on due
    via: [sms]
    message: "any{% for other in bundle %}, {{ other.product.name }}{% endfor %}"
    useful_for: 9d
bundle: {within: 3d, at_most: 3}
holdout: 20%
"""
THANKS = """
name: thanks
status: live
content: useful
trigger: {purchase: {}}
who: {spend: {at_least: 50}}
steps:
  - {name: thanks, send: 1d after anchor, via: [wecom], message: "thanks"}
"""
SEGMENTS = "segments: {recent: {where: {last_purchase: {less_than: 40d}}}}"
CATALOG = """
track: category
cycles:
  categories:
    洁面: {lasts: 11d, learn: false}
    猫粮: {lasts: 6d, learn: false}
"""
BOOKS = library(REFILL, CATS, ANYTHING, THANKS, segments=SEGMENTS, catalog=CATALOG)

OPEN = {"consent": "opt_out", "address": "customer_id"}
SHOPS = {
    "plain": {"caps": ["9 per 1d"]},
    "capped": {"caps": ["1 per 3d", "3 per 30d"]},
    "quiet": {"quiet_hours": {"from": "21:00", "to": "09:30"}, "caps": ["1 per 36h"]},
    "spaced": {"caps": ["3 per week"], "gap": "20h", "after_refund": "9d"},
    "tired": {"caps": [], "gap": "2d", "fatigue": {"after": 2, "slow_to": "1 per 6d"}},
    "mixed": {"caps": ["2 per day"], "mix": {"selling_at_most": "40%", "within": "9d"}},
    "blast": {"blast_limit": "60%", "caps": ["2 per 1d"]},
}


def shop(policy: str, channel_cap: str | None, folder: Path) -> Settings:
    """A shop with that policy, whose SMS have a cap of their own."""
    sms = {"consent": "required"} if channel_cap is None else {"consent": "required", "cap": channel_cap}
    said: dict[str, Any] = {"channels": {"wecom": OPEN, "sms": sms}, "policy": SHOPS[policy]}
    return Settings.model_validate(said).model_copy(update={"files": FilesSettings(folder=folder)})


def facts_between(world: World, after: datetime | None, until: datetime) -> World:
    """What became known in a span; customers and whatever has no time at its beginning."""

    def known(rows: list[Any], at: str) -> list[Any]:
        return [
            one for one in rows if (after is None or getattr(one, at) > after) and getattr(one, at) <= until
        ]

    timeless = world if after is None else World()
    return replace(
        world,
        now=until,
        customers=timeless.customers,
        addresses=timeless.addresses,
        consents=known(world.consents, "decided_at"),
        purchases=known(world.purchases, "purchased_at"),
        refunds=known(world.refunds, "refunded_at"),
        tags=known(world.tags, "set_at"),
        interactions=known(world.interactions, "happened_at"),
    )


@pytest.fixture(scope="module")
def two_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Database]]:
    """Two SQLite databases with all tables; all examples use them."""
    folder = tmp_path_factory.mktemp("standing")
    opened = [open_passing(folder / name) for name in ("news.db", "anew.db")]
    for one in opened:
        with one.write() as connection:
            metadata.create_all(connection)
    yield opened
    for one in opened:
        one.close()


@contextmanager
def from_the_beginning(database: Database) -> Iterator[tuple[Database, Path]]:
    """The database, emptied, and a folder for what is sent."""
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))
    with TemporaryDirectory() as folder:
        yield database, Path(folder)


Decided = dict[tuple[str, str, str, str], tuple[str, str | None, str | None]]


def decided(database: Database) -> Decided:
    """By customer, playbook, step and anchor: a candidate's state, its message's channel and state."""
    c, made = candidates.c, messages.c
    same = sa.and_(
        made.bucket == c.bucket,
        made.customer_id == c.customer_id,
        made.playbook == c.playbook,
        made.step == c.step,
        made.anchor == c.anchor,
    )
    key = (c.customer_id, c.playbook, c.step, c.anchor)
    question = sa.select(*key, c.state, made.channel, made.state).select_from(
        candidates.outerjoin(messages, same)
    )
    with database.read() as connection:
        return {tuple(row[:4]): tuple(row[4:]) for row in connection.execute(question)}


def run(database: Database, books: Library, shop: Settings, now: datetime, *, anew: bool) -> None:
    """A run; `anew` has it decide about everybody."""
    if anew:
        with database.write() as connection:
            guards.decide_anew(connection)
    pipeline.run(database, books, shop, now=now)


PLAIN = Settings()
CAT_FOOD = """
name: cats
status: live
trigger: {runs_out: {category: 猫粮}}
steps: [{name: now, send: on due, via: [VIA], message: meow, useful_for: 20d}]
"""


def cats(who: str = "{everyone: true}", via: str = "wecom") -> Library:
    """Cat food for such customers; it lasts twelve days."""
    return library(CAT_FOOD.replace("VIA", via) + f"who: {who}\n")


@pytest.fixture
def ana() -> World:
    """Ana's cat food runs out today."""
    world = World()
    world.product("fish", category="猫粮")
    world.customer("ana", addresses={"wecom": "wm"}, consent=True)
    world.purchase("ana", "fish", days_ago=12)
    return world


DAILY = """
name: daily
status: live
trigger: {schedule: {every: day, at: 08:00}}
steps: [{name: news, send: on due, via: [sms], message: hello, useful_for: 3d}]
"""


def test_what_nobody_could_be_sent_yesterday_is_not_due_any_more_today(
    sqlite_database: Database, ana: World
) -> None:
    """ana has no address there; each day has a slot of its own, and those before are not made up for."""
    put(sqlite_database, ana)
    for day in (0, 1):
        run(sqlite_database, library(DAILY), PLAIN, NOW + timedelta(days=day), anew=False)
    with sqlite_database.read() as connection:
        c = candidates.c
        found = connection.execute(sa.select(c.reason).where(c.customer_id == "ana").order_by(c.anchor))
        assert found.scalars().all() == ["not_due", "unreachable"]


def queued_on(database: Database, books: Library, days: float, shop: Settings = PLAIN) -> int:
    """How many messages a run makes, so many days after NOW."""
    done = pipeline.run(database, books, shop, now=NOW + timedelta(days=days))
    assert isinstance(done, RunReport)
    return done.queued


def later(world: World, days: float) -> World:
    """The same shop so many days after NOW, with nothing new yet."""
    return World(now=world.now + timedelta(days=days), products=world.products)


def test_a_database_that_was_moved_is_not_judged_anew(database: Database, ana: World) -> None:
    ana.product("foam", category="洁面")
    put(database, ana)
    found = []
    for hours, url in enumerate(("sqlite:///here.db", "sqlite:///there.db")):
        moved = PLAIN.model_copy(update={"database": DatabaseSettings(url=url)})
        queued_on(database, cats(via="sms"), hours / 24, moved)
        with database.read() as connection:
            found.append(connection.scalars(sa.select(candidates.c.run_id)).all())
    assert found[0] == found[1], "nobody has an address there, which only facts or rules can change"


def test_a_condition_that_time_brings_about_is_asked_again(database: Database, ana: World) -> None:
    put(database, ana)
    books = cats("{last_purchase: {more_than: 13d}}")
    assert [queued_on(database, books, days) for days in (0, 0.9, 1.1, 2)] == [0, 0, 1, 0]


def test_orders_that_fall_out_of_a_span_make_room_for_who_has_few(database: Database, ana: World) -> None:
    ana.purchase("ana", "fish", days_ago=29, order_id="old")
    put(database, ana)
    books = cats("{orders: {within: 30d, at_most: 1}}")
    assert [queued_on(database, books, days) for days in (0, 0.9, 1.1)] == [0, 0, 1]


def test_whoever_gets_an_address_is_written_to(database: Database, ana: World) -> None:
    put(database, ana)
    assert queued_on(database, cats(via="sms"), 0) == 0
    grown = later(ana, 1)
    grown.customer("ana", addresses={"sms": "138"}, consent=True)
    put(database, grown)
    assert [queued_on(database, cats(via="sms"), days) for days in (1, 1.1)] == [1, 0]


def test_whoever_orders_a_second_time_is_loyal_from_then_on(database: Database, ana: World) -> None:
    put(database, ana)
    books = cats("{orders: {at_least: 2}}")
    assert queued_on(database, books, 0) == 0
    grown = later(ana, 1)
    grown.product("foam", category="洁面")
    grown.purchase("ana", "foam", days_ago=0.1, order_id="second")
    put(database, grown)
    assert queued_on(database, books, 1) == 1


def test_a_consent_counts_from_its_own_time(database: Database, ana: World) -> None:
    ana.consents[:] = [Consent("ana", NOW + timedelta(days=2))]
    put(database, ana)
    asking = Settings.model_validate({"channels": {"wecom": {"consent": "required"}}})
    assert [queued_on(database, cats(), days, asking) for days in (0, 1, 2.1)] == [0, 0, 1]


def outbid(database: Database, ana: World) -> tuple[Library, Settings]:
    """A shop in which Ana's cleanser runs out today, too, comes first, and fills the cap for three days."""
    ana.product("foam", category="洁面")
    ana.purchase("ana", "foam", days_ago=45, order_id="before")
    put(database, ana)
    first = "name: first\nstatus: live\npriority: 90\ntrigger: {runs_out: {category: 洁面}}\n"
    first += "steps: [{name: now, send: on due, via: [wecom], message: foam}]\n"
    capped = Settings.model_validate({"policy": {"caps": ["1 per 3d"]}})
    return library(first, CAT_FOOD.replace("VIA", "wecom")), capped


def test_a_cap_is_full_until_its_span_is_over(database: Database, ana: World) -> None:
    books, capped = outbid(database, ana)
    assert [queued_on(database, books, days, capped) for days in (0, 1, 2, 3.1)] == [1, 0, 0, 1]


def test_a_message_that_will_not_be_sent_makes_room(database: Database, ana: World) -> None:
    books, capped = outbid(database, ana)
    assert [queued_on(database, books, days, capped) for days in (0, 0.1)] == [1, 0]
    with database.write() as connection:
        connection.execute(sa.update(messages).values(state="cancelled"))
    assert queued_on(database, books, 0.2, capped) == 1


def test_a_bought_again_supply_is_due_no_more(database: Database, ana: World) -> None:
    put(database, ana)
    books = cats("{orders: {at_least: 3}}")
    assert queued_on(database, books, 0) == 0
    grown = later(ana, 1)
    grown.purchase("ana", "fish", days_ago=0.1, order_id="again")
    put(database, grown)
    queued_on(database, books, 1)
    with database.read() as connection:
        assert connection.scalars(sa.select(candidates.c.reason)).all() == ["bought_already"]


def test_a_run_that_looks_for_news_counts_what_one_that_looks_at_everybody_counts(
    database: Database, ana: World
) -> None:
    ana.product("foam", category="洁面")
    ana.customer("ben", addresses={"wecom": "wm-ben"}, consent=True)
    ana.purchase("ben", "fish", days_ago=12)
    ana.purchase("ben", "foam", days_ago=1)
    put(database, ana)
    book = CAT_FOOD.replace("VIA", "wecom") + "stop_when: [{purchase: {category: 洁面}}]\n"
    counts = []
    for hours in (0, 1):
        done = pipeline.run(database, library(book), PLAIN, now=NOW + timedelta(hours=hours))
        assert isinstance(done, RunReport)
        counts.append((done.due, done.settled, done.blocked))
    assert counts == [(2, 0, {"bought_already": 1}), (1, 1, {"bought_already": 1})]


def test_a_run_of_one_playbook_leaves_the_others_to_the_next(database: Database, ana: World) -> None:
    ana.product("foam", category="洁面")
    put(database, ana)
    foam = CAT_FOOD.replace("name: cats", "name: foam").replace("VIA", "wecom").replace("猫粮", "洁面")
    books = library(CAT_FOOD.replace("VIA", "wecom"), foam)
    assert queued_on(database, books, 0) == 1
    grown = later(ana, 1)
    grown.purchase("ana", "foam", days_ago=45.5, order_id="told late")
    put(database, grown)
    pipeline.run(database, books, Settings(), now=NOW + timedelta(days=1), only=frozenset({"cats"}))
    assert queued_on(database, books, 1.1) == 1


HOURS = st.sampled_from((1, 13, 24, 24, 47))


@given(
    world=random_worlds(least=4, most=9),
    policy=st.sampled_from(sorted(SHOPS)),
    channel_cap=st.sampled_from((None, "1 per 4d")),
    back=st.integers(8, 40),
    pauses=st.lists(st.tuples(HOURS, st.booleans()), min_size=5, max_size=10),
)
@settings(max_examples=many(6), deadline=None, suppress_health_check=list(HealthCheck))
def test_a_run_that_looks_only_for_news_decides_what_one_that_looks_at_everybody_does(
    two_databases: list[Database],
    world: World,
    policy: str,
    channel_cap: str | None,
    back: int,
    pauses: list[tuple[int, bool]],
) -> None:
    now, before = NOW - timedelta(days=back), None
    of_news, of_all = map(from_the_beginning, two_databases)
    with of_news as (news, folder), of_all as (anew, other):
        for hours, deliver in pauses:
            for database, files in ((news, folder), (anew, other)):
                put(database, facts_between(world, before, now))
                run(database, BOOKS, shop(policy, channel_cap, files), now, anew=database is anew)
            assert decided(news) == decided(anew)
            for database, files in ((news, folder), (anew, other)):
                if deliver:
                    delivery.deliver(database, BOOKS, shop(policy, channel_cap, files), now=now, owner="test")
            before, now = now, now + timedelta(hours=hours)
