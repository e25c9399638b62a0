"""The contact policy: whatever happens, what was sent keeps its rules, told plainly from messages alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smr import delivery, pipeline
from smr.database import Database, open_database, open_passing
from smr.notation import parse_rate, parse_span
from smr.playbook.model import Library
from smr.report import RunReport
from smr.settings import FilesSettings, Settings
from smr.tables import candidates, messages, metadata
from tests.conftest import Server
from tests.library import library
from tests.pipeline.test_standing import facts_between
from tests.worlds import NOW, World, put, random_worlds

SHANGHAI = ZoneInfo("Asia/Shanghai")
OPEN = {"consent": "opt_out", "address": "customer_id"}
BOOK = """
name: %(name)s
status: live
priority: %(priority)s
trigger: {schedule: {every: day, at: "%(at)s", from: "%(since)s"}}
content: %(content)s
steps: [{name: now, send: on due, via: [%(via)s], message: hello, useful_for: %(useful_for)s}]
"""


def each_day(
    name: str,
    content: str = "selling",
    *,
    at: str = "08:00",
    via: str = "wecom",
    priority: int = 50,
    useful_for: str = "4d",
    since: str = "2026-11-23",
) -> str:
    """A playbook that wants to write to everybody each day."""
    return BOOK % {
        "name": name,
        "content": content,
        "at": at,
        "via": via,
        "priority": priority,
        "useful_for": useful_for,
        "since": since,
    }


@dataclass
class Shop:
    """A shop in which the clock goes on, hour by hour as a test wants it."""

    database: Database
    folder: Path
    said: dict[str, Any]
    books: Library

    @property
    def settings(self) -> Settings:
        """Its settings; channels need no address."""
        channels = dict.fromkeys(("wecom", "sms"), OPEN)
        for name, own in self.said.get("channels", {}).items():
            channels[name] = {**OPEN, **own}
        whole = Settings.model_validate({"policy": self.said["policy"], "channels": channels})
        return whole.model_copy(update={"files": FilesSettings(folder=self.folder)})

    def run(self, now: datetime, *, deliver: bool = True) -> RunReport:
        """A run, and a round of delivery after it."""
        done = pipeline.run(self.database, self.books, self.settings, now=now)
        assert isinstance(done, RunReport)
        if deliver:
            delivery.deliver(self.database, self.books, self.settings, now=now, owner="test")
        return done

    def days(self, count: int) -> None:
        """A run each morning."""
        for day in range(count):
            self.run(NOW + timedelta(days=day))

    def sent(self, *names: str) -> list[tuple[Any, ...]]:
        """What went out, in time: these columns of messages."""
        columns = [messages.c[name] for name in names]
        went = sa.select(*columns).where(messages.c.sent_at.is_not(None))
        with self.database.read() as connection:
            return [tuple(row) for row in connection.execute(went.order_by(messages.c.sent_at, *columns))]

    def on_days(self, playbook: str) -> list[int]:
        """On which days after NOW a playbook's messages went out."""
        return [(at - NOW).days for name, at in self.sent("playbook", "sent_at") if name == playbook]

    def held_by(self, playbook: str) -> set[str]:
        """The rules that held any of its candidates back."""
        asked = sa.select(candidates.c.held_by).where(candidates.c.playbook == playbook)
        with self.database.read() as connection:
            return {rule for (rules,) in connection.execute(asked) for rule in (rules or "").split()}


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Shop:
    """Ana's shop, in which one playbook wants to write to her each day."""
    world = World()
    world.customer("ana")
    put(database, world)
    return Shop(database, tmp_path, {"policy": {"caps": []}}, library(each_day("news")))


def test_a_gap_keeps_messages_apart_by_the_hour(shop: Shop) -> None:
    shop.said = {"policy": {"caps": [], "gap": "20h"}}
    for hours in (0, 16, 19, 20, 24):
        shop.run(NOW + timedelta(hours=hours))
    assert shop.sent("sent_at") == [(NOW,), (NOW + timedelta(hours=20),)]


def test_a_gap_of_days_leaves_days_between(shop: Shop) -> None:
    shop.said = {"policy": {"caps": [], "gap": "3d"}}
    shop.days(8)
    assert shop.on_days("news") == [0, 3, 6]
    assert shop.held_by("news") == {"too_soon"}


