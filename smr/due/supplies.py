"""When each supply runs out: stock at home after the last purchase, times how long a unit lasts.

A purchase adds to what is left. With purchases 1..n of a line at times t and lasting d (quantity × units
× how long one unit lasts), what is left after purchase n runs out at

    r(n) = max(r(n-1), t(n)) + d(n)   =   D(n) + max over k of (t(k) − D(k−1)),   D(k) = d(1) + … + d(k)

which two running windows compute for all customers at once. Refunded pieces, samples and gifts are no
purchases. The clock starts at delivery where it is known. Only customers whose facts changed are computed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr.conditions.purchases import NOW, Who, category_of, kept_quantity, sold
from smr.database import insert_missing, insert_or_update
from smr.due.catalog import EVERYTHING
from smr.playbook.model import Library
from smr.tables import buyers, changed_customers, customers, cycles, products, purchases, refunds, supplies

LOW = sa.bindparam("low", type_=sa.Integer)
HIGH = sa.bindparam("high", type_=sa.Integer)
RUN = sa.bindparam("run", type_=sa.BigInteger)
REBUILD = 0
"""The import number of marks that no import made."""

KINDS = {"category": ("category",), "product": ("product",), "both": ("category", "product")}
"""Which kinds of line each `track` follows."""

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


def refresh(connection: Connection, library: Library, *, now: int, run_id: int, low: int, high: int) -> int:
    """Bring buyers and supplies up to now for the changed customers in buckets low..high.

    Returns how many marks were worked off. Facts that come into force later than `now` keep their mark.
    """
    bound = {"now": now, "run": run_id, "low": low, "high": high}
    taken = connection.execute(_take(), bound).rowcount
    if not taken:
        return 0
    for statement in _statements(connection.dialect.name, library.catalog.track):
        connection.execute(statement, bound)
    return int(taken)


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


def _take() -> Any:
    return (
        sa.update(changed_customers).values(taken_by=RUN).where(changed_customers.c.bucket.between(LOW, HIGH))
    )


@cache
def _statements(dialect: str, track: str) -> list[Any]:
    kinds = KINDS[track]
    found: list[Any] = [_forget_buyers(), _buyers(dialect), _forget_untracked(kinds), _forget_returned()]
    found += [_supplies(dialect, kind) for kind in kinds]
    return [*found, _done()]


def _taken(source: Any) -> ColumnElement[bool]:
    mark = changed_customers.alias()
    return sa.select(sa.literal(1)).where(Who.of(source).owns(mark), mark.c.taken_by == RUN).exists()


def _taken_customers() -> sa.Subquery:
    mark = changed_customers
    return (
        sa.select(mark.c.bucket, mark.c.customer_id)
        .where(mark.c.bucket.between(LOW, HIGH), mark.c.taken_by == RUN)
        .distinct()
        .subquery("taken")
    )


def _in_slice(table: sa.Table) -> ColumnElement[bool]:
    return table.c.bucket.between(LOW, HIGH)


def _buyers(dialect: str) -> Any:
    taken = _taken_customers()
    line = purchases.alias()
    select = (
        sa.select(
            taken.c.bucket,
            taken.c.customer_id,
            sa.func.count(line.c.order_id.distinct()),
            sa.func.min(line.c.purchased_at),
            sa.func.max(line.c.purchased_at),
        )
        .select_from(taken.join(line, Who.of(taken).owns(line)))
        .where(sold(line), kept_quantity(line) > 0)
        .group_by(taken.c.bucket, taken.c.customer_id)
    )
    columns = ["bucket", "customer_id", "orders", "first_purchased_at", "last_purchased_at"]
    return insert_or_update(dialect, buyers, columns=columns, select=select, update=columns[2:])


def _forget_buyers() -> Any:
    """Buyers who may have nothing left: those with refunds, or known only from facts later than now."""
    back = refunds.alias()
    returned = sa.select(sa.literal(1)).where(Who.of(buyers).owns(back)).exists()
    return sa.delete(buyers).where(
        _in_slice(buyers), _taken(buyers), sa.or_(returned, buyers.c.last_purchased_at > NOW)
    )


def _forget_returned() -> Any:
    """Supplies that a refund, a changed catalog or a clock set back may have ended."""
    back, mark = refunds.alias(), changed_customers.alias()
    who = Who.of(supplies)
    returned = sa.select(sa.literal(1)).where(who.owns(back)).exists()
    rebuilt = (
        sa.select(sa.literal(1))
        .where(who.owns(mark), mark.c.taken_by == RUN, mark.c.import_id == REBUILD)
        .exists()
    )
    return sa.delete(supplies).where(_in_slice(supplies), _taken(supplies), sa.or_(returned, rebuilt))


def _forget_untracked(kinds: tuple[str, ...]) -> Any:
    return sa.delete(supplies).where(_in_slice(supplies), _taken(supplies), supplies.c.kind.not_in(kinds))


def _supplies(dialect: str, kind: str) -> Any:
    lines = _lines(kind).subquery("bought")
    order = [lines.c.purchased_at, lines.c.order_id, lines.c.product_id, lines.c.line_no]
    window: dict[str, Any] = {
        "partition_by": [lines.c.bucket, lines.c.customer_id, lines.c.line],
        "order_by": order,
    }
    running = {**window, "rows": (None, 0)}
    summed = sa.select(
        *lines.c,
        sa.func.sum(lines.c.lasts).over(**running).label("stock"),
    ).subquery("summed")
    again: dict[str, Any] = {
        "partition_by": [summed.c.bucket, summed.c.customer_id, summed.c.line],
        "order_by": [summed.c.purchased_at, summed.c.order_id, summed.c.product_id, summed.c.line_no],
    }
    ended = sa.select(
        *summed.c,
        sa.func.max(summed.c.starts_at - summed.c.stock + summed.c.lasts)
        .over(**again, rows=(None, 0))
        .label("begun"),
        sa.func.row_number().over(**again).label("purchases"),
        sa.func.lead(summed.c.line_no).over(**again).label("next_line"),
    ).subquery("ended")
    select = sa.select(
        ended.c.bucket,
        ended.c.customer_id,
        sa.literal(kind, sa.Text),
        ended.c.line,
        ended.c.order_id,
        ended.c.purchased_at,
        ended.c.product_id,
        ended.c.quantity,
        ended.c.purchases,
        sa.cast(ended.c.begun + ended.c.stock, sa.BigInteger),
        ended.c.unit_lasts,
        ended.c.basis,
    ).where(ended.c.next_line.is_(None))
    changing = SUPPLY_COLUMNS[4:]
    return insert_or_update(
        dialect,
        supplies,
        columns=SUPPLY_COLUMNS,
        select=select,
        update=changing,
        where=lambda new: sa.or_(*(supplies.c[name].is_distinct_from(new[name]) for name in changing)),
    )


def _lines(kind: str) -> sa.Select[Any]:
    """Kept purchase lines of taken customers, each with its line and how many seconds it lasts."""
    taken = _taken_customers()
    bought, product = purchases.alias(), products.alias()
    entry, of_category, default = cycles.alias(), cycles.alias(), cycles.alias()
    category = category_of(product, entry)
    unit_lasts = sa.func.coalesce(entry.c.unit_lasts, of_category.c.unit_lasts, default.c.unit_lasts)
    basis = sa.case(
        (entry.c.unit_lasts.is_not(None), "product"),
        (of_category.c.unit_lasts.is_not(None), "category"),
        else_="default",
    )
    quantity = kept_quantity(bought)
    units = sa.func.coalesce(entry.c.units, product.c.units, 1.0)
    line = category if kind == "category" else bought.c.product_id
    delivered = sa.case((bought.c.delivered_at <= NOW, bought.c.delivered_at), else_=bought.c.purchased_at)
    joined = (
        taken.join(bought, Who.of(taken).owns(bought))
        .join(product, product.c.product_id == bought.c.product_id)
        .outerjoin(entry, sa.and_(entry.c.kind == "product", entry.c.line == bought.c.product_id))
        .outerjoin(of_category, sa.and_(of_category.c.kind == "category", of_category.c.line == category))
        .outerjoin(default, sa.and_(default.c.kind == "default", default.c.line == EVERYTHING))
    )
    return (
        sa.select(
            bought.c.bucket,
            bought.c.customer_id,
            line.label("line"),
            bought.c.order_id,
            bought.c.product_id,
            bought.c.line_no,
            sa.type_coerce(bought.c.purchased_at, sa.BigInteger).label("purchased_at"),
            sa.type_coerce(delivered, sa.BigInteger).label("starts_at"),
            quantity.label("quantity"),
            sa.cast(sa.func.round(quantity * units * unit_lasts), sa.BigInteger).label("lasts"),
            unit_lasts.label("unit_lasts"),
            basis.label("basis"),
        )
        .select_from(joined)
        .where(sold(bought), quantity > 0, unit_lasts.is_not(None), line.is_not(None))
    )


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
