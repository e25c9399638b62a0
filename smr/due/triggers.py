"""What makes a step due: each trigger as a SELECT of candidates.

The same SELECT serves a run (all customers of a slice, within the step's window) and explaining (one
customer, any time). Bases: the run-out, the purchase, the slot, the day, or an earlier step's sending.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr import clock
from smr.almanac import Almanac, LunarDate, lunar_of, month_days_on, read_lunar, shipped, solar_of
from smr.conditions import Who, condition_sql
from smr.conditions.model import Goods
from smr.conditions.purchases import kept, of_goods
from smr.cron import Cron, cron_of, parse_cron
from smr.due.found import BOUND, Found, StepDue, of_customer, row_of
from smr.due.happenings import HIGH, LOW, SINCE, UNTIL, happenings, product_news
from smr.due.run_outs import runs_out
from smr.due.window import Today, Window
from smr.playbook.model import (
    DateOf,
    Library,
    OnDate,
    OnFestival,
    OnProduct,
    Playbook,
    Purchased,
    RunsOut,
    Scheduled,
    ScheduleTimes,
    Step,
)
from smr.settings import Settings
from smr.tables import (
    buyers,
    candidates,
    customers,
    given_candidates,
    messages,
    named,
    purchases,
)


def candidates_of(
    playbook: Playbook,
    step: Step,
    library: Library,
    settings: Settings,
    now: datetime,
    *,
    customer: tuple[int, str] | None = None,
    before: datetime | None = None,
    almanac: Almanac | None = None,
) -> Iterator[Found]:
    """The SELECTs that find who is due for a step.

    In a run they carry the slice (`:low`, `:high`) and the step's window. With `customer` they are about
    that customer alone, and the window is left out, so that explaining sees what is not due yet, too.
    `before` is when all were found last; of those found then, only the `undecided_customers` may differ.
    `almanac` tells holidays and festivals; where it is not said, the one that comes with smr.
    """
    due = StepDue(playbook, step, settings, library, before)
    days = shipped(settings.shop.region) if almanac is None else almanac
    today = Today(now, settings.shop.tz)
    window = today.window(step.send, due.useful)
    if step.send.base not in ("due", "anchor"):
        yield _after_step(due, window, customer)
        if playbook.bundle is not None:
            yield _after_step(due, window, customer, beside=True)
        return
    match playbook.trigger:
        case RunsOut(runs_out=goods):
            yield from runs_out(due, goods, window, customer)
        case Purchased(purchase=goods):
            yield _purchased(due, goods, window, customer)
        case Scheduled():
            yield from _scheduled(due, today, window, customer, days)
        case OnDate(date=wanted):
            yield from _on_date(due, wanted, today, window, customer)
        case OnFestival(festival=names):
            yield from _festival(due, names, today, window, customer, days)
        case _:
            for source, base in happenings(playbook.trigger):
                yield _happened(due, source, base, window, customer)


def given_of(playbook: Playbook, step: Step, library: Library, settings: Settings, now: datetime) -> Found:
    """The candidates of a step that a warehouse found, within the step's window."""
    due, told = StepDue(playbook, step, settings, library), named(given_candidates, "told")
    window = Today(now, settings.shop.tz).window(step.send, due.useful)
    at = sa.type_coerce(told.c.due_at, sa.BigInteger)
    names = ("anchor", "anchor_at", "kind", "order_id", "product_id", "quantity", "runs_out_at")
    columns = {name: told.c[name] for name in names} | {"line": told.c.supply_line}
    select = row_of(told, at - BOUND.offset, BOUND, **columns).where(
        told.c.playbook == BOUND.playbook,
        told.c.step == BOUND.step,
        at > SINCE,
        at <= UNTIL,
        told.c.bucket.between(LOW, HIGH),
    )
    span = {"since": window.low + due.offset, "until": window.high + due.offset}
    return Found(select, {**due.bound, **span}, given=True)


