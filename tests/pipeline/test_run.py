"""A run decides, and queues each reminder once."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from smr import pipeline, runs
from smr.database import Database
from smr.facts import import_files
from smr.playbook.model import Library
from smr.report import RunReport
from smr.settings import Settings
from smr.tables import WINNER, candidates, messages, supplies
from tests.library import REFILL, library
from tests.worlds import NOW, World, put

SHOP = Settings()
BOTH = {"wecom": "wm", "sms": "138"}


def run(
    database: Database, known: Library, shop: Settings = SHOP, days: float = 0, **options: Any
) -> RunReport:
    """One run, so many days after NOW."""
    done = pipeline.run(database, known, shop, now=NOW + timedelta(days=days), **options)
    assert isinstance(done, RunReport)
    return done


def queued(database: Database) -> list[tuple[str, str, str, str]]:
    """Customer, playbook, step and channel of each message in the outbox."""
    columns = (messages.c.customer_id, messages.c.playbook, messages.c.step, messages.c.channel)
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(*columns))]


def verdict(database: Database, customer: str, step: str = "heads_up") -> tuple[str, str | None]:
    """What was decided of a customer's step."""
    with database.read() as connection:
        question = sa.select(candidates.c.state, candidates.c.reason).where(
            candidates.c.customer_id == customer, candidates.c.step == step
        )
        state, reason = connection.execute(question).one()
        return state, reason


@pytest.fixture
def shop() -> World:
    world = World()
    world.product("foam", category="洁面")
    world.product("fish", category="猫粮")
    return world


def ana(world: World, days_ago: float = 41, **columns: Any) -> None:
    world.customer("ana", addresses=BOTH, consent=True, **columns)
    world.purchase("ana", "foam", days_ago=days_ago)


def test_ana_is_reminded_five_days_before_her_cleanser_runs_out(database: Database, shop: World) -> None:
    ana(shop)
    put(database, shop)
    report = run(database, library(REFILL))
    assert queued(database) == [("ana", "refill", "heads_up", "wecom")]
    assert (report.due, report.accepted, report.queued) == (1, 1, 1)


def test_a_second_run_makes_nothing_new(database: Database, shop: World) -> None:
    ana(shop)
    put(database, shop)
    run(database, library(REFILL))
    again = run(database, library(REFILL), days=0.5)
    assert (again.due, again.settled, again.queued) == (0, 1, 0)
    assert len(queued(database)) == 1


def test_a_run_tells_what_each_of_its_stages_took(database: Database, shop: World) -> None:
    ana(shop)
    put(database, shop)
    took = run(database, library(REFILL)).took
    stages = [stage.name for stage in pipeline.RUN]
    assert list(took) == stages
    assert all(seconds > 0 for seconds in took.values())
    with database.read() as connection:
        kept = runs.last_counts(connection)
    assert kept is not None
    assert set(kept["stage_seconds"]) == set(stages[:-1])  # what notes it is under way itself


def test_the_day_before_she_is_not_due(database: Database, shop: World) -> None:
    ana(shop, days_ago=39)
    put(database, shop)
    assert run(database, library(REFILL)).due == 0


def test_whoever_is_due_later_today_is_reminded_with_todays_run(database: Database, shop: World) -> None:
    ana(shop, days_ago=39.5)
    put(database, shop)
    assert run(database, library(REFILL)).accepted == 1


def test_a_plan_writes_nothing_and_says_what_the_run_then_does(database: Database, shop: World) -> None:
    ana(shop)
    put(database, shop)
    planned, shown = pipeline.plan(database, library(REFILL), SHOP, now=NOW)
    assert queued(database) == []
    assert [message[4] for message in shown] == ["o1/洁面"]
    done = run(database, library(REFILL))
    assert planned.counts() == done.counts()


def test_bought_again_before_the_run(database: Database, shop: World) -> None:
    ana(shop)
    shop.purchase("ana", "foam", days_ago=1)
    put(database, shop)
    assert run(database, library(REFILL)).due == 0


