"""The purchase lines that a refresh looks at: those of changed customers, from the earliest change on.

In: the marks in `changed_customers` that a run has taken. Out: `looked_at`, one row for each line, with how
much of it the customer kept, whether it is known by now or still to come. On SQLite the rows wait in a
temporary table, for buyers, each kind of supply and the marks ask for them; so their pages are read once.
PostgreSQL reads them where they are: spread by Citus, each shard its own.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.conditions.purchases import NOW, Who, kept_quantity, sold
from smr.database import temporary
from smr.due.rhythms import HIGH, LOW, RUN
from smr.tables import changed_customers, purchases, refunds

WAITING = temporary(
    "looked_at",
    sa.Column("bucket", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("customer_id", sa.Text, primary_key=True),
    sa.Column("purchased_at", sa.BigInteger, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("order_id", "product_id")),
    sa.Column("line_no", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("delivered_at", sa.BigInteger),
    sa.Column("kind", sa.Text),
    sa.Column("quantity", sa.Double),
    sa.Column("since", sa.BigInteger),
    sqlite_with_rowid=False,
)
"""Lines as they wait on SQLite, of each customer in turn; empty between transactions."""

IN_TURN = ("purchased_at", "order_id", "product_id", "line_no")
"""How a customer's purchases follow each other."""


@cache
def looked_at(dialect: str) -> sa.FromClause:
    """The lines, from where they wait or where they are."""
    return WAITING if dialect == "sqlite" else _lines_of(_taken_customers()).subquery("looked_at")


@cache
def put_aside() -> Any:
    """Have the lines wait."""
    names = [column.name for column in WAITING.columns]
    return sa.insert(WAITING).from_select(names, _lines_of(_taken_customers()))


def all_lines() -> sa.FromClause:
    """Every line of everybody."""
    someone = purchases.alias("someone")
    nothing_known = sa.cast(sa.null(), sa.BigInteger).label("since")
    everyone = sa.select(someone.c.bucket, someone.c.customer_id, nothing_known).distinct()
    return _lines_of(everyone.subquery("everyone")).subquery("looked_at")


def bought(line: Any) -> ColumnElement[bool]:
    """Whether a line that is looked at is a sale known by now of which something was kept."""
    return sa.and_(sold(line), line.c.quantity > 0)


@cache
def marks_done(dialect: str) -> Any:
    """Take the marks off, save those of customers with facts still to come into force.

    What is still to come is always looked at: the mark that told of it is there until it has come.
    """
    mark, back = changed_customers, refunds.alias()
    line: Any = WAITING if dialect == "sqlite" else purchases.alias()
    who = Who.of(mark)
    later = sa.or_(line.c.purchased_at > NOW, line.c.delivered_at > NOW)
    to_come = sa.or_(
        sa.select(sa.literal(1)).select_from(line).where(who.owns(line), later).exists(),
        sa.select(sa.literal(1)).where(who.owns(back), back.c.refunded_at > NOW).exists(),
    )
    return sa.delete(mark).where(mark.c.bucket.between(LOW, HIGH), mark.c.taken_by == RUN, sa.not_(to_come))


def _taken_customers() -> sa.Subquery:
    """Customers to be looked at, `since` when their purchases may differ; empty: all of them may."""
    mark = changed_customers.alias("mark")
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


def _lines_of(taken: Any) -> sa.Select[Any]:
    line = purchases.alias("bought")
    is_news = sa.or_(taken.c.since.is_(None), line.c.purchased_at >= taken.c.since)
    columns: dict[str, Any] = {
        **{name: line.c[name] for name in ("bucket", "customer_id", "order_id", "product_id", "line_no")},
        **{name: sa.type_coerce(line.c[name], sa.BigInteger) for name in ("purchased_at", "delivered_at")},
        "kind": line.c.kind,
        "quantity": kept_quantity(line),
        "since": taken.c.since,
    }
    return (
        sa.select(*(columns[column.name].label(column.name) for column in WAITING.columns))
        .select_from(taken.join(line, Who.of(taken).owns(line)))
        .where(is_news)
    )