def anything_given(connection: Connection) -> bool:
    """Whether a warehouse ever gave a candidate."""
    return connection.execute(sa.select(given_candidates.c.bucket).limit(1)).first() is not None


def _happened(
    due: StepDue, source: Any, base: Any, window: Window, customer: tuple[int, str] | None
) -> Found:
    """Candidates of events; the source tells the customer, the anchor and when it was."""
    known = {name: source.c[name] for name in ("anchor", "anchor_at", "product_id") if name in source.c}
    select = row_of(source, base, **known)
    if customer is not None:
        at_any_time = {
            "low": customer[0],
            "high": customer[0],
            "since": -clock.DAY * 40_000,
            "until": 1 << 50,
        }
        return Found(of_customer(select, source, customer), {**due.bound, **at_any_time})
    trigger = due.playbook.trigger
    gate = product_news(trigger.product).limit(1) if isinstance(trigger, OnProduct) else None
    return Found(select, {**due.bound, "since": window.low, "until": window.high}, gate=gate)


def _purchased(due: StepDue, goods: Goods, window: Window, customer: tuple[int, str] | None) -> Found:
    """One candidate per order with a kept line of these goods; the greatest product stands for it.

    Buyers are found by their last purchase, so that only those active since the window began are looked at.
    """
    line = named(purchases, "line")
    at = sa.type_coerce(line.c.purchased_at, sa.BigInteger)
    place = sa.func.row_number().over(
        partition_by=[line.c.bucket, line.c.customer_id, line.c.order_id],
        order_by=[line.c.product_id.desc(), line.c.line_no.desc()],
    )
    columns = [line.c[name] for name in ("bucket", "customer_id", "order_id", "product_id", "quantity")]
    lines = (
        sa.select(*columns, at.label("purchased_at"), place.label("place"))
        .select_from(buyers.join(line, Who.of(buyers).owns(line)))
        .where(kept(line), *of_goods(line.c.product_id, goods))
    )
    bound = due.bound
    if customer is not None:
        lines = of_customer(lines, buyers, customer)
    else:
        recent = sa.type_coerce(buyers.c.last_purchased_at, sa.BigInteger) > SINCE
        lines = lines.where(buyers.c.bucket.between(LOW, HIGH), recent, at > SINCE, at <= UNTIL)
        bound |= {"since": window.low, "until": window.high}
    bought = lines.subquery("bought")
    select = row_of(
        bought,
        bought.c.purchased_at,
        anchor=bought.c.order_id,
        anchor_at=bought.c.purchased_at,
        order_id=bought.c.order_id,
        product_id=bought.c.product_id,
        quantity=bought.c.quantity,
    ).where(bought.c.place == 1)
    return Found(select, bound)


def _scheduled(
    due: StepDue, today: Today, window: Window, customer: tuple[int, str] | None, almanac: Almanac
) -> Iterator[Found]:
    """The last slot that is due: slots missed before it are not made up for."""
    trigger = due.playbook.trigger
    assert isinstance(trigger, Scheduled)  # noqa: S101
    at = _last_slot(trigger.schedule, today, window, almanac)
    if at is None:
        return
    anchor = f"{at.astimezone(today.zone):%Y-%m-%dT%H:%M}"
    yield _days(due, _audience(due), customers, customer, slot=clock.seconds(at), anchor=anchor)


def _festival(
    due: StepDue,
    names: tuple[str, ...],
    today: Today,
    window: Window,
    customer: tuple[int, str] | None,
    almanac: Almanac,
) -> Iterator[Found]:
    """One candidate per festival and year."""
    for day in today.days(window):
        for name in almanac.falls(names, day):
            anchor = f"{day.isoformat()} {name}"
            yield _days(due, _audience(due), customers, customer, slot=today.begins(day), anchor=anchor)