def test_a_blocked_reminder_turns_to_bought_already_when_she_buys(database: Database, shop: World) -> None:
    shop.customer("ana", addresses=BOTH, consent=None)
    shop.purchase("ana", "foam", days_ago=41)
    put(database, shop)
    run(database, library(REFILL))
    assert verdict(database, "ana") == ("blocked", "no_consent")
    shop.purchase("ana", "foam", days_ago=0)
    put(database, shop)
    run(database, library(REFILL), days=1)
    assert verdict(database, "ana") == ("blocked", "bought_already")


@pytest.mark.parametrize(
    ("addresses", "consent", "reason"),
    [({}, True, "unreachable"), (BOTH, None, "no_consent"), (BOTH, False, "opted_out")],
)
def test_nobody_is_written_to_without_address_and_consent(
    database: Database, shop: World, addresses: dict[str, str], consent: bool | None, reason: str
) -> None:
    shop.customer("ben", addresses=addresses, consent=consent)
    shop.purchase("ben", "foam", days_ago=41)
    put(database, shop)
    run(database, library(REFILL))
    assert verdict(database, "ben") == ("blocked", reason)
    assert queued(database) == []


def test_the_second_channel_is_taken_where_the_first_may_not(database: Database, shop: World) -> None:
    shop.customer("cleo", addresses=BOTH)
    shop.consent("cleo", channel="sms", purpose="marketing")
    shop.purchase("cleo", "foam", days_ago=41)
    put(database, shop)
    run(database, library(REFILL))
    assert queued(database) == [("cleo", "refill", "heads_up", "sms")]


def test_a_refunded_purchase_is_not_reminded_of(database: Database, shop: World) -> None:
    shop.customer("ana", addresses=BOTH, consent=None)
    line = shop.purchase("ana", "foam", days_ago=41)
    put(database, shop)
    run(database, library(REFILL))
    shop.refund(line, days_ago=0)
    put(database, shop)
    run(database, library(REFILL), days=1)
    assert verdict(database, "ana") == ("blocked", "refunded")


def test_a_complaint_keeps_everybody_quiet(database: Database, shop: World) -> None:
    ana(shop)
    shop.tag("ana", "投诉中")
    put(database, shop)
    run(database, library(REFILL))
    assert verdict(database, "ana") == ("blocked", "complaint_open")


def test_who_and_when_decide_whom_a_playbook_is_for(database: Database, shop: World) -> None:
    ana(shop)
    put(database, shop)
    loyal = REFILL + "who: {orders: {at_least: 2}}\n"
    run(database, library(loyal))
    assert verdict(database, "ana") == ("blocked", "not_in_segment")
    step = REFILL.replace("via:", "when: {tag: vip}, via:")
    run(database, library(step), days=0.1)
    assert verdict(database, "ana") == ("blocked", "step_condition")


def test_what_is_too_late_to_be_useful_expires(database: Database, shop: World) -> None:
    shop.customer("ana", addresses=BOTH, consent=None)
    shop.purchase("ana", "foam", days_ago=41)
    put(database, shop)
    run(database, library(REFILL))
    run(database, library(REFILL), days=4)
    assert verdict(database, "ana") == ("expired", "expired")


def test_quiet_hours_let_the_message_wait_in_the_customers_own_zone(database: Database, shop: World) -> None:
    ana(shop, zone="America/New_York")
    put(database, shop)
    quiet = Settings.model_validate({"policy": {"quiet_hours": {"from": "20:00", "to": "09:00"}}})
    run(database, library(REFILL), quiet)
    with database.read() as connection:
        waits = connection.execute(sa.select(messages.c.send_after)).scalar_one()
    assert waits.isoformat() == "2026-11-23T14:00:00+00:00"


def test_each_days_messages_wait_for_that_days_end_of_quiet_hours(database: Database, shop: World) -> None:
    for name, days_ago in (("ana", 41), ("ben", 39)):
        shop.customer(name, addresses=BOTH, consent=True, zone="America/New_York")
        shop.purchase(name, "foam", days_ago=days_ago)
    put(database, shop)
    quiet = Settings.model_validate({"policy": {"quiet_hours": {"from": "20:00", "to": "09:00"}}})
    books = library(REFILL)
    for days in (0, 1):
        run(database, books, quiet, days=days)
    waits = sa.select(messages.c.customer_id, messages.c.send_after).order_by(messages.c.customer_id)
    with database.read() as connection:
        told = [(name, at.isoformat()[5:13]) for name, at in connection.execute(waits)]
    assert told == [("ana", "11-23T14"), ("ben", "11-24T14")]


