"""Products as they were known at a time: price and stock by what is kept of their changes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr.tables import named, product_changes, products

NOW = sa.bindparam("known_at", type_=sa.BigInteger)
SINCE = sa.bindparam("known_since", type_=sa.BigInteger)
EVER = -1


def products_as_known(connection: Connection, *, at: int, since: int = EVER) -> None:
    """Give products the price and stock they had at an instant (seconds).

    With `since`, they are as known then, and only later changes are looked at. What never changed stays;
    stock of which nothing was known yet is not known.
    """
    for statement in _STATEMENTS:
        connection.execute(statement, {"known_at": at, "known_since": since})


def _changed(what: str) -> ColumnElement[bool]:
    change = named(product_changes, "change")
    return (
        sa.select(sa.literal(1))
        .select_from(change)
        .where(
            change.c.product_id == products.c.product_id, change.c.what == what, change.c.changed_at > SINCE
        )
        .exists()
    )


def _latest(what: str, column: str) -> Any:
    change = named(product_changes, "latest")
    return (
        sa.select(change.c[column])
        .where(change.c.product_id == products.c.product_id, change.c.what == what)
        .where(change.c.changed_at <= NOW)
        .order_by(change.c.changed_at.desc())
        .limit(1)
        .scalar_subquery()
    )


def _before_the_next(column: str) -> Any:
    change = named(product_changes, "next")
    return (
        sa.select(change.c[column])
        .where(change.c.product_id == products.c.product_id, change.c.what == "price")
        .where(change.c.changed_at > NOW, change.c.price_before.is_not(None))
        .order_by(change.c.changed_at)
        .limit(1)
        .scalar_subquery()
    )


def _statements() -> tuple[Any, ...]:
    stock = sa.update(products).values(in_stock=_latest("stock", "in_stock")).where(_changed("stock"))
    price = sa.func.coalesce(_latest("price", "price"), _before_the_next("price_before"), products.c.price)
    currency = sa.func.coalesce(
        _latest("price", "currency"), _before_the_next("currency"), products.c.currency
    )
    repriced = sa.update(products).values(price=price, currency=currency).where(_changed("price"))
    return stock, repriced


_STATEMENTS = _statements()