def _audience(due: StepDue) -> sa.Select[Any]:
    """`who` is the audience of what is due for everybody: no row is made for those outside it."""
    when = sa.bindparam("slot", type_=sa.BigInteger)
    select = row_of(customers, when, anchor=sa.bindparam("anchor", type_=sa.Text), anchor_at=when)
    if due.playbook.who is None:
        return select
    return select.where(condition_sql(due.playbook.who, Who.of(customers), due.settings))


def cron_times(schedule: ScheduleTimes) -> Cron:
    """The days and times of a schedule."""
    if schedule.cron is not None:
        return parse_cron(schedule.cron)
    assert schedule.every is not None and schedule.at is not None  # noqa: S101
    return cron_of(schedule.every, schedule.at)


def allows(schedule: ScheduleTimes, day: date, almanac: Almanac) -> bool:
    """Whether a schedule fires on such days of the calendar."""
    match schedule.only:
        case "workdays":
            return almanac.is_workday(day)
        case "days_off":
            return not almanac.is_workday(day)
        case "holidays":
            return almanac.is_holiday(day)
        case "not_holidays":
            return not almanac.is_holiday(day)
    return True


def _last_slot(schedule: ScheduleTimes, today: Today, window: Window, almanac: Almanac) -> datetime | None:
    cron, since = cron_times(schedule), clock.moment(max(window.low, 0))
    slot = cron.last_until(clock.moment(window.high), today.zone, since=since)
    while slot is not None and not allows(schedule, clock.local_day(slot, today.zone), almanac):
        before = clock.day_start(clock.local_day(slot, today.zone), today.zone) - timedelta(seconds=1)
        slot = cron.last_until(before, today.zone, since=since)
    if slot is None:
        return None
    day = clock.local_day(slot, today.zone)
    too_early = schedule.from_ is not None and day < schedule.from_
    too_late = schedule.until is not None and day > schedule.until
    return None if too_early or too_late else slot


def _on_date(
    due: StepDue, wanted: DateOf, today: Today, window: Window, customer: tuple[int, str] | None
) -> Iterator[Found]:
    for day in today.days(window):
        when = sa.bindparam("slot", type_=sa.BigInteger)
        source, matches = _has_day(wanted, day, today)
        select = row_of(source, when, anchor=sa.bindparam("anchor", type_=sa.Text), anchor_at=when).where(
            matches
        )
        found = _days(due, select, source, customer, slot=today.begins(day), anchor=day.isoformat())
        yield replace(found, timeless=False)


def _days(
    due: StepDue, select: sa.Select[Any], source: sa.Table, customer: tuple[int, str] | None, **day: Any
) -> Found:
    if customer is not None:
        return Found(of_customer(select, source, customer), {**due.bound, **day})
    return Found(select.where(source.c.bucket.between(LOW, HIGH)), {**due.bound, **day})


def _has_day(wanted: DateOf, day: date, today: Today) -> tuple[sa.Table, ColumnElement[bool]]:
    """Where the date is kept, and whether it falls on that day. 29 February is the 28th in other years."""
    if wanted.calendar == "lunar":
        return _has_lunar_day(wanted, day, today)
    if wanted.calendar == "own":
        lunar, solar = _has_lunar_day(wanted, day, today)[1], _has_solar_day(wanted, day)
        return customers, sa.or_(lunar, sa.and_(customers.c.lunar_birthday.is_(None), solar))
    if wanted.field == "first_purchase":
        years = range(1, 30) if wanted.every == "year" else range(1)
        begun = sa.type_coerce(buyers.c.first_purchased_at, sa.BigInteger)
        spans = [_span(then, today) for back in years for then in _kept_on(day, day.year - back)]
        return buyers, sa.or_(sa.false(), *(begun.between(first, last) for first, last in spans))
    return customers, _has_solar_day(wanted, day)


