"""The days that live playbooks ask for beside the run-out, for the supplies that they ask about.

`due at 75%`   the day by which so many of those alike who buy again have done so
`likely 40%`   the first day, quiet days after the purchase left out, on which at least so many of those
               alike buy within a week: the curve's chance times the factor of the customer's own visits

Both follow from the supply and from the customer's orders alone, so that they are stored when those change,
and what is due on a day is read from an index.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr import clock
from smr.conditions.purchases import Who
from smr.database import insert_missing
from smr.due.catalog import EVERYTHING
from smr.due.chance import BEGINS, ENDS, chance_sql
from smr.due.goods import KINDS
from smr.due.rhythms import HIGH, LOW, VISIT, taken_customers
from smr.due.visits import AHEAD, late, usual_gap
from smr.notation import span_text
from smr.playbook.model import Library, Playbook, RunsOut, Step
from smr.tables import days_ahead, forecasts, odds, rhythms, supplies

SHARE = sa.bindparam("share", type_=sa.Double)
QUIET = sa.bindparam("quiet", type_=sa.Integer)
ASKED = sa.bindparam("asked", type_=sa.Text)
BEST = sa.bindparam("best", type_=sa.Double)
"""The greatest factor of visits there is."""

LINES: sa.BindParameter[Any] = sa.bindparam("of_lines", expanding=True)
SINGLE = "asked: "
"""In `odds`: which forecasts are kept."""


@dataclass(frozen=True, order=True)
class Forecast:
    """What a playbook asks of lines of one kind; `lines` is empty for all of them."""

    asked: str
    way: str  # due | likely
    share: float
    quiet_days: int
    kind: str
    lines: tuple[str, ...]


def asked_by(playbook: Playbook, step: Step) -> str | None:
    """The name of the forecast that a step counts from; None where it counts from the run-out itself."""
    trigger = playbook.trigger
    if not isinstance(trigger, RunsOut) or step.send.base != "due":
        return None
    if step.send.share is not None:
        return f"due at {_percent(step.send.share)}"
    if trigger.likely is not None:
        return f"likely {_percent(trigger.likely)} after {span_text(trigger.quiet)}"
    return None


def wanted(library: Library) -> list[Forecast]:
    """The forecasts that live playbooks ask for, each once."""
    return sorted(askers(library))


def askers(library: Library) -> dict[Forecast, tuple[str, ...]]:
    """The same, each with the names of the playbooks that ask for it."""
    found: dict[Forecast, tuple[str, ...]] = {}
    for playbook in library.playbooks:
        for one in dict.fromkeys(_of(playbook, library)) if playbook.status == "live" else ():
            found[one] = (*found.get(one, ()), playbook.name)
    return found


def _of(playbook: Playbook, library: Library) -> Iterator[Forecast]:
    trigger = playbook.trigger
    if not isinstance(trigger, RunsOut):
        return
    goods, kinds = trigger.runs_out, KINDS[library.catalog.track]
    stated = {"category": goods.category, "product": goods.product}
    for step in playbook.steps:
        asked = asked_by(playbook, step)
        if asked is None:
            continue
        at, quiet = step.send.share, -(-trigger.quiet // clock.DAY)
        for kind in kinds:
            lines = stated[kind]
            if lines is not None or not any(stated.values()):
                way, share = ("due", at) if at is not None else ("likely", trigger.likely)
                yield Forecast(asked, way, share or 0.0, quiet, kind, tuple(sorted(lines or ())))


def refresh_forecasts(
    connection: Connection,
    library: Library,
    whose: str,
    bound: Mapping[str, Any],
    kinds: tuple[str, ...] = (),
) -> None:
    """Make the forecasts anew: of the `taken` customers, or of `all` in buckets low..high (of some kinds)."""
    asked = [one for one in wanted(library) if not kinds or one.kind in kinds]
    if asked or _any(connection):
        connection.execute(_forget(whose, bool(kinds)), {**bound, "kinds": list(kinds)} if kinds else bound)
    if not asked:
        return
    best = connection.execute(sa.select(sa.func.max(odds.c.share)).where(odds.c.what == VISIT)).scalar_one()
    for one in asked:
        values = {**bound, "asked": one.asked, "share": one.share}
        if one.lines:
            values["of_lines"] = list(one.lines)
        if one.way == "likely":
            values |= {"quiet": one.quiet_days, "best": best or 1.0}
        connection.execute(_made(connection.dialect.name, one.way, one.kind, whose, bool(one.lines)), values)


def note_wanted(connection: Connection, library: Library) -> bool:
    """Remember which forecasts are kept; True where others were."""
    names = {f"{SINGLE}{one.asked} {one.kind} {', '.join(one.lines)}" for one in wanted(library)}
    of = sa.and_(odds.c.kind == EVERYTHING, odds.c.what.startswith(SINGLE, autoescape=True))
    if set(connection.execute(sa.select(odds.c.what).where(of)).scalars()) == names:
        return False
    connection.execute(sa.delete(odds).where(of))
    if names:
        rows = [{"kind": EVERYTHING, "what": name, "step": 0, "share": 0.0} for name in sorted(names)]
        connection.execute(sa.insert(odds), rows)
    return True


def _any(connection: Connection) -> bool:
    return connection.execute(sa.select(forecasts.c.kind).limit(1)).first() is not None


@cache
def _forget(whose: str, some_kinds: bool) -> Any:
    gone = sa.delete(forecasts).where(forecasts.c.bucket.between(LOW, HIGH))
    if some_kinds:
        gone = gone.where(forecasts.c.kind.in_(sa.bindparam("kinds", expanding=True)))
    if whose == "taken":
        taken = taken_customers()
        gone = gone.where(sa.select(sa.literal(1)).where(Who.of(forecasts).owns(taken)).exists())
    return gone


@cache
def _made(dialect: str, way: str, kind: str, whose: str, named: bool) -> Any:
    supply = supplies.alias("supply")
    source: Any = supply
    conditions: list[Any] = [supply.c.bucket.between(LOW, HIGH), supply.c.kind == kind]
    if whose == "taken":
        taken = taken_customers()
        source = taken.join(supply, Who.of(taken).owns(supply))
    if named:
        conditions.append(supply.c.line.in_(LINES))
    select = (_due if way == "due" else _likely)(supply, source, conditions)
    columns = ["bucket", "customer_id", "kind", "line", "asked", "expected_at"]
    return insert_missing(dialect, forecasts, columns=columns, select=select)


def _key(supply: Any) -> list[Any]:
    return [supply.c.bucket, supply.c.customer_id, supply.c.kind, supply.c.line, sa.cast(ASKED, sa.Text)]


def _due(supply: Any, source: Any, conditions: list[Any]) -> sa.Select[Any]:
    """Where nothing is learned of a line, the run-out itself: it has no spread."""
    days = sa.func.exp(
        supply.c.location + sa.func.ln(SHARE / (1.0 - SHARE)) / supply.c.steepness, type_=sa.Double
    )
    held = sa.case((days > float(AHEAD * 10), float(AHEAD * 10)), else_=days)
    begins = sa.type_coerce(supply.c.starts_at, sa.BigInteger)
    at = begins + sa.cast(sa.func.round(held * float(clock.DAY), type_=sa.Double), sa.BigInteger)
    run_out = sa.type_coerce(supply.c.runs_out_at, sa.BigInteger)
    learned = supply.c.location.is_not(None)
    return (
        sa.select(*_key(supply), sa.case((learned, at), else_=run_out)).select_from(source).where(*conditions)
    )


def _likely(supply: Any, source: Any, conditions: list[Any]) -> sa.Select[Any]:
    visit, ahead, factor = rhythms.alias("visits"), days_ahead.alias("ahead"), odds.alias("factor")
    begins = sa.type_coerce(supply.c.starts_at, sa.BigInteger)
    last_visit = sa.type_coerce(visit.c.starts_at, sa.BigInteger)
    silent = ahead.c.day + (begins - last_visit) // clock.DAY
    step = late(sa.cast(silent, sa.Double), usual_gap(visit.c.weight, visit.c.log_gap))
    # Only between these days can it be so likely at all, whatever the factor; the curve tells by itself.
    needed = SHARE / BEST
    earliest = _day_of(needed / supply.c.follows, supply) - ENDS
    latest = _day_of((supply.c.follows - needed) / (supply.c.follows * (1.0 - needed)), supply) + BEGINS
    day = sa.cast(ahead.c.day, sa.Double)
    chance = chance_sql(day, supply.c.location, supply.c.steepness, supply.c.follows)
    source = (
        source.join(
            visit, sa.and_(Who.of(supply).owns(visit), visit.c.kind == VISIT, visit.c.line == EVERYTHING)
        )
        .join(ahead, sa.and_(ahead.c.day >= QUIET, ahead.c.day >= 1, day.between(earliest, latest)))
        .join(factor, sa.and_(factor.c.kind == supply.c.kind, factor.c.what == VISIT, factor.c.step == step))
    )
    first = sa.func.min(ahead.c.day)
    return (
        sa.select(*_key(supply), sa.func.max(begins) + first * clock.DAY)
        .select_from(source)
        .where(
            *conditions,
            supply.c.location.is_not(None),
            supply.c.follows > needed,
            needed < 1.0,
            chance * factor.c.share >= SHARE,
        )
        .group_by(supply.c.bucket, supply.c.customer_id, supply.c.kind, supply.c.line)
    )


def with_chance(source: Any, supply: Any, at: Any) -> tuple[Any, Any]:
    """The chance that a supply's line is bought within a week of an instant: what to join, and the value.

    Empty where nothing is learned of the line. For a supply that knows no purchase after the instant.
    """
    visit, factor = rhythms.alias("chance_visits"), odds.alias("chance_factor")
    begins = sa.type_coerce(supply.c.starts_at, sa.BigInteger)
    moment = sa.type_coerce(at, sa.BigInteger)
    since_visit = (moment - sa.type_coerce(visit.c.starts_at, sa.BigInteger)) // clock.DAY
    step = late(sa.cast(since_visit, sa.Double), usual_gap(visit.c.weight, visit.c.log_gap))
    silent = (moment - begins) // clock.DAY
    days = sa.cast(sa.case((silent < 1, 1), else_=silent), sa.Double)
    joined = source.outerjoin(
        visit, sa.and_(Who.of(supply).owns(visit), visit.c.kind == VISIT, visit.c.line == EVERYTHING)
    ).outerjoin(
        factor, sa.and_(factor.c.kind == supply.c.kind, factor.c.what == VISIT, factor.c.step == step)
    )
    curve = chance_sql(days, supply.c.location, supply.c.steepness, supply.c.follows)
    return joined, curve * sa.func.coalesce(factor.c.share, 1.0)


def _day_of(share: ColumnElement[Any], supply: Any) -> ColumnElement[float]:
    """The day on which the curve reaches a share, which is held between 0.0001 and 0.9999."""
    held = sa.case((share < 0.0001, 0.0001), (share > 0.9999, 0.9999), else_=share)
    shifted = supply.c.location + sa.func.ln(held / (1.0 - held)) / supply.c.steepness
    return sa.func.exp(sa.case((shifted > 9.0, 9.0), else_=shifted), type_=sa.Double)


def _percent(share: float) -> str:
    return f"{round(share * 100, 4):g}%"
