"""Quiet hours, in the customer's own zone. A message waits for their end, if that is soon enough."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr import clock
from smr.almanac import almanac_of
from smr.conditions import NOW
from smr.guards.verdict import Ahead, Bench, customer_of
from smr.settings import QuietHours, Settings
from smr.tables import customers, named


def quiet_end(
    now: datetime, zone: ZoneInfo, quiet: QuietHours, holidays: Container[date] = ()
) -> datetime | None:
    """When the quiet time in which `now` lies ends in that zone; None where now is not quiet.

    The window may span midnight. On a holiday (where the policy says so) all day is quiet.
    """
    end = now
    for _ in range(60):
        later = _window_end(end, zone, quiet) or _holiday_end(end, zone, quiet, holidays)
        if later is None:
            break
        end = later
    return None if end == now else end


def _window_end(now: datetime, zone: ZoneInfo, quiet: QuietHours) -> datetime | None:
    local = now.astimezone(zone)
    at = local.time()
    overnight = quiet.from_ > quiet.to
    inside = (at >= quiet.from_ or at < quiet.to) if overnight else quiet.from_ <= at < quiet.to
    if not inside:
        return None
    day = local.date() + timedelta(days=1 if overnight and at >= quiet.from_ else 0)
    return _instant(day, quiet.to, zone, after=now)


def _holiday_end(
    now: datetime, zone: ZoneInfo, quiet: QuietHours, holidays: Container[date]
) -> datetime | None:
    day = clock.local_day(now, zone)
    if not quiet.holidays or day not in holidays:
        return None
    return clock.day_start(day + timedelta(days=1), zone)


def _instant(day: date, at: time, zone: ZoneInfo, *, after: datetime) -> datetime:
    """That time of that day; in an hour that comes twice, the first one that still lies ahead."""
    first = datetime.combine(day, at, tzinfo=zone).astimezone(UTC)
    second = datetime.combine(day, at, tzinfo=zone).replace(fold=1).astimezone(UTC)
    return first if first > after else second


def quiet_zones(
    now: datetime, zones: Iterable[str | None], settings: Settings, holidays: Container[date]
) -> dict[int, frozenset[str | None]]:
    """For each instant (seconds) at which a quiet time ends: the zones that are quiet until then.

    A customer without a zone, or with one that does not exist, counts as in the shop's zone.
    """
    quiet = settings.policy.quiet_hours
    if quiet is None:
        return {}
    found: dict[int, set[str | None]] = {}
    for name in zones:
        end = quiet_end(now, _zone(name, settings), quiet, holidays)
        if end is not None:
            found.setdefault(clock.seconds(end), set()).add(name)
    return {end: frozenset(names) for end, names in found.items()}


def quiet_now(connection: Connection, now: datetime, settings: Settings) -> dict[int, frozenset[str | None]]:
    """The same, for the zones that customers of this shop live in."""
    if settings.policy.quiet_hours is None:
        return {}
    zones = connection.execute(sa.select(customers.c.zone).distinct()).scalars().all()
    return quiet_zones(now, {*zones, None}, settings, almanac_of(connection, settings).holidays)


def _zone(name: str | None, settings: Settings) -> ZoneInfo:
    try:
        return clock.zone(name) if name else settings.shop.tz
    except ValueError:
        return settings.shop.tz


def send_after(candidate: Any, bench: Bench) -> ColumnElement[Any]:
    """When the customer's quiet time ends; NULL where it is not quiet there now."""
    if not bench.quiet_until:
        return sa.null()
    person = named(customers, "person")
    return (
        sa.select(_end_by_zone(person.c.zone, bench.quiet_until))
        .where(customer_of(candidate).owns(person))
        .scalar_subquery()
    )


def _end_by_zone(zone: ColumnElement[Any], quiet: Mapping[int, frozenset[str | None]]) -> ColumnElement[Any]:
    whens = []
    for end, names in quiet.items():
        known = sorted(name for name in names if name is not None)
        if None in names:
            whens.append((zone.is_(None), _at(end)))
        if known:
            whens.append((zone.in_(known), _at(end)))
    return sa.case(*whens, else_=sa.null())


def _at(end: int) -> ColumnElement[int]:
    at = sa.literal(int(end), sa.BigInteger)
    return NOW + at if isinstance(end, Ahead) else at


def too_late(candidate: Any, bench: Bench) -> ColumnElement[bool] | None:
    """The quiet time outlasts the message's usefulness."""
    if not bench.quiet_until:
        return None
    return sa.func.coalesce(send_after(candidate, bench) >= candidate.c.expires_at, sa.false())