def _has_solar_day(wanted: DateOf, day: date) -> ColumnElement[bool]:
    text: Any = customers.c.birthday if wanted.field == "birthday" else _attribute(wanted)
    if wanted.every == "once":
        return sa.and_(text == day.isoformat())
    month_days = [f"{day:%m-%d}"]
    if (day.month, day.day) == (2, 28) and not _leap(day.year):
        month_days.append("02-29")
    return sa.and_(sa.func.substr(text, 6, 5).in_(month_days), text <= day.isoformat())


def _attribute(wanted: DateOf) -> Any:
    return customers.c.attributes[wanted.field.removeprefix("attributes.")].as_string()


def _has_lunar_day(wanted: DateOf, day: date, today: Today) -> tuple[sa.Table, ColumnElement[bool]]:
    """The same by the lunar calendar: what is kept on that day is worked out here, and looked up there."""
    lunar, kept = lunar_of(day), month_days_on(day)
    if wanted.field == "first_purchase":
        begun = sa.type_coerce(buyers.c.first_purchased_at, sa.BigInteger)
        spans = [_span(then, today) for then in _lunar_days_before(lunar, kept)]
        return buyers, sa.or_(sa.false(), *(begun.between(first, last) for first, last in spans))
    text: Any = customers.c.lunar_birthday if wanted.field == "birthday" else _attribute(wanted)
    if wanted.every == "once":
        return customers, sa.and_(text == str(lunar))
    in_time = sa.func.substr(text, 1, 4) <= f"{lunar.year if lunar else 0:04}"
    return customers, sa.and_(sa.func.substr(text, 6).in_(kept), in_time)


def _lunar_days_before(lunar: LunarDate | None, kept: tuple[str, ...]) -> Iterator[date]:
    """The days of earlier years, up to 29, whose anniversary is kept on a lunar date."""
    for back in range(1, 30) if lunar else ():
        for one in map(read_lunar, kept):
            found = solar_of(replace(one, year=lunar.year - back)) if lunar else None
            if found is not None:
                yield found


def _kept_on(day: date, year: int) -> Iterator[date]:
    """The days of a year whose anniversary is kept on that day; there may be none, and on a 28th two."""
    leap_day = (day.month, day.day) == (2, 29)
    if not leap_day or _leap(year):
        yield day.replace(year=year)
    if (day.month, day.day) == (2, 28) and _leap(year) and not _leap(day.year):
        yield date(year, 2, 29)


def _span(day: date, today: Today) -> tuple[int, int]:
    begins = today.begins(day)
    return begins, begins + clock.DAY - 1


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _after_step(
    due: StepDue, window: Window, customer: tuple[int, str] | None, *, beside: bool = False
) -> Found:
    """Customers whose message of an earlier step, for the same anchor, was sent.

    With `beside`: whose anchor was named in such a message.
    """
    earlier = named(candidates, "earlier")
    key = [f"winner_{name}" if beside else name for name in ("playbook", "step", "anchor")]
    same = sa.and_(
        Who.of(messages).owns(earlier),
        *(earlier.c[name] == messages.c[name.removeprefix("winner_")] for name in key),
    )
    if beside:
        same = sa.and_(same, earlier.c.reason == "bundled", earlier.c.queued_at.is_not(None))
    names = ("anchor", "anchor_at", "kind", "line", "order_id", "product_id", "quantity", "runs_out_at")
    select = (
        row_of(messages, messages.c.sent_at, BOUND, **{name: earlier.c[name] for name in names})
        .select_from(messages.join(earlier, same))
        .where(
            messages.c.playbook == BOUND.playbook,
            messages.c.step == due.step.send.base,
            messages.c.sent_at.is_not(None),
            messages.c.state.in_(["sent", "delivered"]),
        )
    )
    if customer is not None:
        return Found(of_customer(select, messages, customer), due.bound)
    at = sa.type_coerce(messages.c.sent_at, sa.BigInteger)
    select = select.where(messages.c.bucket.between(LOW, HIGH), at > SINCE, at <= UNTIL)
    return Found(select, {**due.bound, "since": window.low, "until": window.high})
