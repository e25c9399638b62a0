"""What counts as a purchase: sold, not refunded, not later than now; and which goods it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause

from smr.conditions.model import Goods
from smr.tables import cycles, named, products, purchases, refunds, roles

NOW: sa.BindParameter[int] = sa.bindparam("now", type_=sa.BigInteger)
"""The instant of the run, whole seconds; bound at execution so that statements are compiled once."""


class Who(NamedTuple):
    """The customer in question: both columns by which customer-owned tables are joined.

    `reminder` is the playbook, step and anchor that is being judged: its own message is not counted.
    `known` has the columns in which the statement has measures of the customer at hand.
    """

    bucket: ColumnElement[Any]
    customer_id: ColumnElement[Any]
    reminder: tuple[ColumnElement[Any], ColumnElement[Any], ColumnElement[Any]] | None = None
    known: Mapping[Any, ColumnElement[Any]] | None = None

    @classmethod
    def of(cls, source: FromClause) -> Who:
        """The customer of a row of that table or subquery."""
        return cls(source.c.bucket, source.c.customer_id)

    @classmethod
    def of_candidate(cls, candidate: FromClause) -> Who:
        """The customer of a candidate that is being judged."""
        c = candidate.c
        return cls(c.bucket, c.customer_id, (c.playbook, c.step, c.anchor))

    def owns(self, source: FromClause) -> ColumnElement[bool]:
        """Whether that row is the customer's."""
        return sa.and_(source.c.bucket == self.bucket, source.c.customer_id == self.customer_id)


def refunded_quantity(line: FromClause) -> ColumnElement[float]:
    """How many pieces of a purchase line were taken back by now."""
    back = named(refunds, "back")
    total = sa.func.sum(sa.func.coalesce(back.c.quantity, line.c.quantity))
    return _of_line(sa.func.coalesce(total, 0.0), line, back)


def refunded_amount(line: FromClause) -> ColumnElement[int]:
    """How much of a line's money was paid back by now; in proportion where the refund names no amount."""
    back = named(refunds, "back")
    share = sa.func.coalesce(back.c.quantity, line.c.quantity) / line.c.quantity
    in_proportion = sa.cast(sa.func.round(line.c.amount * share), sa.BigInteger)
    total = sa.func.sum(sa.func.coalesce(back.c.amount, in_proportion))
    return _of_line(sa.func.coalesce(total, 0), line, back)


def _of_line(value: ColumnElement[Any], line: FromClause, back: FromClause) -> ColumnElement[Any]:
    return sa.select(value).where(_same_line(line, back)).correlate(line).scalar_subquery()


def _same_line(line: FromClause, back: FromClause) -> ColumnElement[bool]:
    return sa.and_(
        Who.of(line).owns(back),
        back.c.order_id == line.c.order_id,
        back.c.product_id == line.c.product_id,
        back.c.line_no == line.c.line_no,
        back.c.refunded_at <= NOW,
    )


def has_refunds(line: FromClause) -> ColumnElement[bool]:
    """Whether anything of a line was taken back: quicker to ask than how much, and mostly no."""
    back = named(refunds, "any_back")
    return sa.select(sa.literal(1)).select_from(back).where(_same_line(line, back)).correlate(line).exists()


def kept_quantity(line: FromClause) -> ColumnElement[float]:
    """Pieces of a line that the customer kept, never below zero."""
    left = line.c.quantity - refunded_quantity(line)
    return sa.case((sa.not_(has_refunds(line)), line.c.quantity), (left > 0, left), else_=0.0)


def sold(line: FromClause) -> ColumnElement[bool]:
    """Whether a line is a sale known by now; samples and gifts are not."""
    return sa.and_(line.c.purchased_at <= NOW, sa.or_(line.c.kind.is_(None), line.c.kind == "sale"))


def kept(line: FromClause) -> ColumnElement[bool]:
    """Whether a line is a sale known by now of which something was kept."""
    something = sa.or_(sa.not_(has_refunds(line)), line.c.quantity > refunded_quantity(line))
    return sa.and_(sold(line), something)


def category_of(product: FromClause, entry: FromClause) -> ColumnElement[str]:
    """A product's category: the catalog's word before the imported one."""
    return sa.func.coalesce(entry.c.category, product.c.category)


def products_of(categories: Sequence[str]) -> sa.Select[tuple[str]]:
    """The ids of the products of these categories."""
    entry = named(cycles, "entry")
    return (
        sa.select(products.c.product_id)
        .select_from(
            products.outerjoin(
                entry, sa.and_(entry.c.kind == "product", entry.c.line == products.c.product_id)
            )
        )
        .where(category_of(products, entry).in_(categories))
    )


def products_in_role(names: Sequence[str]) -> sa.Select[tuple[str]]:
    """The ids of the products that play one of these parts, by themselves or by their category."""
    entry, part = named(cycles, "role_entry"), named(roles, "part")
    line = sa.case((part.c.kind == "category", category_of(products, entry)), else_=products.c.product_id)
    return (
        sa.select(products.c.product_id)
        .select_from(
            products.outerjoin(
                entry, sa.and_(entry.c.kind == "product", entry.c.line == products.c.product_id)
            ).join(part, part.c.line == line)
        )
        .where(part.c.role.in_(names))
    )


def of_goods(product_id: ColumnElement[Any], goods: Goods) -> list[ColumnElement[bool]]:
    """The conditions that a product is among these goods; none where all count."""
    found: list[ColumnElement[bool]] = []
    if goods.product is not None:
        found.append(product_id.in_(goods.product))
    if goods.category is not None:
        found.append(product_id.in_(products_of(goods.category)))
    if goods.role is not None:
        found.append(product_id.in_(products_in_role(goods.role)))
    return [sa.or_(*found)] if found else []


def line_products(
    kind: ColumnElement[Any], line: ColumnElement[Any], product_id: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Whether a product belongs to a followed line, a category or a product itself."""
    goods, entry = named(products, "goods"), named(cycles, "goods_entry")
    in_category = (
        sa.select(sa.literal(1))
        .select_from(
            goods.outerjoin(entry, sa.and_(entry.c.kind == "product", entry.c.line == goods.c.product_id))
        )
        .where(goods.c.product_id == product_id, category_of(goods, entry) == line)
        # Stands two levels inside a statement, where correlation does not come by itself.
        .correlate_except(goods, entry)
        .exists()
    )
    return sa.case((kind == "category", in_category), else_=product_id == line)


def purchased(
    who: Who, goods: Goods, within: int | None = None
) -> tuple[FromClause, list[ColumnElement[bool]]]:
    """The customer's kept purchase lines of these goods: the table to select from, and the conditions."""
    line = named(purchases, "bought")
    conditions = [who.owns(line), kept(line), *of_goods(line.c.product_id, goods)]
    if within is not None:
        conditions.append(line.c.purchased_at > NOW - within)
    return line, conditions
