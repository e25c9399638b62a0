"""Ordered rows of facts → the tables, a slice at a time, each slice in its own transaction.

In one transaction with the facts: the customers nobody knew, and the mark of whoever has something new.
A row whose key is stored is unchanged, completes what was empty, or differs; the last is set aside.
Killed between two slices, a second import of the same source does the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.database import Session, insert_missing, insert_or_update, temporary
from smr.facts.chunks import Rejection
from smr.facts.hearing import HearingOf
from smr.facts.shapes import Shape
from smr.facts.staging import Slice, in_pieces, near, ordered_like, put_in_order, within
from smr.tables import NEVER, changed_customers, customers, products, purchases, refunds

Merged = tuple[int, int, int, list[Rejection]]
"""New, completed and unchanged rows, and those that differ."""


def staged_table(shape: Shape) -> sa.Table:
    """Where the rows of this shape wait."""
    columns = [sa.Column(column.name, column.type) for column in shape.table.columns]
    return temporary("staged", sa.Column("line", sa.BigInteger), sa.Column("dice", sa.Integer), *columns)


staged_products = temporary(
    "staged_products",
    sa.Column("product_id", products.c.product_id.type),
    sa.Column("category", products.c.category.type),
)


def order_rows(session: Session, shape: Shape, staged: sa.Table) -> sa.Table:
    """Put the staged rows in the order of their key, and number the lines that have no number."""
    ordered = ordered_like(staged)
    ordered_key = [staged.c[column.name] for column in shape.table.primary_key.columns]
    columns: dict[str, Any] = {column.name: column for column in staged.columns}
    if shape.numbered:
        ordered_key.remove(staged.c.line_no)
        number = sa.func.row_number().over(partition_by=ordered_key, order_by=staged.c.line)
        columns["line_no"] = sa.func.coalesce(staged.c.line_no, number)
    with session.aside() as connection:
        ordered.create(connection)
    put_in_order(session, staged, ordered, list(columns.values()), [*ordered_key, staged.c.line])
    return ordered


class Merge:
    """The statements that bring slices of ordered rows into the table of a shape."""

    def __init__(
        self,
        shape: Shape,
        ordered: sa.Table,
        import_id: int,
        dialect: str,
        hearing: HearingOf | None = None,
    ) -> None:
        self._hearing = hearing
        self._shape = shape
        self._ordered = ordered
        self._target = shape.table
        self._within = within(ordered)
        keys = (ordered.c[column.name] == column for column in shape.table.primary_key.columns)
        self._same_key = sa.and_(*keys, near(dialect, shape.table))
        self._see_customers = see_customers(dialect, ordered, ordered.c[shape.at])
        self._insert = self._insert_rows(dialect)
        self._mark_new = self._mark(dialect, import_id, ~sa.exists().where(self._same_key))
        self._mark_completed = self._mark(dialect, import_id, sa.exists().where(self._completes()))
        self._complete = self._complete_rows()
        self._differing = self._differing_rows()

    def slice(self, connection: Connection, piece: Slice) -> Merged:
        """Merge one slice, inside the caller's transaction."""
        cut = piece.bounds
        connection.execute(self._see_customers, cut)
        connection.execute(self._mark_new, cut)
        heard = self._hearing.of_new(connection, cut) if self._hearing else ()
        new = _count(connection, self._insert, cut)
        if self._hearing:
            self._hearing.record(connection, heard)
        completed = 0
        differing: list[Rejection] = []
        if new < piece.rows and self._shape.compared:
            connection.execute(self._mark_completed, cut)
            completed = _count(connection, self._complete, cut)
            differing = [] if self._shape.latest else self._rejections(connection, cut)
        return new, completed, piece.rows - new - completed - len(differing), differing

    def _mark(self, dialect: str, import_id: int, condition: Any) -> Any:
        ordered = self._ordered
        since: Any = sa.literal(NEVER, sa.BigInteger)
        if self._shape.table is purchases:
            since = sa.func.min(ordered.c.purchased_at)
        elif self._shape.table is refunds:
            since = sa.cast(sa.null(), sa.BigInteger)
        who = sa.select(ordered.c.bucket, ordered.c.customer_id, sa.literal(import_id, sa.BigInteger), since)
        return insert_or_update(
            dialect,
            changed_customers,
            columns=("bucket", "customer_id", "import_id", "bought_since"),
            select=who.where(self._within, condition).group_by(ordered.c.bucket, ordered.c.customer_id),
            update=("bought_since",),
            where=lambda told: told.bought_since < changed_customers.c.bought_since,
        )

    def _insert_rows(self, dialect: str) -> Any:
        names = self._shape.columns
        rows = sa.select(*(self._ordered.c[name] for name in names)).where(self._within)
        rows = rows.order_by(self._ordered.c.position)
        return insert_missing(dialect, self._target, columns=names, select=rows)

    def _complete_rows(self) -> Any:
        new, old = self._ordered.c, self._target.c
        if self._shape.latest:
            told = {name: new[name] for name in self._shape.compared}
            return sa.update(self._target).values(told).where(self._within, self._completes())
        filled = {name: sa.func.coalesce(old[name], new[name]) for name in self._fillable()}
        if not filled:
            return None
        return sa.update(self._target).values(filled).where(self._within, self._completes())

    def _fillable(self) -> list[str]:
        return [name for name in self._shape.compared if self._target.c[name].nullable]

    def _completes(self) -> Any:
        """The stored row agrees with the new one in all both have, and lacks something the new one has.

        Where the latest counts: it is not as the last row of its key.
        """
        new, old = self._ordered.c, self._target.c
        if self._shape.latest:
            unlike = sa.or_(*(new[name].is_distinct_from(old[name]) for name in self._shape.compared))
            return sa.and_(self._same_key, unlike, self._is_last())
        gains = (sa.and_(old[name].is_(None), new[name].is_not(None)) for name in self._fillable())
        return sa.and_(self._same_key, sa.not_(self._differs()), sa.or_(sa.false(), *gains))

    def _is_last(self) -> Any:
        """Rows of one key lie side by side, in the order of the source."""
        after = self._ordered.alias("after")
        key = [column.name for column in self._target.primary_key.columns]
        same = sa.and_(*(after.c[name] == self._ordered.c[name] for name in key))
        following = after.c.position == self._ordered.c.position + 1
        return ~sa.exists().where(following, same)

    def _differs(self) -> Any:
        """Both rows have a value, and not the same."""
        pairs = ((self._ordered.c[name], self._target.c[name]) for name in self._shape.compared)
        unlike = (sa.and_(new.is_not(None), old.is_not(None), new != old) for new, old in pairs)
        return sa.or_(sa.false(), *unlike)

    def _differing_rows(self) -> Any:
        keys = [column.name for column in self._target.primary_key.columns if column.name != "bucket"]
        columns: list[Any] = [self._ordered.c[name] for name in keys]
        for name in self._shape.compared:
            columns += [self._ordered.c[name].label(f"{name} new"), self._target.c[name].label(f"{name} old")]
        joined = self._ordered.join(self._target, self._same_key)
        select = sa.select(self._ordered.c.line, *columns).select_from(joined)
        return select.where(self._within, self._differs()).order_by(self._ordered.c.line)

    def _rejections(self, connection: Connection, cut: dict[str, int]) -> list[Rejection]:
        return [self._rejection(row) for row in connection.execute(self._differing, cut).mappings()]

    def _rejection(self, row: Any) -> Rejection:
        pairs = ((name, row[f"{name} new"], row[f"{name} old"]) for name in self._shape.compared)
        unlike = [
            f"{name} is {_said(new)} here and {_said(old)} in the database"
            for name, new, old in pairs
            if new is not None and old is not None and new != old
        ]
        keys = (column.name for column in self._target.primary_key.columns if column.name != "bucket")
        content = ", ".join(f"{name}={row[name]}" for name in keys)
        return Rejection(row["line"], "differs", "; ".join(unlike), content)