TWO = (
    REFILL + "priority: 40\n",
    """
name: cats
status: live
priority: 70
trigger: {runs_out: {category: 猫粮}}
steps: [{name: now, send: on due, message: meow}]
""",
)


def test_where_only_one_may_write_the_higher_priority_wins(database: Database, shop: World) -> None:
    ana(shop)
    shop.purchase("ana", "fish", days_ago=12)
    put(database, shop)
    run(database, library(*TWO))
    assert queued(database) == [("ana", "cats", "now", "wecom")]
    assert verdict(database, "ana") == ("blocked", "superseded")
    run(database, library(*TWO), days=1)
    assert verdict(database, "ana") == ("accepted", None)


def winner(database: Database, step: str) -> tuple[str | None, ...]:
    """To whom a step of ana's gave way."""
    with database.read() as connection:
        question = sa.select(*(candidates.c[name] for name in WINNER)).where(candidates.c.step == step)
        return tuple(connection.execute(question).one())


def three_that_compete() -> Library:
    """Where one may write: c, with an sms, before b by wecom, before a by sms."""
    books = (
        REFILL.replace("refill", name)
        .replace("heads_up", f"step_{name}")
        .replace("status: live", f"status: live\npriority: {priority}")
        .replace("via: [wecom, sms]", f"via: {channel}")
        for name, priority, channel in (("a", 10, "sms"), ("b", 20, "sms"), ("c", 30, "wecom"))
    )
    return library(*books)


def test_the_loser_keeps_who_won(database: Database, shop: World) -> None:
    ana(shop)
    put(database, shop)
    report = run(database, three_that_compete())
    assert winner(database, "step_b") == ("c", "step_c", "o1/洁面")
    assert winner(database, "step_c") == (None, None, None)
    assert report.counts()["lost"] == [
        {
            "winner": "c",
            "winner_step": "step_c",
            "loser": loser,
            "loser_step": f"step_{loser}",
            "reason": "superseded",
            "count": 1,
        }
        for loser in ("a", "b")
    ]


def test_who_beats_the_winner_is_the_winner(database: Database, shop: World) -> None:
    ana(shop)
    put(database, shop)
    sms = Settings.model_validate({"channels": {"sms": {"cap": "1 per 1d"}}})
    run(database, three_that_compete(), sms)
    assert winner(database, "step_a") == ("c", "step_c", "o1/洁面")


def test_who_lost_once_and_is_sent_later_has_lost_to_nobody(database: Database, shop: World) -> None:
    ana(shop)
    put(database, shop)
    run(database, three_that_compete())
    run(database, three_that_compete(), days=1)
    assert winner(database, "step_b") == (None, None, None)
    assert winner(database, "step_a") == ("b", "step_b", "o1/洁面")


def test_a_cap_that_is_used_up_defers(database: Database, shop: World) -> None:
    capped = Settings.model_validate({"policy": {"caps": ["1 per 3d"]}})
    ana(shop)
    put(database, shop)
    run(database, library(REFILL), capped)
    shop.purchase("ana", "fish", days_ago=11)
    put(database, shop)
    run(database, library(*TWO), capped, days=1)
    assert verdict(database, "ana", "now") == ("blocked", "frequency_cap")
    run(database, library(*TWO), capped, days=3)
    assert verdict(database, "ana", "now") == ("accepted", None)


def test_a_holdout_of_everybody_writes_to_nobody(database: Database, shop: World) -> None:
    ana(shop)
    put(database, shop)
    report = run(database, library(REFILL + "holdout: 100%\n"))
    assert (report.held_out, report.queued) == (1, 0)
    assert verdict(database, "ana") == ("held_out", "holdout")


def test_a_run_has_its_limit(database: Database, shop: World) -> None:
    for name in ("ana", "ben", "cleo"):
        shop.customer(name, addresses=BOTH, consent=True)
        shop.purchase(name, "foam", days_ago=41)
    put(database, shop)
    limited = library(REFILL + "limits: {per_run: 2}\n")
    first = run(database, limited)
    assert (first.queued, first.blocked) == (2, {"per_run_limit": 1})
    assert run(database, limited, days=0.1).queued == 1


