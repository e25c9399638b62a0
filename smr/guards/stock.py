"""Whether what a message is about can be bought, and what is offered where it cannot.

A product is out of stock where an import said so; where nobody said, it counts as in stock. A step whose text
speaks of what is `offer`ed may offer a substitute that is in stock: the catalog's before the imported ones,
each in its order. Right before sending it is what the message offers that has to be in stock.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.guards.verdict import Bench
from smr.playbook.model import asks_for_stock
from smr.tables import named, products, substitutes

OFFER = "offer"
"""The name by which a template speaks of what is offered."""


def out_of_stock(candidate: Any, bench: Bench) -> ColumnElement[bool] | None:
    """What would be offered cannot be bought."""
    if not asks_for_stock(bench.playbook):
        return None
    if bench.sending:
        return _is_gone(sa.func.coalesce(candidate.c.offer_id, candidate.c.product_id))
    gone = _is_gone(candidate.c.product_id)
    if not offers(bench):
        return gone
    return sa.and_(gone, _substitute(candidate).is_(None))


def offered(candidate: Any, bench: Bench) -> ColumnElement[Any]:
    """The substitute that is offered; NULL where the product itself is."""
    if not (asks_for_stock(bench.playbook) and offers(bench)):
        return sa.cast(sa.null(), sa.Text)
    return sa.case((_is_gone(candidate.c.product_id), _substitute(candidate)))


def offers(bench: Bench) -> bool:
    """Whether a text of the step names what is offered."""
    return bench.library.speaks_of(bench.step, OFFER)


def _is_gone(product_id: Any) -> ColumnElement[bool]:
    product = named(products, "asked")
    gone = sa.and_(product.c.product_id == product_id, product.c.in_stock.is_(sa.false()))
    return sa.select(sa.literal(1)).select_from(product).where(gone).correlate_except(product).exists()


def _substitute(candidate: Any) -> ColumnElement[Any]:
    other, instead = named(products, "other"), named(substitutes, "instead")
    there = sa.func.coalesce(other.c.in_stock, sa.true())
    return (
        sa.select(instead.c.substitute_id)
        .select_from(instead.join(other, other.c.product_id == instead.c.substitute_id))
        .where(instead.c.product_id == candidate.c.product_id, there)
        .order_by(instead.c.source, instead.c.place)
        .limit(1)
        .correlate_except(instead, other)
        .scalar_subquery()
    )