def test_a_channel_has_a_gap_and_caps_of_its_own(shop: Shop) -> None:
    shop.said = {
        "policy": {"caps": []},
        "channels": {"sms": {"gap": "2d", "cap": ["5 per 30d", "2 per week"]}},
    }
    shop.books = library(each_day("news"), each_day("offer", via="sms"))
    shop.days(9)  # from a Monday on
    assert shop.on_days("news") == list(range(9))
    assert shop.on_days("offer") == [0, 2, 7]


def test_months_are_those_of_the_calendar(shop: Shop) -> None:
    shop.said = {"policy": {"caps": ["2 per month"]}}
    shop.days(12)  # from the 23rd of November on
    assert shop.on_days("news") == [0, 1, 8, 9]


def test_whoever_gave_something_back_is_left_in_peace(shop: Shop) -> None:
    world = World()
    world.product("foam")
    world.refund(world.purchase("ana", "foam", days_ago=30), days_ago=5)
    put(shop.database, world)
    shop.said = {"policy": {"caps": [], "after_refund": "7d"}}
    sorry = "name: sorry\nstatus: live\ntrigger: {refund: {}}\n"
    sorry += "steps: [{name: now, send: 1h after due, message: sorry, useful_for: 9d}]\n"
    shop.books = library(each_day("news"), sorry)
    shop.days(4)
    assert shop.on_days("sorry") == [0]
    assert shop.on_days("news") == [2, 3]


def test_a_refund_lets_what_waits_in_the_outbox_wait_on(shop: Shop) -> None:
    shop.said = {"policy": {"caps": [], "after_refund": "2d"}}
    shop.run(NOW, deliver=False)
    later = World(now=NOW + timedelta(hours=1))
    later.product("foam")
    later.refund(later.purchase("ana", "foam", days_ago=30), days_ago=0)
    put(shop.database, later)
    for day in (1, 1.5, 2.5):
        at = NOW + timedelta(days=day)
        delivery.deliver(shop.database, shop.books, shop.settings, now=at, owner="test")
    assert shop.on_days("news") == [2]


def test_whoever_does_not_answer_is_written_to_less_often(shop: Shop) -> None:
    shop.said = {"policy": {"caps": [], "fatigue": {"after": 3, "slow_to": "1 per 4d"}}}
    shop.books = library(each_day("news", useful_for="1d"))
    shop.days(11)
    assert shop.on_days("news") == [0, 1, 2, 6, 10]
    assert shop.held_by("news") == {"fatigue"}


def test_an_answer_ends_the_fatigue(shop: Shop) -> None:
    shop.said = {"policy": {"caps": [], "fatigue": {"after": 2, "slow_to": "1 per 30d"}}}
    shop.books = library(each_day("news", useful_for="1d"))
    shop.days(4)
    clicked = World(now=NOW + timedelta(days=4))
    clicked.interaction("ana", kind="click", days_ago=0.1)
    put(shop.database, clicked)
    for day in range(4, 8):
        shop.run(NOW + timedelta(days=day))
    assert shop.on_days("news") == [0, 1, 4, 5]


def test_selling_waits_until_enough_was_useful(shop: Shop) -> None:
    shop.said = {"policy": {"caps": ["1 per day"], "mix": {"selling_at_most": "40%", "within": "30d"}}}
    shop.books = library(
        each_day("offer", priority=90, useful_for="1d"), each_day("care", "useful", useful_for="1d")
    )
    shop.days(9)
    assert shop.on_days("offer") == [0, 4, 7]
    assert shop.on_days("care") == [1, 2, 3, 5, 6, 8]


def test_a_step_says_what_it_is_where_it_differs_from_its_playbook(shop: Shop) -> None:
    care = each_day("care", useful_for="1d").replace("message:", "content: useful, message:")
    shop.said = {"policy": {"caps": [], "mix": {"selling_at_most": "1%"}}}
    shop.books = library(care)
    shop.days(3)
    assert shop.on_days("care") == [0, 1, 2]


