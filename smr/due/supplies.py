"""When each supply runs out: stock at home after the last purchase, times how long a unit lasts.

A purchase adds to what is left. With purchases 1..n of a line at times t and lasting d (quantity × units
× how long one unit lasts), what is left after purchase n runs out at

    r(n) = max(r(n-1), t(n)) + d(n)   =   max over k of (t(k) + S(k)),   S(k) = d(k) + … + d(n)

computed for all customers at once: on PostgreSQL by a running window, from the last purchase back; on SQLite
by an upsert into a temporary table, each purchase adding to what those before it left. Refunded pieces,
samples and gifts are no purchases. The clock starts at delivery where it is known.

Only customers whose facts changed are computed, and of those whose new purchases all come after what their
supplies know already, only the new purchases: r(n) is then at least r(0) + S(1), r(0) being what the supply
says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr.conditions.purchases import NOW, Who
from smr.database import (
    count_again,
    insert_in_turn,
    insert_missing,
    insert_or_update,
    make_temporary,
    read_by_key,
    temporary,
    update_or_insert,
)
from smr.due.forecasts import refresh_forecasts
from smr.due.goods import KINDS, goods_of, learns
from smr.due.looked_at import IN_TURN, WAITING, all_lines, bought, looked_at, marks_done, put_aside
from smr.due.projection import projected
from smr.due.rhythms import HIGH, LOW, RUN, VISIT, rhythms_of, week_of
from smr.due.week import outdated
from smr.playbook.model import Library
from smr.tables import (
    BUCKETS,
    buyers,
    changed_customers,
    customers,
    refunds,
    rhythms,
    supplies,
)

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

Known = Callable[[Any], ColumnElement[Any]]
"""One thing that a row of a table tells."""

KNOWN: dict[str, Known] = {
    "left": lambda table: sa.func.coalesce(table.c.stated_runs_out_at, table.c.runs_out_at),
    "purchases": lambda table: table.c.purchases,
}
"""What a supply tells of the purchases that were looked at before."""

NEWS = temporary(
    "supply_news",
    sa.Column("bucket", sa.SmallInteger, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("customer_id", "line")),
    *(sa.Column(name, sa.Text) for name in ("order_id", "product_id", "basis")),
    *(sa.Column(name, sa.BigInteger) for name in ("purchased_at", "unit_lasts", "purchases", "since")),
    *(sa.Column(name, sa.Double) for name in ("quantity", "runs_out", "stock")),
    sqlite_with_rowid=False,
)
"""What the new lines say of each supply of one kind, as it waits on SQLite."""

_ON_SQLITE = (WAITING, NEWS)


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
    if connection.dialect.name == "sqlite":
        make_temporary(connection, *_ON_SQLITE)
    for statement in _statements(connection.dialect.name, library.catalog.track, learning):
        connection.execute(statement, bound)
    refresh_forecasts(connection, library, "taken", bound)
    connection.execute(marks_done(connection.dialect.name), bound)
    if connection.dialect.name == "sqlite":
        for waiting in _ON_SQLITE:
            connection.execute(sa.delete(waiting))
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
    """Take for changed throughout whose news are older than the latest purchase that is known of them."""
    mark, known = changed_customers, buyers.alias()
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
    found = [put_aside()] if dialect == "sqlite" else []
    found += _buyers(dialect)
    for kind in kinds:
        found += _supplies(dialect, kind, learning)
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


def _in_slice(table: sa.Table) -> ColumnElement[bool]:
    return table.c.bucket.between(LOW, HIGH)


def _buyers(dialect: str) -> list[Any]:
    line = looked_at(dialect)
    key = (line.c.bucket, line.c.customer_id)
    known: dict[str, Known] = {
        "first": lambda table: table.c.first_purchased_at,
        "last": lambda table: table.c.last_purchased_at,
    }
    ours = buyers.alias()
    news = (
        sa.select(
            *key,
            sa.func.min(line.c.purchased_at).label("first"),
            sa.func.max(line.c.purchased_at).label("last"),
            sa.func.max(line.c.since).label("since"),
            *_known_before(dialect, known, ours, line, Who.of(line).owns(ours)),
        )
        .where(bought(line))
        .group_by(*key)
        .subquery("news")
    )

    def said(before: Mapping[str, Any]) -> dict[str, Any]:
        first, last = before["first"], before["last"]
        return {
            "first_purchased_at": sa.case((first < news.c.first, first), else_=news.c.first),
            "last_purchased_at": sa.case((last > news.c.last, last), else_=news.c.last),
        }

    keys = {"bucket": news.c.bucket, "customer_id": news.c.customer_id}
    return _put(dialect, buyers, news, keys, known, said)


def _put(
    dialect: str,
    table: sa.Table,
    news: sa.FromClause,
    keys: Mapping[str, Any],
    known: Mapping[str, Known],
    said: Callable[[Mapping[str, Any]], dict[str, Any]],
    kept: Collection[str] = (),
) -> list[Any]:
    """What writes the news into a table: `said` of what was known before. Of rows that were there, `kept`
    columns stay as they are, and what is as it was is not written.
    """
    if dialect == "sqlite":
        of_row = {name: sa.case((news.c.since.is_not(None), of(table))) for name, of in known.items()}
        nothing = {name: sa.cast(sa.null(), sa.BigInteger) for name in known}
        changed = {name: value for name, value in said(of_row).items() if name not in kept}
        return update_or_insert(table, keys=keys, update=changed, insert=said(nothing))
    row = {**keys, **said({name: news.c[f"{name}_before"] for name in known})}
    changing = [name for name in row if name not in keys and name not in kept]
    upsert = insert_or_update(
        dialect,
        table,
        columns=list(row),
        select=sa.select(*(value.label(name) for name, value in row.items())),
        update=changing,
        where=lambda new: sa.or_(*(table.c[name].is_distinct_from(new[name]) for name in changing)),
    )
    return [upsert]


def _known_before(
    dialect: str, known: Mapping[str, Known], table: Any, group: Any, same: ColumnElement[bool]
) -> list[ColumnElement[Any]]:
    """What is known of a group whose news alone are looked at; empty where everything is.

    Asked for group by group, not joined: the statement fills the very table that it asks, and a planner to
    whom that table is empty would read all of it for every row. On SQLite the row itself tells it.
    """
    if dialect == "sqlite":
        return []
    some = sa.func.max(group.c.since).is_not(None)
    asked = {
        name: sa.select(sa.type_coerce(of(table), sa.BigInteger)).select_from(table).where(same)
        for name, of in known.items()
    }
    return [sa.case((some, one.scalar_subquery())).label(f"{name}_before") for name, one in asked.items()]


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


def _supplies(dialect: str, kind: str, learning: bool) -> list[Any]:
    line = looked_at(dialect)
    first = [sa.delete(NEWS), _purchase_by_purchase(kind, line)] if dialect == "sqlite" else []
    news = NEWS if dialect == "sqlite" else _news(dialect, kind, line)

    def said(before: Mapping[str, Any]) -> dict[str, Any]:
        left, runs_out = before["left"] + news.c.stock, news.c.runs_out
        runs_out_at = sa.cast(sa.case((left > runs_out, left), else_=runs_out), sa.BigInteger)
        counted = news.c.purchases + sa.func.coalesce(before["purchases"], 0)
        row = _supply_row(news, runs_out_at, counted)
        return row | {"stated_runs_out_at": runs_out_at} if learning else row

    # Where days are learned, the stated run-out is kept beside the one that is learned from it.
    kept = {"runs_out_at"} if learning else ()
    return [*first, *_put(dialect, supplies, news, _supply_key(kind, news), KNOWN, said, kept)]


def _purchase_by_purchase(kind: str, line: sa.FromClause) -> Any:
    """Have the news gathered as the rule has them: each purchase adds to what those before it left."""
    one = _lasting(kind, line).subquery("bought")
    of_last = ("order_id", "product_id", "basis", "purchased_at", "unit_lasts", "quantity")
    told = {
        **{name: one.c[name] for name in ("bucket", "customer_id", "line", *of_last, "since")},
        "purchases": sa.literal(1, sa.BigInteger),
        "runs_out": one.c.starts_at + one.c.lasts,
        "stock": one.c.lasts,
    }
    in_turn = (one.c[name] for name in ("bucket", "customer_id", *IN_TURN))

    def added(new: Any) -> dict[str, Any]:
        starts_at = new.runs_out - new.stock
        begins = sa.case((NEWS.c.runs_out > starts_at, NEWS.c.runs_out), else_=starts_at)
        return {
            **{name: new[name] for name in of_last},
            "purchases": NEWS.c.purchases + 1,
            "runs_out": begins + new.stock,
            "stock": NEWS.c.stock + new.stock,
        }

    news = sa.select(*(value.label(name) for name, value in told.items())).order_by(*in_turn)
    return insert_in_turn(NEWS, columns=list(told), select=news, then=added)


def stated_supplies(kind: str) -> sa.Select[Any]:
    """All supplies of one kind as the stated rule has them, from facts and catalog alone, with no table kept.

    Columns as in `SUPPLY_COLUMNS`. For a database that holds nothing but the facts.
    """
    news = _news("sqlite", kind, all_lines())
    row = _supply_key(kind, news) | _supply_row(news, news.c.runs_out, news.c.purchases)
    return sa.select(*(row[name].label(name) for name in SUPPLY_COLUMNS))


def _supply_key(kind: str, news: sa.FromClause) -> dict[str, Any]:
    who = {name: news.c[name] for name in ("bucket", "customer_id")}
    return {**who, "kind": sa.literal(kind, sa.Text), "line": news.c.line}


def _supply_row(news: sa.FromClause, runs_out_at: Any, counted: Any) -> dict[str, Any]:
    given = {
        "last_purchased_at": news.c.purchased_at,
        "purchases": counted,
        "runs_out_at": sa.cast(runs_out_at, sa.BigInteger),
    }
    return {name: given[name] if name in given else news.c[name] for name in SUPPLY_COLUMNS[4:]}


def _news(dialect: str, kind: str, lines: sa.FromClause) -> sa.Subquery:
    """What the lines that are looked at say of each supply; on PostgreSQL beside what was known before."""
    lines = _lasting(kind, lines).subquery("bought")
    in_turn = (lines.c[name] for name in IN_TURN)
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
    ours = supplies.alias()
    same = sa.and_(Who.of(told).owns(ours), ours.c.kind == kind, ours.c.line == told.c.line)
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
            sa.func.max(told.c.since).label("since"),
            *_known_before(dialect, KNOWN, ours, told, same),
        )
        .group_by(told.c.bucket, told.c.customer_id, told.c.line)
        .subquery("news")
    )


def _lasting(kind: str, line: Any) -> sa.Select[Any]:
    """The kept lines among these, each with its supply and how many seconds it lasts."""
    goods = goods_of(kind)
    delivered = sa.case((line.c.delivered_at <= NOW, line.c.delivered_at), else_=line.c.purchased_at)
    return (
        sa.select(
            line.c.bucket,
            line.c.customer_id,
            goods.c.line,
            line.c.order_id,
            line.c.product_id,
            line.c.line_no,
            line.c.purchased_at,
            delivered.label("starts_at"),
            line.c.quantity,
            # Whole seconds as doubles: exact, and summed without PostgreSQL's slow numerics.
            sa.func.round(line.c.quantity * goods.c.piece_lasts, type_=sa.Double).label("lasts"),
            goods.c.unit_lasts,
            goods.c.basis,
            line.c.since,
        )
        .select_from(line.join(goods, goods.c.product_id == line.c.product_id))
        .where(bought(line))
    )