def test_a_blast_stops_and_asks(database: Database, shop: World) -> None:
    careful = Settings.model_validate({"policy": {"blast_limit": "50%"}})
    ana(shop)
    put(database, shop)
    stopped = run(database, library(REFILL), careful)
    assert (stopped.blast, stopped.queued) == (1, 0)
    assert run(database, library(REFILL), careful, days=0.1, allow_blast=True).queued == 1


def test_pausing_a_playbook_cancels_what_waits(database: Database, shop: World) -> None:
    ana(shop)
    put(database, shop)
    run(database, library(REFILL))
    run(database, library(REFILL.replace("live", "paused")), days=0.1)
    with database.read() as connection:
        assert connection.execute(sa.select(messages.c.state, messages.c.reason)).one() == (
            "cancelled",
            "paused",
        )


def test_after_a_purchase_one_message_per_order(database: Database, shop: World) -> None:
    thanks = """
name: care
status: live
trigger: {purchase: {}}
steps: [{name: thanks, send: 3d after purchase, message: "{{ purchase.order_id }}"}]
"""
    shop.customer("ana", addresses=BOTH, consent=True)
    for product in ("foam", "fish"):
        shop.purchase("ana", product, days_ago=3, order_id="o9")
    put(database, shop)
    run(database, library(thanks))
    with database.read() as connection:
        assert connection.execute(sa.select(messages.c.body)).scalars().all() == ["o9"]
    assert run(database, library(thanks), days=0.2).queued == 0


def test_each_tuesday_for_those_in_who(database: Database, shop: World) -> None:
    tuesday = """
name: tuesday
status: live
trigger: {schedule: {every: [tue], at: "10:00"}}
who: {tag: vip}
steps: [{name: news, send: on slot, message: news}]
"""
    ana(shop)
    shop.tag("ana", "vip")
    shop.customer("ben", addresses=BOTH, consent=True)
    put(database, shop)
    assert run(database, library(tuesday)).due == 0
    assert run(database, library(tuesday), days=1.1).queued == 1
    assert run(database, library(tuesday), days=1.2).queued == 0
    assert run(database, library(tuesday), days=8.1).queued == 1


def test_a_birthday_comes_once_a_year(database: Database, shop: World) -> None:
    birthday = """
name: birthday
status: live
trigger: {date: {field: birthday}}
steps: [{name: wish, send: 2d before date, message: happy}]
"""
    shop.customer("ana", addresses=BOTH, consent=True, birthday="1990-11-26")
    shop.customer("ben", addresses=BOTH, consent=True, birthday="1990-12-26")
    put(database, shop)
    known = library(birthday.replace("before date", "before due"))
    assert run(database, known).due == 0
    assert run(database, known, days=1).queued == 1
    assert run(database, known, days=2).queued == 0
    assert run(database, known, days=366).queued == 1


def test_a_birthday_on_the_29th_of_february_is_the_28th_in_other_years(
    database: Database, shop: World
) -> None:
    birthday = """
name: birthday
status: live
trigger: {date: {field: birthday}}
steps: [{name: wish, send: on due, message: happy}]
"""
    shop.customer("ana", addresses=BOTH, consent=True, birthday="2000-02-29")
    put(database, shop)
    known = library(birthday)
    run(database, known)
    days = [date(2027, 2, 27), date(2027, 2, 28), date(2028, 2, 28), date(2028, 2, 29)]
    queued_on = [run(database, known, days=(day - NOW.date()).days).queued for day in days]
    assert queued_on == [0, 1, 0, 1]


def test_members_and_stages_follow_the_facts(database: Database, shop: World) -> None:
    segments = """
segments: {buyers: {where: {orders: {at_least: 1}}}}
ladders:
  lifecycle:
    - {stage: lost, where: {last_purchase: {more_than: 60d}}}
    - {stage: active, where: {orders: {at_least: 1}}}
    - {stage: new}
"""
    ana(shop)
    shop.customer("ben", addresses=BOTH, consent=True)
    put(database, shop)
    known = library(
        REFILL + "who: {all: [{segment: buyers}, {stage: {lifecycle: active}}]}\n", segments=segments
    )
    assert run(database, known).queued == 1
    with database.read() as connection:
        question = sa.text("SELECT customer_id, stage FROM stages WHERE left_at IS NULL ORDER BY 1")
        assert [tuple(row) for row in connection.execute(question)] == [("ana", "active"), ("ben", "new")]
    run(database, known, days=30)
    with database.read() as connection:
        assert [tuple(row) for row in connection.execute(question)] == [("ana", "lost"), ("ben", "new")]


