"""When each supply runs out: stock at home after the last purchase, times how long a unit lasts.

A purchase adds to what is left. With purchases 1..n of a line at times t and lasting d (quantity × units
× how long one unit lasts), what is left after purchase n runs out at

    r(n) = max(r(n-1), t(n)) + d(n)   =   max over k of (t(k) + S(k)),   S(k) = d(k) + … + d(n)

which one running window, from the last purchase back, computes for all customers at once. Refunded pieces,
samples and gifts are no purchases. The clock starts at delivery where it is known.

Only customers whose facts changed are computed, and of those whose new purchases all come after what their
supplies know already, only the new purchases: r(n) is then at least r(0) + S(1), r(0) being what the supply
says.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr.conditions.purchases import NOW, Who, kept, kept_quantity, sold
from smr.database import count_again, insert_missing, insert_or_update, read_by_key
from smr.due.forecasts import refresh_forecasts
from smr.due.goods import KINDS, goods_of, learns
from smr.due.projection import projected
from smr.due.rhythms import VISIT, rhythms_of, week_of
from smr.due.week import outdated
from smr.playbook.model import Library
from smr.tables import (
    BUCKETS,
    buyers,
    changed_customers,
    customers,
    purchases,
    refunds,
    rhythms,
    supplies,
)

LOW = sa.bindparam("low", type_=sa.Integer)
HIGH = sa.bindparam("high", type_=sa.Integer)
RUN = sa.bindparam("run", type_=sa.BigInteger)
REBUILD = 0
"""The import number of marks that no import made."""

SUPPLY_COLUMNS = [
    "bucket",
    "customer_id",
    "kind",
    "line",
    "order_id",
    "last_purchased_at",
    "product_id",
    "quantity",
    "purchases",
    "runs_out_at",
    "unit_lasts",
    "basis",
]


def refresh(
    connection: Connection,
    library: Library,
    *,
    now: int,
    run_id: int,
    low: int,
    high: int,
    offset: int = 0,
) -> None:
    """Bring buyers, supplies and rhythms up to now for the changed customers in buckets low..high.

    `offset` is by how many seconds the shop's days begin earlier than those of UTC. Facts that come into
    force later than `now` keep their mark.
    """
    bound = {"now": now, "run": run_id, "low": low, "high": high}
    bound |= {"offset": offset, "week": week_of(now, offset)}
    taken = connection.execute(_take(), bound).rowcount
    if connection.execute(_anything_taken(), bound).first() is None:
        return
    count_again(connection, changed_customers, taken)
    read_by_key(connection)
    connection.execute(_look_at_everything(), bound)
    if connection.execute(_may_end(), bound).first() is not None:
        for statement in _forgetting(library.catalog.track):
            connection.execute(statement, bound)
    learning = learns(library.catalog)
    for statement in _statements(connection.dialect.name, library.catalog.track, learning):
        connection.execute(statement, bound)
    refresh_forecasts(connection, library, "taken", bound)
    connection.execute(_done(), bound)
    if learning:
        outdated(connection)


def take_all(connection: Connection, *, run_id: int) -> None:
    """Take all marks for a run whose slices are done side by side, so that none has to count them again.

    PostgreSQL lets one transaction at a time do that.
    """
    bound = {"run": run_id, "low": 0, "high": BUCKETS - 1}
    count_again(connection, changed_customers, connection.execute(_take(), bound).rowcount)


def mark_everyone(connection: Connection) -> None:
    """Have every customer looked at again: the catalog changed, or a rebuild was asked for."""
    everyone = sa.select(customers.c.bucket, customers.c.customer_id, sa.literal(REBUILD, sa.BigInteger))
    connection.execute(_mark(connection, everyone))


def mark_later_than(connection: Connection, now: int) -> None:
    """Have those looked at again whose derived rows know facts later than `now`: the clock was set back."""
    bought = sa.select(buyers.c.bucket, buyers.c.customer_id, sa.literal(REBUILD, sa.BigInteger))
    connection.execute(_mark(connection, bought.where(buyers.c.last_purchased_at > now)))
    back = sa.select(refunds.c.bucket, refunds.c.customer_id, sa.literal(REBUILD, sa.BigInteger)).distinct()
    connection.execute(_mark(connection, back.where(refunds.c.refunded_at > now)))


def _mark(connection: Connection, select: sa.Select[Any]) -> Any:
    columns = ["bucket", "customer_id", "import_id"]
    return insert_missing(connection.dialect.name, changed_customers, columns=columns, select=select)


@cache
def _take() -> Any:
    mark = changed_customers
    others = mark.c.taken_by.is_distinct_from(RUN)
    return sa.update(mark).values(taken_by=RUN).where(mark.c.bucket.between(LOW, HIGH), others)


@cache
def _anything_taken() -> Any:
    mark = changed_customers
    mine = sa.select(sa.literal(1)).where(mark.c.bucket.between(LOW, HIGH), mark.c.taken_by == RUN)
    return mine.limit(1)


@cache
def _look_at_everything() -> Any:
    """Take for changed throughout whose news are older than the latest purchase that a supply knows."""
    mark, known = changed_customers, supplies.alias()
    overtaken = (
        sa.select(sa.literal(1))
        .select_from(known)
        .where(Who.of(mark).owns(known), known.c.last_purchased_at >= mark.c.bought_since)
        .exists()
    )
    return (
        sa.update(mark)
        .values(bought_since=None)
        .where(mark.c.bucket.between(LOW, HIGH), mark.c.taken_by == RUN, overtaken)
    )


@cache
def _statements(dialect: str, track: str, learning: bool) -> list[Any]:
    kinds = KINDS[track]
    found = [_buyers(dialect), *(_supplies(dialect, kind, learning) for kind in kinds)]
    if learning:
        found += [rhythms_of(dialect, kind) for kind in (VISIT, *kinds)]
        found += [projected(dialect, kind, "taken") for kind in kinds]
    return found


@cache
def _forgetting(track: str) -> list[Any]:
    forgotten = [_forget_buyers(), _forget_untracked(KINDS[track])]
    return [*forgotten, _forget_returned(supplies), _forget_returned(rhythms)]


def _may_end() -> sa.Select[Any]:
    """Whether any supply of the taken customers may have come to an end: by a refund, or by a rebuild."""
    mark, back = changed_customers, refunds.alias()
    returned = sa.select(sa.literal(1)).select_from(back).where(Who.of(mark).owns(back)).exists()
    taken = sa.and_(mark.c.bucket.between(LOW, HIGH), mark.c.taken_by == RUN, mark.c.bought_since.is_(None))
    return sa.select(sa.literal(1)).where(taken, sa.or_(mark.c.import_id == REBUILD, returned)).limit(1)


def _throughout(source: Any) -> ColumnElement[bool]:
    """Whether anything of the customer may have changed."""
    mark = changed_customers.alias()
    anything = sa.and_(mark.c.taken_by == RUN, mark.c.bought_since.is_(None))
    return sa.select(sa.literal(1)).where(Who.of(source).owns(mark), anything).exists()


def _taken_customers() -> sa.Subquery:
    """Customers to be looked at, `since` when their purchases may differ; empty: all of them may."""
    mark = changed_customers
    every_mark_says = sa.func.count(mark.c.bought_since) == sa.func.count()
    return (
        sa.select(
            mark.c.bucket,
            mark.c.customer_id,
            sa.case((every_mark_says, sa.func.min(mark.c.bought_since))).label("since"),
        )
        .where(mark.c.bucket.between(LOW, HIGH), mark.c.taken_by == RUN)
        .group_by(mark.c.bucket, mark.c.customer_id)
        .subquery("taken")
    )


def _is_news(line: Any, taken: Any) -> ColumnElement[bool]:
    """Whether a purchase is to be looked at."""
    return sa.or_(taken.c.since.is_(None), line.c.purchased_at >= taken.c.since)


def _in_slice(table: sa.Table) -> ColumnElement[bool]:
    return table.c.bucket.between(LOW, HIGH)


def _buyers(dialect: str) -> Any:
    taken, line, known = _taken_customers(), purchases.alias(), buyers.alias()

    def before(column: str) -> Any:
        return _known_before(known, known.c[column], taken, Who.of(taken).owns(known))

    news = (
        sa.select(
            taken.c.bucket,
            taken.c.customer_id,
            sa.func.min(line.c.purchased_at).label("first"),
            sa.func.max(line.c.purchased_at).label("last"),
            before("first_purchased_at").label("first_before"),
            before("last_purchased_at").label("last_before"),
        )
        .select_from(taken.join(line, Who.of(taken).owns(line)))
        .where(_is_news(line, taken), kept(line))
        .group_by(taken.c.bucket, taken.c.customer_id)
        .subquery("news")
    )
    first, last = news.c.first_before, news.c.last_before
    select = sa.select(
        news.c.bucket,
        news.c.customer_id,
        sa.case((first < news.c.first, first), else_=news.c.first),
        sa.case((last > news.c.last, last), else_=news.c.last),
    )
    columns = ["bucket", "customer_id", "first_purchased_at", "last_purchased_at"]
    return insert_or_update(dialect, buyers, columns=columns, select=select, update=columns[2:])


def _known_before(known: Any, value: Any, group: Any, same: ColumnElement[bool]) -> ColumnElement[Any]:
    """What is known of a group whose news alone are looked at; empty where everything is.

    Asked for group by group, not joined: the statement fills the very table that it asks, and a planner to
    whom that table is empty would read all of it for every row.
    """
    asked = sa.select(sa.type_coerce(value, sa.BigInteger)).select_from(known).where(same).scalar_subquery()
    return sa.case((sa.func.max(group.c.since).is_not(None), asked))


def _forget_buyers() -> Any:
    """Buyers who may have nothing left: those with refunds, or known only from facts later than now."""
    back = refunds.alias()
    returned = sa.select(sa.literal(1)).where(Who.of(buyers).owns(back)).exists()
    return sa.delete(buyers).where(
        _in_slice(buyers), _throughout(buyers), sa.or_(returned, buyers.c.last_purchased_at > NOW)
    )


def _forget_returned(table: sa.Table) -> Any:
    """Supplies or rhythms that a refund, a changed catalog or a clock set back may have ended."""
    back, mark = refunds.alias(), changed_customers.alias()
    who = Who.of(table)
    returned = sa.select(sa.literal(1)).where(who.owns(back)).exists()
    rebuilt = (
        sa.select(sa.literal(1))
        .where(who.owns(mark), mark.c.taken_by == RUN, mark.c.import_id == REBUILD)
        .exists()
    )
    return sa.delete(table).where(_in_slice(table), _throughout(table), sa.or_(returned, rebuilt))


def _forget_untracked(kinds: tuple[str, ...]) -> Any:
    return sa.delete(supplies).where(
        _in_slice(supplies), _throughout(supplies), supplies.c.kind.not_in(kinds)
    )


def _supplies(dialect: str, kind: str, learning: bool) -> Any:
    news = _news(kind, _taken_customers(), of_all=False)
    left, runs_out = news.c.left_before + news.c.stock, news.c.runs_out
    runs_out_at = sa.case((left > runs_out, left), else_=runs_out)
    counted = news.c.purchases + sa.func.coalesce(news.c.purchases_before, 0)
    select = _supply_row(kind, news, runs_out_at, counted)
    columns, changing = [*SUPPLY_COLUMNS], SUPPLY_COLUMNS[4:]
    if learning:
        # The stated run-out is kept beside the one that is learned from it.
        columns.append("stated_runs_out_at")
        changing = ["stated_runs_out_at", *(name for name in changing if name != "runs_out_at")]
        select = select.add_columns(sa.cast(runs_out_at, sa.BigInteger).label("stated_runs_out_at"))
    return insert_or_update(
        dialect,
        supplies,
        columns=columns,
        select=select,
        update=changing,
        where=lambda new: sa.or_(*(supplies.c[name].is_distinct_from(new[name]) for name in changing)),
    )


def stated_supplies(kind: str) -> sa.Select[Any]:
    """All supplies of one kind as the stated rule has them, from facts and catalog alone, with no table kept.

    Columns as in `SUPPLY_COLUMNS`. For a database that holds nothing but the facts.
    """
    someone = purchases.alias("someone")
    nothing_known = sa.cast(sa.null(), sa.BigInteger).label("since")
    everyone = (
        sa.select(someone.c.bucket, someone.c.customer_id, nothing_known).distinct().subquery("everyone")
    )
    news = _news(kind, everyone, of_all=True)
    return _supply_row(kind, news, news.c.runs_out, news.c.purchases)


def _supply_row(kind: str, news: Any, runs_out_at: Any, counted: Any) -> sa.Select[Any]:
    given = {
        "kind": sa.literal(kind, sa.Text),
        "last_purchased_at": news.c.purchased_at,
        "purchases": counted,
        "runs_out_at": sa.cast(runs_out_at, sa.BigInteger),
    }
    return sa.select(*(given.get(name, news.c.get(name)).label(name) for name in SUPPLY_COLUMNS))


def _news(kind: str, taken: Any, *, of_all: bool) -> sa.Subquery:
    """What the lines that are looked at say of each supply, beside what was known before, save `of_all`."""
    lines = _lines(kind, taken).subquery("bought")
    in_turn = (lines.c.purchased_at, lines.c.order_id, lines.c.product_id, lines.c.line_no)
    running: dict[str, Any] = {
        "partition_by": [lines.c.bucket, lines.c.customer_id, lines.c.line],
        "order_by": [column.desc() for column in in_turn],
        "rows": (None, 0),
    }
    # Both read forward alone: nothing of a window has to be kept.
    stock = sa.func.sum(lines.c.lasts).over(**running)
    position = sa.func.row_number().over(**running)
    told = sa.select(*lines.c, stock.label("stock"), position.label("position")).subquery("told")
    of_last = {
        name: sa.func.max(sa.case((told.c.position == 1, told.c[name])))
        for name in ("order_id", "purchased_at", "product_id", "quantity", "unit_lasts", "basis")
    }
    known = supplies.alias()
    same = sa.and_(Who.of(told).owns(known), known.c.kind == kind, known.c.line == told.c.line)
    ran_out = sa.func.coalesce(known.c.stated_runs_out_at, known.c.runs_out_at)
    before = (
        _known_before(known, ran_out, told, same).label("left_before"),
        _known_before(known, known.c.purchases, told, same).label("purchases_before"),
    )
    # What came in never shrinks from purchase to purchase, so the greatest sum is that of all.
    return (
        sa.select(
            told.c.bucket,
            told.c.customer_id,
            told.c.line,
            *(value.label(name) for name, value in of_last.items()),
            sa.func.count().label("purchases"),
            sa.func.max(told.c.starts_at + told.c.stock).label("runs_out"),
            sa.func.max(told.c.stock).label("stock"),
            *(() if of_all else before),
        )
        .group_by(told.c.bucket, told.c.customer_id, told.c.line)
        .subquery("news")
    )


def _lines(kind: str, taken: Any) -> sa.Select[Any]:
    """Kept purchase lines to be looked at, each with its line and how many seconds it lasts."""
    goods = goods_of(kind)
    bought = purchases.alias()
    quantity = kept_quantity(bought)
    delivered = sa.case((bought.c.delivered_at <= NOW, bought.c.delivered_at), else_=bought.c.purchased_at)
    joined = taken.join(bought, Who.of(taken).owns(bought)).join(
        goods, goods.c.product_id == bought.c.product_id
    )
    return (
        sa.select(
            bought.c.bucket,
            bought.c.customer_id,
            goods.c.line,
            bought.c.order_id,
            bought.c.product_id,
            bought.c.line_no,
            sa.type_coerce(bought.c.purchased_at, sa.BigInteger).label("purchased_at"),
            sa.type_coerce(delivered, sa.BigInteger).label("starts_at"),
            quantity.label("quantity"),
            # Whole seconds as doubles: exact, and summed without PostgreSQL's slow numerics.
            sa.func.round(quantity * goods.c.piece_lasts, type_=sa.Double).label("lasts"),
            goods.c.unit_lasts,
            goods.c.basis,
            taken.c.since,
        )
        .select_from(joined)
        .where(_is_news(bought, taken), sold(bought), quantity > 0)
    )


@cache
def _done() -> Any:
    """Take the marks off, save those of customers with facts still to come into force."""
    mark = changed_customers
    who = Who.of(mark)
    line, back = purchases.alias(), refunds.alias()
    to_come = sa.or_(
        sa.select(sa.literal(1)).where(who.owns(line), _to_come(line)).exists(),
        sa.select(sa.literal(1)).where(who.owns(back), back.c.refunded_at > NOW).exists(),
    )
    return sa.delete(mark).where(mark.c.bucket.between(LOW, HIGH), mark.c.taken_by == RUN, sa.not_(to_come))


def _to_come(line: Any) -> ColumnElement[bool]:
    return sa.or_(line.c.purchased_at > NOW, line.c.delivered_at > NOW)