def test_what_goes_together_is_counted_together(shop: Shop) -> None:
    """Two days' messages wait for their first delivery: one of them goes, the other waits on."""
    shop.said = {"policy": {"caps": ["1 per 1d"]}}
    for day in (0, 1):
        shop.run(NOW + timedelta(days=day), deliver=False)
    for later in (1.1, 1.2, 2.1):
        at = NOW + timedelta(days=later)
        delivery.deliver(shop.database, shop.books, shop.settings, now=at, owner="test")
    assert shop.on_days("news") == [1, 2]


def test_quiet_hours_let_a_message_count_for_the_day_on_which_it_goes(shop: Shop) -> None:
    shop.said = {
        "policy": {"caps": ["1 per 1d"], "gap": "20h", "quiet_hours": {"from": "21:00", "to": "09:30"}}
    }
    shop.books = library(each_day("news", at="22:00", useful_for="1d"))
    for day in range(4):
        at = NOW + timedelta(days=day, hours=13, minutes=30)
        shop.run(at)
        delivery.deliver(shop.database, shop.books, shop.settings, now=at + timedelta(hours=11.5), owner="t")
    assert shop.on_days("news") == [1, 2, 3, 4]


# Whatever happens

BOOKS = library(
    each_day("news", at="07:30", priority=20, via="sms, wecom", useful_for="2d", since="2026-01-01"),
    each_day("care", "useful", at="12:00", priority=30, since="2026-01-01"),
    each_day("offer", at="20:00", priority=40, via="sms", useful_for="1d", since="2026-01-01"),
    """
name: refill
status: live
priority: 80
trigger: {runs_out: {}}
steps:
  - {name: heads_up, send: 5d before due, via: [wecom, sms], message: "soon", useful_for: 6d}
  - {name: advice, send: 1d after heads_up, content: useful, message: "advice", useful_for: 6d}
holdout: 20%
""",
)
USEFUL = {("care", "now"), ("refill", "advice")}
POLICIES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "caps": st.sampled_from(([], ["1 per 1d", "2 per 5d"], ["2 per week", "3 per month"], ["2 per 36h"])),
        "gap": st.sampled_from((None, "20h", "2d")),
        "fatigue": st.sampled_from((None, {"after": 2, "slow_to": "1 per 5d"})),
        "mix": st.sampled_from((None, {"selling_at_most": "40%", "within": "9d"})),
        "quiet_hours": st.sampled_from((None, {"from": "21:00", "to": "09:30"})),
        "after_refund": st.sampled_from((None, "6d")),
    }
).map(lambda said: {name: value for name, value in said.items() if value is not None})
SMS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    ({}, {"cap": "1 per 3d", "gap": "50h"}, {"cap": ["2 per week", "1 per day"]})
)


@dataclass(frozen=True)
class Sent:
    """A message that went out."""

    at: datetime
    playbook: str
    step: str
    channel: str

    @property
    def selling(self) -> bool:
        """Whether it sells."""
        return (self.playbook, self.step) not in USEFUL


def within(span: str, at: datetime, other: datetime) -> bool:
    """Whether `other`, not later than `at`, lies in the span that ends with it, told plainly."""
    if other > at:
        return False
    day, before = at.astimezone(SHANGHAI).date(), other.astimezone(SHANGHAI).date()
    if span == "week":
        return before.isocalendar()[:2] == day.isocalendar()[:2]
    if span == "month":
        return (before.year, before.month) == (day.year, day.month)
    seconds = 86_400 if span == "day" else parse_span(span)
    if seconds % 86_400 == 0:
        return (day - before).days < seconds // 86_400
    return (at - other).total_seconds() < seconds


def check_rates(rates: list[str], sent: list[Sent]) -> None:
    """No message is one too many in the span that ends with it."""
    for rate in rates:
        span = rate.partition(" per ")[2]
        most = parse_rate(rate).count
        assert all(sum(within(span, one.at, other.at) for other in sent) <= most for one in sent), rate