def test_a_failing_template_stops_that_customers_message_alone(database: Database, shop: World) -> None:
    greeting = REFILL.replace("{{ product.name }}", "{{ customer.name }}")
    ana(shop, name=None)
    shop.customer("ben", addresses=BOTH, consent=True)
    shop.purchase("ben", "foam", days_ago=41)
    put(database, shop)
    report = run(database, library(greeting))
    assert (report.queued, report.blocked) == (1, {"template": 1})
    assert verdict(database, "ana") == ("blocked", "template")
    with database.read() as connection:
        details = connection.execute(sa.select(candidates.c.detail).where(candidates.c.customer_id == "ana"))
        assert "customer.name" in details.scalar_one()


def test_a_rebuild_gives_what_the_runs_gave(database: Database, shop: World) -> None:
    ana(shop)
    shop.purchase("ana", "fish", days_ago=3)
    put(database, shop)
    run(database, library(REFILL))
    question = sa.select(supplies).order_by(supplies.c.line)
    with database.read() as connection:
        before = connection.execute(question).all()
    with database.write() as connection:
        connection.execute(sa.delete(supplies))
    pipeline.rebuild(database, library(REFILL), SHOP, now=NOW)
    with database.read() as connection:
        assert connection.execute(question).all() == before
    assert len(before) == 2


def test_who_is_held_out_keeps_the_place_from_other_playbooks(database: Database, shop: World) -> None:
    ana(shop)
    shop.purchase("ana", "fish", days_ago=12)
    put(database, shop)
    held = library(TWO[0], TWO[1] + "holdout: 100%\n")
    first = run(database, held)
    assert (first.held_out, first.queued, first.blocked) == (1, 0, {"superseded": 1})
    assert run(database, held, days=0.1).queued == 0
    assert run(database, held, days=1).queued == 1


def test_playbooks_that_name_the_same_things_say_each_their_own(database: Database, shop: World) -> None:
    """Their customers are read together; a step of the same name that names more is read by itself."""
    ana(shop)
    shop.customer("bo", addresses=BOTH, consent=True)
    shop.purchase("bo", "fish", days_ago=8)
    shop.purchase("bo", "foam", days_ago=41, order_id="foam")
    put(database, shop)
    refill = REFILL.replace("[wecom, sms]", "wecom")  # what is discreet, as SMS is, is read by itself
    cats = refill.replace("refill", "cats").replace("洁面", "猫粮").replace('"{{', '"Cats: {{')
    more = refill.replace("refill", "more").replace(
        '"{{', '"{{ customer.id }}: {% for tag in customer.tags %}{% endfor %}{{'
    )
    run(database, library(refill, cats, more), Settings.model_validate({"policy": {"caps": ["9 per 7d"]}}))
    with database.read() as connection:
        c = messages.c
        told = connection.execute(
            sa.select(c.customer_id, c.playbook, c.body).order_by(c.customer_id, c.playbook)
        )
        assert [tuple(row) for row in told] == [
            ("ana", "more", "ana: foam"),
            ("ana", "refill", "foam"),
            ("bo", "cats", "Cats: fish"),
            ("bo", "more", "bo: foam"),
            ("bo", "refill", "foam"),
        ]


def test_a_run_counts_the_purchases_that_imports_have_added_since(
    database: Database, shop: World, tmp_path: Path
) -> None:
    ana(shop)
    put(database, shop)
    rows = ["customer_id,order_id,product_id,quantity,purchased_at"]
    counts = []
    for day in range(3):
        counts.append(run(database, library(REFILL), days=day).purchases)
        rows += [f"ana,o{day}-{number},foam,1,2026-01-0{number + 1}" for number in range(day + 1)]
        (tmp_path / "orders.csv").write_text("\n".join(rows), encoding="utf-8")
        import_files(database, SHOP, "purchases", [tmp_path / "orders.csv"], now=NOW + timedelta(days=day))
    assert [*counts, run(database, library(REFILL), days=3).purchases] == [1, 2, 4, 7]
