"""The reference of ease: what somebody would write first, object by object through SQLAlchemy's ORM.

    python -m benchmarks.by_orm URL RULES.json [--evaluate SAMPLE [ahead]]

A run finds the due supplies by the same conditions as `by_hand` (so it is spared the loop over all
customers), and then works row by row: it gets the customer, product and address as objects, renders by
`Template.render` and adds a message object. It takes the whole of the playbooks, or as many as a sample of
messages needs.

An evaluation loops over customers with their purchases, as a first version without any SQL would: what a
customer has is loaded when it is asked for, or `ahead`, for a thousand customers at once. It is timed on a
sample and extrapolated to all customers by whoever asks. Prints one JSON line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import jinja2
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, relationship, selectinload

from benchmarks.playbooks import Rules, read_rules
from smr import tables


class Base(DeclarativeBase):
    """Classes on smr's tables."""

    metadata = tables.metadata


class Product(Base):
    """A product."""

    __table__ = tables.products


class Purchase(Base):
    """A purchase line and its product."""

    __table__ = tables.purchases
    product: Mapped[Product] = relationship(
        primaryjoin=tables.purchases.c.product_id == tables.products.c.product_id,
        foreign_keys=tables.purchases.c.product_id,
        viewonly=True,
    )


class Supply(Base):
    """A supply that runs out."""

    __table__ = tables.supplies


class Message(Base):
    """A message of the outbox."""

    __table__ = tables.messages


class Address(Base):
    """An address."""

    __table__ = tables.addresses


def _of_customer(table: sa.Table) -> Any:
    owner = tables.customers.c
    return sa.and_(table.c.bucket == owner.bucket, table.c.customer_id == owner.customer_id)


class Customer(Base):
    """A customer with everything they bought and have left."""

    __table__ = tables.customers
    purchases: Mapped[list[Purchase]] = relationship(
        primaryjoin=_of_customer(tables.purchases),
        foreign_keys=[tables.purchases.c.bucket, tables.purchases.c.customer_id],
        viewonly=True,
    )
    supplies: Mapped[list[Supply]] = relationship(
        primaryjoin=_of_customer(tables.supplies),
        foreign_keys=[tables.supplies.c.bucket, tables.supplies.c.customer_id],
        viewonly=True,
    )
    messages: Mapped[list[Message]] = relationship(
        primaryjoin=_of_customer(tables.messages),
        foreign_keys=[tables.messages.c.bucket, tables.messages.c.customer_id],
        viewonly=True,
    )


def main() -> None:
    """Open the database, run (or evaluate on a sample), print what was done."""
    url, path, *more = sys.argv[1:]
    rules = read_rules(path)
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with Session(engine) as session:
        told = evaluate(session, rules, int(more[1]), ahead="ahead" in more) if more else run(session, rules)
    print(json.dumps(told))


def run(session: Session, rules: Rules) -> dict[str, Any]:
    """All playbooks, one after the other, message by message."""
    environment = jinja2.Environment(autoescape=False)  # noqa: S701 - plain text
    environment.filters["day"] = lambda at: f"{at.month}月{at.day}日"
    template = environment.from_string(rules.template)
    count = 0
    for name, category, priority in rules.playbooks:
        for supply in session.scalars(_due(rules, category)).all():
            message = _message(session, rules, template, supply)
            if message is not None:
                message.playbook, message.priority = name, priority
                session.add(message)
                count += 1
        session.commit()
    return {"messages": count}