def check_customer(
    said: dict[str, Any], sms: dict[str, Any], sent: list[Sent], world: World, who: str
) -> None:
    """Every rule, of one customer's messages in their order."""
    gap = [f"1 per {said['gap']}"] if "gap" in said else []
    check_rates([*said["caps"], *gap], sent)
    own = sms.get("cap", [])
    gap = [f"1 per {sms['gap']}"] if "gap" in sms else []
    check_rates(
        [*([own] if isinstance(own, str) else own), *gap], [one for one in sent if one.channel == "sms"]
    )
    signs = [line.purchased_at for line in world.purchases if line.customer_id == who and not line.kind]
    signs += [
        deed.happened_at for deed in world.interactions if deed.customer_id == who and deed.kind != "answer"
    ]
    refunds = [back.refunded_at for back in world.refunds if back.customer_id == who]
    zone = next(one.zone for one in world.customers if one.customer_id == who) or "Asia/Shanghai"
    for number, one in enumerate(sent):
        before = sent[:number]
        if "fatigue" in said:
            last = max((sign for sign in signs if sign <= one.at), default=NOW - timedelta(days=4000))
            if sum(other.at > last for other in before) >= 2:
                assert sum(within("5d", one.at, other.at) for other in before) < 1, "fatigue"
        if "mix" in said and one.selling:
            span = [other for other in sent if other is not one and within("9d", one.at, other.at)]
            selling = 1 + sum(other.selling for other in before if within("9d", one.at, other.at))
            useful = sum(not other.selling for other in span)
            assert selling == 1 or selling / (selling + useful) <= 0.4, "mix"
        if "quiet_hours" in said:
            local = one.at.astimezone(ZoneInfo(zone)).time()
            assert local.replace(tzinfo=None).isoformat() >= "09:30" and local.isoformat() < "21:00", "quiet"
        if "after_refund" in said:
            assert not any(timedelta() <= one.at - back < timedelta(days=6) for back in refunds), "refund"


@contextmanager
def passing_file() -> Iterator[Database]:
    """A new SQLite database with all tables."""
    with TemporaryDirectory() as folder:
        opened = open_passing(Path(folder) / "shop.db")
        with opened.write() as connection:
            metadata.create_all(connection)
        yield opened
        opened.close()


@contextmanager
def passing_database(server: Server, template: str) -> Iterator[Database]:
    """A new PostgreSQL database with all tables."""
    name = server.create(template)
    opened = open_database(server.url(name))
    yield opened
    opened.close()
    server.drop(name)


@dataclass(frozen=True)
class Story:
    """What happens to a shop: people's facts, its rules, and when the robot runs (hours later each time)."""

    world: World
    said: dict[str, Any]
    sms: dict[str, Any]
    back: int
    pauses: list[tuple[int, bool]]


STORIES = st.builds(
    Story,
    world=random_worlds(least=2, most=5),
    said=POLICIES,
    sms=SMS,
    back=st.integers(8, 25),
    pauses=st.lists(
        st.tuples(st.sampled_from((1, 5, 11, 13, 24, 24, 47)), st.sampled_from((True, True, False))),
        min_size=6,
        max_size=12,
    ),
)


def play(story: Story, database: Database) -> None:
    """Run and send as the story says, and check every rule for every customer."""
    now, before = NOW - timedelta(days=story.back), None
    with TemporaryDirectory() as folder:
        rules = {"policy": story.said, "channels": {"sms": story.sms}}
        shop = Shop(database, Path(folder), rules, BOOKS)
        for hours, deliver in story.pauses:
            put(database, facts_between(story.world, before, now))
            shop.run(now, deliver=deliver)
            before, now = now, now + timedelta(hours=hours)
        by_customer: dict[str, list[Sent]] = {}
        for customer, *rest in shop.sent("customer_id", "sent_at", "playbook", "step", "channel"):
            by_customer.setdefault(customer, []).append(Sent(*rest))
    for customer, sent in by_customer.items():
        check_customer(story.said, story.sms, sent, story.world, customer)


@given(story=STORIES)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_rule_of_the_policy_is_ever_broken_on_sqlite(story: Story) -> None:
    with passing_file() as database:
        play(story, database)


@given(story=STORIES)
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_rule_of_the_policy_is_ever_broken_on_postgresql(
    server: Server, with_tables: str, story: Story
) -> None:
    with passing_database(server, with_tables) as database:
        play(story, database)
