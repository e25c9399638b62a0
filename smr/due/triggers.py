"""What makes a step due: each trigger as a SELECT of candidates.

The same SELECT serves a run (all customers of a slice, within the step's window) and explaining (one
customer, any time). Bases: the run-out, the purchase, the slot, the day, or an earlier step's sending.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr import clock
from smr.almanac import Almanac, LunarDate, lunar_of, month_days_on, read_lunar, shipped, solar_of
from smr.conditions import Who, condition_sql
from smr.conditions.model import Goods
from smr.conditions.purchases import category_of, kept, of_goods
from smr.cron import Cron, cron_of, parse_cron
from smr.due.forecasts import asked_by
from smr.due.goods import KINDS
from smr.due.happenings import HIGH, LOW, SINCE, UNTIL, happenings, product_news
from smr.due.window import Today, Window, useful_for
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
    counts_from_run_out,
)
from smr.settings import Settings
from smr.tables import (
    buyers,
    candidates,
    customers,
    cycles,
    forecasts,
    given_candidates,
    messages,
    named,
    products,
    purchases,
    supplies,
    undecided_customers,
)

CANDIDATE_COLUMNS = [
    "bucket",
    "customer_id",
    "playbook",
    "step",
    "anchor",
    "anchor_at",
    "kind",
    "line",
    "order_id",
    "product_id",
    "quantity",
    "runs_out_at",
    "due_at",
    "expires_at",
    "priority",
    "state",
    "run_id",
]
"""What a trigger says of a candidate."""

RUN = sa.bindparam("run", type_=sa.BigInteger)
PLAYBOOK = sa.bindparam("of_playbook", type_=sa.Text)
STEP = sa.bindparam("of_step", type_=sa.Text)
PRIORITY = sa.bindparam("of_priority", type_=sa.Integer)
OFFSET = sa.bindparam("of_offset", type_=sa.BigInteger)
USEFUL = sa.bindparam("of_useful", type_=sa.BigInteger)
KIND = sa.bindparam("of_kind", type_=sa.Text)
LINES: sa.BindParameter[Any] = sa.bindparam("of_lines", type_=sa.Text, expanding=True)
"""Of the step whose candidates are looked for: bound, so that steps alike are served by one statement."""


@dataclass(frozen=True)
class Found:
    """A SELECT of candidates and the values to bind with it (beside `low`, `high`, `now` and `run`).

    `keys` has as many rows and is quicker to count, where there is such a thing. `news` are what of it an
    earlier run cannot have found as it is now; None where nobody knows. Where `gate` finds no row, there is
    nothing to find at all, which is quicker to ask. Of what is not `timeless`, the SELECT itself depends on
    the time, and not only what is bound. Where a `shape` is said, SELECTs of the same shape are the same, of
    whichever step.
    """

    select: sa.Select[Any]
    bound: Mapping[str, Any]
    keys: sa.FromClause | None = None
    news: tuple[Found, ...] | None = None
    of_undecided: bool = False
    gate: sa.Select[Any] | None = None
    given: bool = False  # by a warehouse, some time ago
    timeless: bool = True
    shape: Hashable = None


@dataclass(frozen=True)
class StepDue:
    """One step of one playbook as the triggers see it."""

    playbook: Playbook
    step: Step
    settings: Settings
    library: Library
    before: datetime | None = None

    def known(self, window: Window) -> int | None:
        """Up to where in the window all was found before; None where nobody knows."""
        if self.before is None:
            return None
        high = Today(self.before, self.settings.shop.tz).window(self.step.send, self.useful).high
        return min(max(high, window.low), window.high)

    @property
    def offset(self) -> int:
        """Seconds from the base to the step."""
        return self.step.send.offset

    @property
    def useful(self) -> int:
        """Seconds for which the step stays useful."""
        return useful_for(self.step, self.settings)

    @property
    def bound(self) -> dict[str, Any]:
        """What `row` is bound with."""
        return {
            "of_playbook": self.playbook.name,
            "of_step": self.step.name,
            "of_priority": self.playbook.priority,
            "of_offset": self.offset,
            "of_useful": self.useful,
        }


def _row(source: Any, base: ColumnElement[Any], **columns: Any) -> sa.Select[Any]:
    """The candidate columns for rows of a source; `base` is the instant the step counts from."""
    due_at = sa.type_coerce(base, sa.BigInteger) + OFFSET
    given: dict[str, Any] = {
        "bucket": source.c.bucket,
        "customer_id": source.c.customer_id,
        "playbook": PLAYBOOK,
        "step": STEP,
        "due_at": due_at,
        "expires_at": due_at + USEFUL,
        "priority": PRIORITY,
        "state": sa.literal("due", sa.Text),
        "run_id": RUN,
        **columns,
    }
    chosen = [
        given.get(name, sa.cast(sa.null(), candidates.c[name].type)).label(name) for name in CANDIDATE_COLUMNS
    ]
    return sa.select(*chosen)


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
            yield from _runs_out(due, goods, window, customer)
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


def early(
    playbook: Playbook,
    step: Step,
    library: Library,
    settings: Settings,
    now: datetime,
    *,
    within: int,
    whom: sa.FromClause,
) -> Iterator[Found]:
    """What is due within so many seconds more for the customers of `whom`, by the run-out alone."""
    if not (isinstance(playbook.trigger, RunsOut) and counts_from_run_out(playbook, step)):
        return
    due = StepDue(playbook, step, settings, library)
    high = Today(now, settings.shop.tz).window(step.send, due.useful).high
    asked = asked_by(playbook, step)
    for kind, lines in _lines(library, playbook.trigger.runs_out):
        bound, among = _line_of(kind, lines)
        falling = _falling(among, whom) if asked is None else _forecast(among, asked, whom)
        span = {"since": high, "until": high + within}
        yield Found(_fallen(falling, asked), {**due.bound, **bound, **span})


def given_of(playbook: Playbook, step: Step, library: Library, settings: Settings, now: datetime) -> Found:
    """The candidates of a step that a warehouse found, within the step's window."""
    due, told = StepDue(playbook, step, settings, library), named(given_candidates, "told")
    window = Today(now, settings.shop.tz).window(step.send, due.useful)
    at = sa.type_coerce(told.c.due_at, sa.BigInteger)
    names = ("anchor", "anchor_at", "kind", "order_id", "product_id", "quantity", "runs_out_at")
    columns = {name: told.c[name] for name in names} | {"line": told.c.supply_line}
    select = _row(told, at - OFFSET, **columns).where(
        told.c.playbook == PLAYBOOK,
        told.c.step == STEP,
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
    select = _row(source, base, **known)
    if customer is not None:
        at_any_time = {
            "low": customer[0],
            "high": customer[0],
            "since": -clock.DAY * 40_000,
            "until": 1 << 50,
        }
        return Found(_of_customer(select, source, customer), {**due.bound, **at_any_time})
    trigger = due.playbook.trigger
    gate = product_news(trigger.product).limit(1) if isinstance(trigger, OnProduct) else None
    return Found(select, {**due.bound, "since": window.low, "until": window.high}, gate=gate)


def _of_customer(select: sa.Select[Any], table: Any, customer: tuple[int, str]) -> sa.Select[Any]:
    bucket, customer_id = customer
    return select.where(table.c.bucket == bucket, table.c.customer_id == customer_id)


def _runs_out(
    due: StepDue, goods: Goods, window: Window, customer: tuple[int, str] | None
) -> Iterator[Found]:
    for kind, lines in _lines(due.library, goods):
        yield _supplies(due, kind, lines, window, customer)


def _lines(library: Library, goods: Goods) -> Iterator[tuple[str, Any]]:
    """The named lines by their kind; where none is named, every followed line."""
    stated = {"category": goods.category, "product": goods.product}
    for kind in ("category", "product"):
        lines: Any = stated[kind]
        if not any(stated.values()) and kind in KINDS[library.catalog.track]:
            lines = _all_lines(kind)
        if lines is not None:
            yield kind, lines


def _supplies(due: StepDue, kind: str, lines: Any, window: Window, customer: tuple[int, str] | None) -> Found:
    asked = asked_by(due.playbook, due.step)
    bound, among = _line_of(kind, lines)
    bound |= due.bound
    if not counts_from_run_out(due.playbook, due.step):
        return _since_purchase(bound, among, window, customer)
    if customer is not None:
        if asked is None:
            of_customer = _of_customer(_supply_row().where(*_on_line(supplies, among)), supplies, customer)
            return Found(of_customer, bound)
        forecast = _fallen(_forecast_of(among, asked, customer), asked)
        return Found(_of_customer(forecast, supplies, customer), bound)

    def within(since: int, until: int, whom: sa.Table | None = None) -> Found:
        # What stands for lines that are not named is a SELECT made for this kind.
        kind_of = None if among is LINES else kind
        falling = _falling(among, whom) if asked is None else _forecast(among, asked, whom)
        return Found(
            _fallen(falling, asked),
            {**bound, "since": since, "until": until},
            keys=falling,
            of_undecided=whom is not None,
            shape=("runs_out", kind_of, asked, None if whom is None else whom.name),
        )

    known, of_all = due.known(window), within(window.low, window.high)
    if known is None:
        return of_all
    news = (within(known, window.high), within(window.low, known, undecided_customers))
    return replace(of_all, news=news)


def _line_of(kind: str, lines: Any) -> tuple[dict[str, Any], Any]:
    """What is bound to ask for supplies of these lines, and among what they are."""
    if isinstance(lines, sa.SelectBase):
        return {"of_kind": kind}, lines
    return {"of_kind": kind, "of_lines": list(lines)}, LINES


def _on_line(table: Any, among: Any) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return table.c.kind == KIND, table.c.line.in_(among)


def _supply_row(base: Any = supplies.c.runs_out_at) -> sa.Select[Any]:
    return _row(
        supplies,
        base,
        anchor=supplies.c.order_id + "/" + supplies.c.line,
        anchor_at=supplies.c.last_purchased_at,
        kind=supplies.c.kind,
        line=supplies.c.line,
        order_id=supplies.c.order_id,
        product_id=supplies.c.product_id,
        quantity=supplies.c.quantity,
        runs_out_at=supplies.c.runs_out_at,
    )


def _fallen(falling: Any, asked: str | None) -> sa.Select[Any]:
    """The supplies of these keys; where a forecast was asked for, counted from its day."""
    row = _supply_row() if asked is None else _supply_row(falling.c.expected_at)
    return row.select_from(falling.join(supplies, _same_supply(falling)))


def _since_purchase(
    bound: dict[str, Any], among: Any, window: Window, customer: tuple[int, str] | None
) -> Found:
    """Steps that count from the purchase.

    Whoever bought this line in the window bought something in it: buyers lead to them.
    """
    select = _supply_row(supplies.c.last_purchased_at).where(*_on_line(supplies, among))
    if customer is not None:
        return Found(_of_customer(select, supplies, customer), bound)
    recent = sa.type_coerce(buyers.c.last_purchased_at, sa.BigInteger) > SINCE
    active = buyers.join(supplies, Who.of(buyers).owns(supplies))
    at = sa.type_coerce(supplies.c.last_purchased_at, sa.BigInteger)
    select = select.select_from(active).where(buyers.c.bucket.between(LOW, HIGH), recent)
    span = {"since": window.low, "until": window.high}
    return Found(select.where(at > SINCE, at <= UNTIL), {**bound, **span})


def _falling(among: Any, whom: sa.FromClause | None = None) -> sa.Subquery:
    """The keys of supplies that run out in the window, in the slice; read from the index alone.

    SQLite hands them on in the order of the key, so that what lies side by side is read side by side.
    With `whom`, those of these customers.
    """
    key = named(supplies, "falling_key")
    at = sa.type_coerce(key.c.runs_out_at, sa.BigInteger)
    select = (
        sa.select(key.c.bucket, key.c.customer_id, key.c.kind, key.c.line)
        .where(*_on_line(key, among), at > SINCE, at <= UNTIL)
        .suffix_with("GROUP BY 1, 2, 3, 4", dialect="sqlite")
        .suffix_with("ORDER BY 1, 2, 3, 4", dialect="postgresql")
    )
    return _in_slice(select, key, whom).subquery("falling")


def _forecast(among: Any, asked: str, whom: sa.FromClause | None = None) -> sa.Subquery:
    """The same of supplies whose forecast falls in the window."""
    one, at, select = _forecasts(among, asked)
    return _in_slice(select.where(at > SINCE, at <= UNTIL), one, whom).subquery("falling")


def _forecast_of(among: Any, asked: str, customer: tuple[int, str]) -> sa.Subquery:
    """For one customer, whenever it falls."""
    one, _at, select = _forecasts(among, asked)
    return _of_customer(select, one, customer).subquery("falling")


def _forecasts(among: Any, asked: str) -> tuple[Any, ColumnElement[int], sa.Select[Any]]:
    one = named(forecasts, "forecast")
    at = sa.type_coerce(one.c.expected_at, sa.BigInteger)
    select = sa.select(one.c.bucket, one.c.customer_id, one.c.kind, one.c.line, at.label("expected_at"))
    return one, at, select.where(*_on_line(one, among), one.c.asked == sa.literal(asked, sa.Text))


def _in_slice(select: sa.Select[Any], table: Any, whom: sa.FromClause | None) -> sa.Select[Any]:
    if whom is None:
        return select.where(table.c.bucket.between(LOW, HIGH))
    # From these few customers to what they have: no index leads from all that runs out to them.
    apart = sa.join(whom, table, Who.of(whom).owns(table))
    return select.select_from(apart).where(whom.c.bucket.between(LOW, HIGH))


def _same_supply(falling: Any) -> ColumnElement[bool]:
    same_line = sa.and_(falling.c.kind == supplies.c.kind, falling.c.line == supplies.c.line)
    return sa.and_(Who.of(falling).owns(supplies), same_line)


def _all_lines(kind: str) -> sa.Select[Any]:
    if kind == "product":
        return sa.select(products.c.product_id)
    entry = named(cycles, "line_entry")
    joined = products.outerjoin(
        entry, sa.and_(entry.c.kind == "product", entry.c.line == products.c.product_id)
    )
    category = category_of(products, entry)
    return sa.select(category).select_from(joined).where(category.is_not(None)).distinct()


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
        lines = _of_customer(lines, buyers, customer)
    else:
        recent = sa.type_coerce(buyers.c.last_purchased_at, sa.BigInteger) > SINCE
        lines = lines.where(buyers.c.bucket.between(LOW, HIGH), recent, at > SINCE, at <= UNTIL)
        bound |= {"since": window.low, "until": window.high}
    bought = lines.subquery("bought")
    select = _row(
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
    select = _row(customers, when, anchor=sa.bindparam("anchor", type_=sa.Text), anchor_at=when)
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
        select = _row(source, when, anchor=sa.bindparam("anchor", type_=sa.Text), anchor_at=when).where(
            matches
        )
        found = _days(due, select, source, customer, slot=today.begins(day), anchor=day.isoformat())
        yield replace(found, timeless=False)


def _days(
    due: StepDue, select: sa.Select[Any], source: sa.Table, customer: tuple[int, str] | None, **day: Any
) -> Found:
    if customer is not None:
        return Found(_of_customer(select, source, customer), {**due.bound, **day})
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
        _row(messages, messages.c.sent_at, **{name: earlier.c[name] for name in names})
        .select_from(messages.join(earlier, same))
        .where(
            messages.c.playbook == PLAYBOOK,
            messages.c.step == due.step.send.base,
            messages.c.sent_at.is_not(None),
            messages.c.state.in_(["sent", "delivered"]),
        )
    )
    if customer is not None:
        return Found(_of_customer(select, messages, customer), due.bound)
    at = sa.type_coerce(messages.c.sent_at, sa.BigInteger)
    select = select.where(messages.c.bucket.between(LOW, HIGH), at > SINCE, at <= UNTIL)
    return Found(select, {**due.bound, "since": window.low, "until": window.high})