def _due(rules: Rules, category: str) -> sa.Select[Any]:
    supply, later, message, order = (
        tables.supplies.c,
        tables.purchases.alias(),
        tables.messages,
        tables.purchases.alias(),
    )

    def same(table: Any) -> Any:
        return sa.and_(table.c.bucket == supply.bucket, table.c.customer_id == supply.customer_id)

    of_category = sa.select(tables.products.c.product_id).where(tables.products.c.category == category)
    bought_again = sa.exists().where(
        same(later), later.c.purchased_at > supply.last_purchased_at, later.c.product_id.in_(of_category)
    )
    written_to = sa.exists().where(same(message), message.c.queued_at > _at(rules.capped_since))
    orders = sa.select(sa.func.count(sa.distinct(order.c.order_id))).where(
        same(order), order.c.purchased_at >= _at(rules.orders_since)
    )
    return sa.select(Supply).where(
        supply.kind == "category",
        supply.line == category,
        supply.runs_out_at > _at(rules.due_from),
        supply.runs_out_at < _at(rules.due_before),
        ~bought_again,
        ~written_to,
        orders.scalar_subquery() >= 2,
    )


def _message(session: Session, rules: Rules, template: jinja2.Template, supply: Any) -> Any:
    key = (supply.bucket, supply.customer_id)
    address: Any = session.get(Address, (*key, "wecom"))
    if address is None:
        return None
    customer: Any = session.get(Customer, key)
    product: Any = session.get(Product, supply.product_id)
    url = rules.reorder_url.format(product_id=product.product_id, customer_id=customer.customer_id)
    body = template.render(
        customer={"id": customer.customer_id, "name": customer.name},
        shop={"name": rules.shop},
        purchase={
            "date": supply.last_purchased_at + timedelta(hours=8),
            "quantity": f"{supply.quantity:g}",
        },
        product={"name": product.name, "category": product.category},
        reorder={"url": url},
    )
    anchor = f"{supply.order_id}/{supply.line}"
    digest = sha256(f"{supply.line}\0{customer.customer_id}\0{anchor}".encode()).hexdigest()
    return Message(
        bucket=supply.bucket,
        customer_id=supply.customer_id,
        step=rules.step,
        anchor=anchor,
        message_id=f"{supply.bucket:03x}{digest[:29]}",
        channel="wecom",
        address=address.address,
        purpose="marketing",
        body=body,
        due_at=supply.runs_out_at,
        send_after=_at(rules.now),
        expires_at=supply.runs_out_at + timedelta(seconds=rules.useful_for),
        state="queued",
        run_id=0,
        version="by orm",
        queued_at=_at(rules.now),
    )


def evaluate(session: Session, rules: Rules, sample: int, *, ahead: bool = False) -> dict[str, Any]:
    """The first playbook's rule over the first `sample` customers, each looked at as objects."""
    category = rules.playbooks[0][1]
    started = time.perf_counter()
    due = sum(_is_due(customer, rules, category) for customer in _customers(session, sample, ahead))
    return {"due": due, "sample": sample, "seconds": time.perf_counter() - started}


def _customers(session: Session, sample: int, ahead: bool) -> Iterator[Any]:
    query = (
        sa.select(Customer).order_by(tables.customers.c.bucket, tables.customers.c.customer_id).limit(sample)
    )
    loads = [selectinload(getattr(Customer, name)) for name in ("supplies", "messages")] if ahead else []
    if ahead:
        loads.append(selectinload(Customer.purchases).selectinload(Purchase.product))
    yield from session.scalars(query.options(*loads).execution_options(yield_per=1000))


def _is_due(customer: Any, rules: Rules, category: str) -> bool:
    supply = next((supply for supply in customer.supplies if supply.line == category), None)
    if supply is None or not _at(rules.due_from) < supply.runs_out_at < _at(rules.due_before):
        return False
    for purchase in customer.purchases:
        if purchase.product.category == category and purchase.purchased_at > supply.last_purchased_at:
            return False
    if any(message.queued_at > _at(rules.capped_since) for message in customer.messages):
        return False
    since = _at(rules.orders_since)
    return len({bought.order_id for bought in customer.purchases if bought.purchased_at >= since}) >= 2


def _at(stored: int) -> datetime:
    return datetime.fromtimestamp(stored, UTC)


if __name__ == "__main__":
    main()
