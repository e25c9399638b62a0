"""Whether a channel may be used now, and how fast: one row per channel, shared by all processes.

In: a channel's name, its rate, how many messages are to go. Out: how many may go now. A provider that asks
to be left alone pauses the channel; calls that fail in a row open its circuit, and then one worker at a time
tries a single message until that works. All by the database's clock, so that machines need not agree on
theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.database import insert_missing
from smr.database.timing import database_now, database_now_us
from smr.errors import Refusal
from smr.notation import Rate
from smr.tables import channels

TRIP = 5
"""Calls that fail in a row before the circuit opens; one, where we are not let in at all."""
REST = 30
LONGEST_REST = 900
LONGEST_PAUSE = 3600
"""A provider that asks for more is asked again after an hour."""
BURST_US = 1_000_000
"""What was not used can be used later, for a second's worth."""
PROBE_SECONDS = 60
_c = channels.c


@dataclass(frozen=True)
class Leave:
    """How many messages may go now; `wait` is the seconds until more may; `why` it rests, if it does."""

    count: int
    wait: float = 0
    why: str = ""
    troubled: bool = False


def ask(connection: Connection, channel: str, rate: Rate | None, wanted: int) -> Leave:
    """Take leave for at most `wanted` messages, in the transaction that records them as being sent."""
    row = _row(connection, channel, lock=rate is not None)
    if row is None and rate is not None:
        connection.execute(insert_missing(connection.dialect.name, channels), {"channel": channel})
        row = _row(connection, channel, lock=True)
    if row is None:
        return Leave(wanted)
    rest = _rest(row)
    if rest is not None:
        return rest
    troubled = row.failures > 0 or row.open_until is not None
    if row.open_until is not None:
        if not _probe(connection, channel):
            return Leave(0, 1, row.detail or "", troubled=True)
        wanted = min(wanted, 1)
    if rate is None:
        return Leave(wanted, troubled=troubled)
    start = _start(row.next_us, row.now_us, rate)
    count, wait = _tokens(start, row.now_us, rate, wanted)
    if count:
        used = start + round(count * _interval(rate))
        connection.execute(sa.update(channels).where(_c.channel == channel).values(next_us=used))
    return Leave(count, wait, troubled=troubled)


def give_back(connection: Connection, channel: str, rate: Rate | None, unused: int) -> None:
    """Return leave that was not needed, since guards stopped the messages."""
    if rate is not None and unused > 0:
        less = _c.next_us - round(unused * _interval(rate))
        connection.execute(sa.update(channels).where(_c.channel == channel).values(next_us=less))


def worked(connection: Connection, channel: str, *, now: datetime) -> None:
    """A call went well: the circuit is closed."""
    connection.execute(insert_missing(connection.dialect.name, channels), {"channel": channel})
    well = {"failures": 0, "trips": 0, "open_until": None, "probe_until": None, "worked_at": now}
    connection.execute(sa.update(channels).where(_c.channel == channel).values(well))


def failed(
    connection: Connection, channel: str, refusal: Refusal, detail: str, *, asked: float, now: datetime
) -> None:
    """A call failed as a whole: count it, and let the channel rest where it must."""
    connection.execute(insert_missing(connection.dialect.name, channels), {"channel": channel})
    row = _row(connection, channel, lock=True)
    assert row is not None  # noqa: S101 - it was put there just now
    failures = row.failures + 1
    values: dict[str, Any] = {
        "failures": failures,
        "reason": refusal.value,
        "detail": detail[:500],
        "failed_at": now,
        "probe_until": None,
    }
    if refusal is Refusal.THROTTLED:
        pause = asked or _spread(min(2 ** min(failures, 12), LONGEST_REST), f"{channel}:{failures}")
        values["paused_until"] = database_now() + sa.literal(_whole(min(pause, LONGEST_PAUSE)))
    elif refusal is Refusal.UNAUTHORIZED or failures >= TRIP or row.open_until is not None:
        rest = _spread(min(REST * 2 ** min(row.trips, 10), LONGEST_REST), f"{channel}:{row.trips}")
        values |= {"open_until": database_now() + sa.literal(_whole(rest)), "trips": row.trips + 1}
    connection.execute(sa.update(channels).where(_c.channel == channel).values(values))


def _row(connection: Connection, channel: str, *, lock: bool) -> Any:
    select = sa.select(
        _c.next_us,
        sa.type_coerce(_c.paused_until, sa.BigInteger).label("paused_until"),
        sa.type_coerce(_c.open_until, sa.BigInteger).label("open_until"),
        _c.failures,
        _c.trips,
        _c.detail,
        database_now_us().label("now_us"),
    ).where(_c.channel == channel)
    return connection.execute(select.with_for_update() if lock else select).first()


def _rest(row: Any) -> Leave | None:
    """Why the channel must not be used at all now, if so."""
    now = row.now_us / 1_000_000
    until = max(row.paused_until or 0, row.open_until or 0)
    return Leave(0, until - now, row.detail or "", troubled=True) if until > now else None


def _probe(connection: Connection, channel: str) -> bool:
    """Be the one who tries; another may when this one has not come back for a minute."""
    free = sa.or_(_c.probe_until.is_(None), _c.probe_until < database_now())
    trying = sa.update(channels).where(_c.channel == channel, free)
    until = database_now() + sa.literal(PROBE_SECONDS, sa.BigInteger)
    return connection.execute(trying.values(probe_until=until)).rowcount == 1


def _start(next_us: int, now_us: int, rate: Rate) -> int:
    """From when on leave is counted; a channel used for the first time has saved nothing up."""
    return max(next_us, now_us - _burst(rate)) if next_us else now_us


def _tokens(start: int, now_us: int, rate: Rate, wanted: int) -> tuple[int, float]:
    """How many of the wanted may go now, and in how many seconds the next may."""
    interval = _interval(rate)
    count = max(0, min(wanted, int((now_us - start) / interval) + 1 if start <= now_us else 0))
    return count, max(0.0, (start + count * interval - now_us) / 1_000_000)


def _interval(rate: Rate) -> float:
    return rate.span * 1_000_000 / rate.count


def _burst(rate: Rate) -> int:
    """How far back unused leave is remembered."""
    return BURST_US if _interval(rate) < BURST_US else 0


def _spread(seconds: float, key: str) -> float:
    """Up to a quarter more, always the same for a key: machines do not come back all at once."""
    return seconds * (1 + int.from_bytes(sha256(key.encode()).digest()[:4]) / 0xFFFF_FFFF / 4)


def _whole(seconds: float) -> int:
    return max(1, round(seconds))
