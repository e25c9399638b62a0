"""A walk over the past sends what runs day by day would have sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smr import clock, delivery, pipeline
from smr.backtest import Days, past_of, walk
from smr.database import Database, open_passing
from smr.playbook.model import Library
from smr.settings import FilesSettings, Settings
from smr.tables import messages, metadata
from tests.examples import many
from tests.library import library
from tests.worlds import NOW, World, put, random_worlds

REFILL = """
name: refill
status: live
priority: 60
trigger: {runs_out: {category: 洁面}}
who: {not: {tag: vip}}
steps:
  - {name: heads_up, send: 5d before due, via: [wecom, sms], message: "soon"}
  - {name: last_call, send: 2d after heads_up, via: [sms, wecom], message: "now"}
holdout: 20%
"""
CATS = """
name: cats
status: live
priority: 70
trigger: {runs_out: {category: 猫粮}}
steps:
  - {name: on_the_day, send: on due, via: [wecom], message: "cats", useful_for: 2d}
limits: {per_customer: 1 per 20d, per_run: 2}
stop_when: [{refund: any}]
"""
THANKS = """
name: thanks
status: live
trigger: {purchase: {}}
steps:
  - {name: thanks, send: 1d after anchor, via: [wecom], message: "thanks"}
"""
TUESDAY = """
name: tuesday
status: live
priority: 40
trigger: {schedule: {every: tue, at: "20:30"}}
who: {segment: recent}
steps:
  - {name: news, send: on due, via: [wecom_moments], message: "news"}
"""
BIRTHDAY = """
name: birthday
status: live
priority: 30
trigger: {date: {field: birthday}}
steps:
  - {name: card, send: on due, via: [wecom], message: "card"}
"""
SEGMENTS = "segments: {recent: {where: {last_purchase: {less_than: 40d}}}}"
BOOKS = library(REFILL, CATS, THANKS, TUESDAY, BIRTHDAY, segments=SEGMENTS)

OPEN = {"consent": "opt_out", "address": "customer_id"}
CHANNELS = {"wecom": OPEN, "sms": {"consent": "opt_out"}, "wecom_moments": OPEN}
"""Most customers can be written to: worlds in which nobody can show nothing."""


def shop(**policy: object) -> Settings:
    """A shop with that policy."""
    return Settings.model_validate({"channels": CHANNELS, "policy": policy})


SHOPS = {
    "plain": shop(caps=["9 per 1d"]),
    "capped": shop(caps=["1 per 3d", "3 per 30d"]),
    "quiet": shop(quiet_hours={"from": "21:00", "to": "09:30"}, caps=["1 per 2d"]),
    "blast": shop(blast_limit="60%", caps=["9 per 1d"]),
}

Sent = tuple[str, str, str, str, str, int]


def sent_by_walk(database: Database, books: Library, shop: Settings, days: Days) -> list[Sent]:
    """Customer, playbook, step, anchor, channel and time of what a walk sends."""
    at = clock.seconds(days.moments(shop)[0])
    with past_of(database, at=at, horizon=clock.seconds(NOW), told=lambda *_: None) as past:
        for _ in walk(past, books, shop, days.moments(shop), within=7):
            pass
        return sent(past.database)


def sent(database: Database) -> list[Sent]:
    """Customer, playbook, step, anchor, channel and time of what was sent."""
    at = sa.type_coerce(messages.c.sent_at, sa.BigInteger)
    names = ("customer_id", "playbook", "step", "anchor", "channel")
    columns = [messages.c[name] for name in names]
    with database.read() as connection:
        question = sa.select(*columns, at).where(messages.c.sent_at.is_not(None))
        return sorted(tuple(row) for row in connection.execute(question))


def sent_by_runs(database: Database, books: Library, shop: Settings, days: Days) -> list[Sent]:
    """The same, of real runs and real deliveries; what waits goes out when its time comes."""
    with TemporaryDirectory() as folder:
        shop = shop.model_copy(update={"files": FilesSettings(folder=Path(folder))})
        for now in days.moments(shop):
            _deliver_until(database, books, shop, now - timedelta(seconds=1))
            pipeline.run(database, books, shop, now=now)
            _deliver_until(database, books, shop, now)
    return sent(database)


def _deliver_until(database: Database, books: Library, shop: Settings, now: datetime) -> None:
    waits = sa.select(sa.func.min(messages.c.send_after)).where(
        messages.c.state == "queued", messages.c.send_after <= now
    )
    while True:
        with database.read() as connection:
            at = connection.execute(waits).scalar_one()
        if at is None:
            return
        delivery.deliver(database, books, shop, now=at, owner="test")


@contextmanager
def a_shop(world: World) -> Iterator[Database]:
    """A SQLite database with that world's facts."""
    with TemporaryDirectory() as folder:
        opened = open_passing(Path(folder) / "shop.db")
        with opened.write() as connection:
            metadata.create_all(connection)
        put(opened, world)
        yield opened
        opened.close()


TODAY = clock.local_day(NOW, Settings().shop.tz)


@given(
    world=random_worlds(least=4, most=8),
    name=st.sampled_from(sorted(SHOPS)),
    back=st.integers(10, 60),
    length=st.integers(8, 24),
    at=st.sampled_from((time(0), time(9), time(20, 30), time(22, 15))),
)
@settings(max_examples=many(5), deadline=None, suppress_health_check=list(HealthCheck))
def test_a_walk_sends_message_by_message_what_runs_day_by_day_send(
    world: World, name: str, back: int, length: int, at: time
) -> None:
    first = TODAY - timedelta(days=back)
    days = Days(first, first + timedelta(days=length - 1), at)
    with a_shop(world) as walked, a_shop(world) as run:
        assert sent_by_walk(walked, BOOKS, SHOPS[name], days) == sent_by_runs(run, BOOKS, SHOPS[name], days)