def see_customers(dialect: str, ordered: sa.Table, at: Any) -> Any:
    """Store customers nobody knew; who was known is first seen at the earliest time told."""
    key = (ordered.c.bucket, ordered.c.customer_id)
    seen = sa.select(*key, sa.func.min(ordered.c.dice), sa.func.min(at)).where(within(ordered)).group_by(*key)
    seen = seen.order_by(*key)  # in one order everywhere: two imports at once wait, and do not deadlock
    return insert_or_update(
        dialect,
        customers,
        columns=("bucket", "customer_id", "dice", "first_seen_at"),
        select=seen,
        update=("first_seen_at",),
        where=lambda told: told.first_seen_at < customers.c.first_seen_at,
    )


def see_products(connection: Connection, import_id: int) -> None:
    """Store products nobody knew, and categories of products that had none; their buyers have changed."""
    told = sa.select(staged_products.c.product_id, sa.func.min(staged_products.c.category))
    told = told.group_by(staged_products.c.product_id).order_by(staged_products.c.product_id)
    dialect = connection.dialect.name
    gained = sa.exists().where(
        staged_products.c.product_id == products.c.product_id,
        staged_products.c.category.is_not(None),
        products.c.category.is_(None),
    )
    regrouped = connection.scalars(sa.select(products.c.product_id).where(gained)).all()
    mark_buyers(connection, import_id, regrouped)
    connection.execute(
        insert_or_update(
            dialect,
            products,
            columns=("product_id", "category"),
            select=told,
            update=("category",),
            where=lambda told: sa.and_(products.c.category.is_(None), told.category.is_not(None)),
        )
    )


def mark_buyers(connection: Connection, import_id: int, product_ids: Sequence[str]) -> None:
    """Mark everyone who bought one of these products: what the products are has changed."""
    for piece in in_pieces(product_ids, 500):
        who = sa.select(purchases.c.bucket, purchases.c.customer_id, sa.literal(import_id, sa.BigInteger))
        who = who.where(purchases.c.product_id.in_(piece)).distinct()
        columns = ("bucket", "customer_id", "import_id")
        connection.execute(
            insert_missing(connection.dialect.name, changed_customers, columns=columns, select=who)
        )


def _count(connection: Connection, statement: Any, cut: dict[str, int]) -> int:
    if statement is None:
        return 0
    return connection.execute(statement, cut, execution_options={"preserve_rowcount": True}).rowcount


def _said(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)[:80]
