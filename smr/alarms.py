"""Days on which far fewer or far more messages went out than `smr simulate` had expected.

A day that is over is judged by the first run after it, both ways; the present day by every run, upwards
only, for more may still come. Days of which nothing is expected are not judged.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.database import Database
from smr.events import COUNTED
from smr.settings import Settings
from smr.tables import expected_messages, messages, runs
from smr.tables.outbox import QUEUED, SENT


@dataclass(frozen=True)
class Alarm:
    """A day on which far fewer or far more messages went out (or wait) than was expected."""

    day: date
    playbook: str
    channel: str
    messages: int
    expected: float
    low: float
    high: float

    @property
    def sentence(self) -> str:
        """For people."""
        more = "more" if self.messages > self.high else "fewer"
        return (
            f"{self.day}: {self.messages:,} messages of {self.playbook} by {self.channel}, {more} than "
            "expected "
            f"({self.low:,.0f} to {self.high:,.0f})"
        )

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "day": self.day,
            "playbook": self.playbook,
            "channel": self.channel,
            "messages": self.messages,
            "expected": round(self.expected, 1),
            "low": round(self.low, 1),
            "high": round(self.high, 1),
        }


def alarms(database: Database, settings: Settings, *, now: datetime) -> list[Alarm]:
    """The days that left what was expected of them, as a run at `now` sees them."""
    zone = settings.shop.tz
    today = clock.local_day(now, zone)
    with database.read() as connection:
        found = _left(connection, today, settings, over=False)
        if _first_today(connection, today, settings):
            found = _left(connection, today - timedelta(days=1), settings, over=True) + found
        return found


def _first_today(connection: Connection, today: date, settings: Settings) -> bool:
    begin = clock.seconds(clock.day_start(today, settings.shop.tz))
    count = sa.select(sa.func.count()).where(runs.c.now_at >= begin, runs.c.counts.is_not(None))
    return connection.execute(count).scalar_one() <= 1


def _left(connection: Connection, day: date, settings: Settings, *, over: bool) -> list[Alarm]:
    table = expected_messages
    rows = connection.execute(sa.select(table).where(table.c.day == day.isoformat())).all()
    if not rows:
        return []
    counted = _messages(connection, day, settings)
    found = []
    for row in rows:
        count = counted[row.playbook, row.channel]
        if count > row.high or (over and count < row.low):
            found.append(Alarm(day, row.playbook, row.channel, count, row.expected, row.low, row.high))
    return sorted(found, key=lambda alarm: (alarm.playbook, alarm.channel))


def _messages(connection: Connection, day: date, settings: Settings) -> Counter[tuple[str, str]]:
    """Messages that went out on a day or wait for a time on it, by playbook and channel."""
    zone = settings.shop.tz
    begin = clock.seconds(clock.day_start(day, zone))
    end = clock.seconds(clock.day_start(day + timedelta(days=1), zone))
    states = [str(state) for state in COUNTED]
    key = (messages.c.playbook, messages.c.channel)
    counted: Counter[tuple[str, str]] = Counter()
    for which, at in ((SENT, messages.c.sent_at), (QUEUED, messages.c.send_after)):
        on_day = sa.and_(which, at >= begin, at < end, messages.c.state.in_(states))
        for playbook, channel, count in connection.execute(
            sa.select(*key, sa.func.count()).where(on_day).group_by(*key)
        ):
            counted[playbook, channel] += count
    return counted
