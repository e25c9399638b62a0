"""Supplies that run out, and what of them a purchase is followed by, as SELECTs of candidates.

Where only news are looked for on SQLite, steps that ask alike are served together, in one pass in the order
of the key: what they are is `sought`, a temporary table. Apart, each would go through the whole file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr.conditions import Who
from smr.conditions.model import Goods
from smr.conditions.purchases import category_of
from smr.database import make_temporary, temporary
from smr.database.unindexed import unindexed
from smr.due.forecasts import asked_by
from smr.due.found import BOUND, Asking, Found, StepDue, of_customer, row_of
from smr.due.goods import KINDS
from smr.due.happenings import HIGH, LOW, SINCE, UNTIL
from smr.due.window import Today, Window
from smr.playbook.model import Library, Playbook, RunsOut, Step, counts_from_run_out
from smr.settings import Settings
from smr.tables import buyers, cycles, forecasts, named, products, supplies, undecided_customers

KIND = sa.bindparam("of_kind", type_=sa.Text)
LINES: sa.BindParameter[Any] = sa.bindparam("of_lines", type_=sa.Text, expanding=True)

SOUGHT = temporary(
    "sought",
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("kind", "line", "playbook", "step")),
    sa.Column("priority", sa.Integer),
    *(sa.Column(name, sa.BigInteger) for name in ("offset", "useful", "since", "until")),
    sqlite_with_rowid=False,
)
"""Lines of steps that are looked for together on SQLite."""


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
        falling = _in_turn(_falling(among, asked, whom))
        span = {"since": high, "until": high + within}
        yield Found(_fallen(falling, asked), {**due.bound, **bound, **span})


def runs_out(due: StepDue, goods: Goods, window: Window, customer: tuple[int, str] | None) -> Iterator[Found]:
    """What runs out of these goods."""
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
            stated = _supply_row().where(*_on_line(supplies, among))
            return Found(of_customer(stated, supplies, customer), bound)
        source, _at, keys = _dated(asked)
        whenever = of_customer(keys.where(*_on_line(source, among)), source, customer)
        forecast = _fallen(whenever.subquery("falling"), asked)
        return Found(of_customer(forecast, supplies, customer), bound)

    def within(since: int, until: int, whom: sa.Table | None = None) -> Found:
        # What stands for lines that are not named is a SELECT made for this kind.
        named_ones = among is LINES
        select, keys = _within(asked, whom) if named_ones else _select(among, asked, whom)
        return Found(
            select,
            {**bound, "since": since, "until": until},
            keys=keys,
            of_undecided=whom is not None,
            shape=("runs_out", None if named_ones else kind, asked, None if whom is None else whom.name),
            together=_together(asked, whom) if named_ones else None,
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


def _supply_row(base: Any = supplies.c.runs_out_at, asking: Asking = BOUND) -> sa.Select[Any]:
    return row_of(
        supplies,
        base,
        asking,
        anchor=supplies.c.order_id + "/" + supplies.c.line,
        anchor_at=supplies.c.last_purchased_at,
        kind=supplies.c.kind,
        line=supplies.c.line,
        order_id=supplies.c.order_id,
        product_id=supplies.c.product_id,
        quantity=supplies.c.quantity,
        runs_out_at=supplies.c.runs_out_at,
    )


def _fallen(falling: Any, asked: str | None, asking: Asking = BOUND) -> sa.Select[Any]:
    """The supplies of these keys; where a forecast was asked for, counted from its day."""
    row = _supply_row(supplies.c.runs_out_at if asked is None else falling.c.expected_at, asking)
    return row.select_from(falling.join(supplies, _same_supply(falling)))


def _since_purchase(
    bound: dict[str, Any], among: Any, window: Window, customer: tuple[int, str] | None
) -> Found:
    """Steps that count from the purchase.

    Whoever bought this line in the window bought something in it: buyers lead to them.
    """
    select = _supply_row(supplies.c.last_purchased_at).where(*_on_line(supplies, among))
    if customer is not None:
        return Found(of_customer(select, supplies, customer), bound)
    recent = sa.type_coerce(buyers.c.last_purchased_at, sa.BigInteger) > SINCE
    active = buyers.join(supplies, Who.of(buyers).owns(supplies))
    at = sa.type_coerce(supplies.c.last_purchased_at, sa.BigInteger)
    select = select.select_from(active).where(buyers.c.bucket.between(LOW, HIGH), recent)
    span = {"since": window.low, "until": window.high}
    return Found(select.where(at > SINCE, at <= UNTIL), {**bound, **span})


def _falling(among: Any, asked: str | None, whom: sa.FromClause | None = None) -> sa.Select[Any]:
    """The keys of supplies that run out in the window, in the slice; read from the index alone.

    Where it is `asked`, those whose forecast falls in the window. With `whom`, those of these customers.
    """
    source, at, select = _dated(asked)
    return _in_slice(select.where(*_on_line(source, among), at > SINCE, at <= UNTIL), source, whom)


def _dated(asked: str | None) -> tuple[Any, ColumnElement[int], sa.Select[Any]]:
    """What has the days of supplies, its day, and their keys."""
    source: Any = named(supplies, "falling_key") if asked is None else named(forecasts, "forecast")
    at: ColumnElement[int] = sa.type_coerce(
        source.c.runs_out_at if asked is None else source.c.expected_at, sa.BigInteger
    )
    keys = sa.select(source.c.bucket, source.c.customer_id, source.c.kind, source.c.line)
    if asked is None:
        return source, at, keys
    keys = keys.add_columns(at.label("expected_at"))
    return source, at, keys.where(source.c.asked == sa.literal(asked, sa.Text))


def _in_turn(select: sa.Select[Any]) -> sa.Subquery:
    """In the order of the key, so that what lies side by side is read side by side."""
    in_order = select.suffix_with("GROUP BY 1, 2, 3, 4", dialect="sqlite")
    return in_order.suffix_with("ORDER BY 1, 2, 3, 4", dialect="postgresql").subquery("falling")


def _select(
    among: Any, asked: str | None, whom: sa.FromClause | None
) -> tuple[sa.Select[Any], sa.FromClause]:
    """What runs out in the window; and as many keys, in any order."""
    falling = _falling(among, asked, whom)
    return _fallen(_in_turn(falling), asked), falling.subquery("falling")


@cache
def _within(asked: str | None, whom: sa.FromClause | None) -> tuple[sa.Select[Any], sa.FromClause]:
    """The same of named lines, whose statement is always the same."""
    return _select(LINES, asked, whom)


@cache
def _together(asked: str | None, whom: sa.FromClause | None) -> sa.Select[Any]:
    """What runs out for all steps that are sought, each in its own window; for SQLite alone.

    Its planner, which has no statistics, is led: from what is sought, or from whom, to the supplies.
    """
    wish = named(SOUGHT, "wish")
    source, at, keys = _dated(asked)
    select = keys.add_columns(*(wish.c[name] for name in Asking._fields))
    in_window = sa.and_(at > wish.c.since, at <= wish.c.until)
    if whom is None:
        on_line = sa.and_(source.c.kind == unindexed(wish.c.kind), source.c.line == unindexed(wish.c.line))
        select = select.select_from(sa.join(wish, source, on_line))
        select = select.where(in_window, unindexed(source.c.bucket).between(LOW, HIGH))
    else:
        theirs = Who(unindexed(whom.c.bucket), unindexed(whom.c.customer_id)).owns(source)
        on_line = sa.and_(wish.c.kind == source.c.kind, wish.c.line == source.c.line)
        select = select.select_from(sa.join(sa.join(whom, source, theirs), wish, on_line))
        select = select.where(in_window, whom.c.bucket.between(LOW, HIGH))
    # The place of a step among the columns: beside the key, it tells candidates apart.
    last = len(keys.selected_columns) + 2
    falling = select.suffix_with(f"GROUP BY 1, 2, 3, 4, {last - 1}, {last}").subquery("falling")
    return _fallen(falling, asked, Asking(*(falling.c[name] for name in Asking._fields)))


def seek(connection: Connection, steps: Iterable[Mapping[str, Any]]) -> None:
    """Say what is sought: of each step, what is bound where it is looked for alone."""
    rows = [
        {"kind": step["of_kind"], "line": line, "since": step["since"], "until": step["until"]}
        | {name: step[f"of_{name}"] for name in Asking._fields}
        for step in steps
        for line in dict.fromkeys(step["of_lines"])
    ]
    make_temporary(connection, SOUGHT)
    connection.execute(sa.delete(SOUGHT))
    connection.execute(sa.insert(SOUGHT), rows)


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
