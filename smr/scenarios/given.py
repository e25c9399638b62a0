"""The facts of a scenario, put straight into the tables.

In: what is given, the shop's settings. Out: rows, and the marks of changed customers. Facts lie at their
own times; a run sees those up to its `now`. What has no time (addresses, consents and tags of a customer)
holds from `beginning`, a day before the first time the scenario names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock, tables
from smr.chat import Listener, Topic
from smr.database import insert_missing
from smr.facts.cells import minor_units
from smr.facts.heard import Mention, heard_in, record
from smr.scenarios.model import Given, GivenCustomer, GivenPurchase, GivenRefund, Scenario, clock_of
from smr.settings import Settings
from smr.tables import bucket_of, dice_of

SOURCE = "scenario"
EVERY = "*"
Row = dict[str, Any]


def beginning(scenario: Scenario, settings: Settings) -> datetime:
    """A day before anything that the scenario names."""
    given = scenario.given
    texts = [scenario.live_since, *(expectation.at for expectation in scenario.expect)]
    texts += [fact.at for fact in given.purchases] + [fact.at for fact in given.refunds]
    texts += [fact.at for fact in given.consents] + [fact.at for fact in given.tags]
    texts += [fact.at for fact in given.changes]
    texts += [fact.at for fact in given.interactions]
    return min(clock_of(text, settings.shop.tz) for text in texts if text) - timedelta(days=1)


def put_given(
    connection: Connection, scenario: Scenario, settings: Settings, topics: Mapping[str, Topic]
) -> None:
    """Write the facts of a scenario into an empty database; chat is listened to for these topics."""
    rows = _Rows(scenario.given, settings, beginning(scenario, settings))
    changed = [{"customer_id": customer.id, "import_id": 1} for customer in scenario.given.customers]
    shared = {
        tables.products: list(rows.products()),
        tables.product_changes: list(rows.product_changes()),
        tables.substitutes: list(rows.substitutes()),
        tables.staff: [{"staff_id": key, "name": name} for key, name in scenario.given.staff.items()],
        tables.stores: [{"store_id": key, "name": name} for key, name in scenario.given.stores.items()],
        tables.calendar: list(rows.calendar()),
    }
    owned = {
        tables.customers: list(rows.customers()),
        tables.addresses: list(rows.addresses()),
        tables.consents: list(rows.consents()),
        tables.tags: list(rows.tags()),
        tables.purchases: list(rows.purchases()),
        tables.refunds: list(rows.refunds()),
        tables.interactions: list(rows.interactions()),
        tables.changed_customers: changed,
    }
    for table, given in owned.items():
        shared[table] = [{"bucket": bucket_of(row["customer_id"]), **row} for row in given]
    for table, given in shared.items():
        _insert(connection, table, given)
    listener = Listener(topics)
    record(connection, listener, [one for said in rows.interactions() for one in _mentions(listener, said)])


def _insert(connection: Connection, table: sa.Table, rows: list[Row]) -> None:
    if rows:
        connection.execute(insert_missing(connection.dialect.name, table), rows)


def _mentions(listener: Listener, said: Row) -> Iterator[Mention]:
    customer, at = said["customer_id"], clock.seconds(said["happened_at"])
    for topic, word in heard_in(listener, said["kind"], said["content"]):
        yield Mention(bucket_of(customer), customer, topic, said["interaction_id"], at, word)


class _Rows:
    """The rows of what is given."""

    def __init__(self, given: Given, settings: Settings, begin: datetime) -> None:
        self.given = given
        self.settings = settings
        self.begin = begin

    def at(self, text: str | None) -> datetime:
        return self.begin if text is None else clock_of(text, self.settings.shop.tz)

    def until(self, text: str | None) -> datetime | None:
        return None if text is None else self.at(text)

    def money(self, price: Decimal | None, quantity: Decimal = Decimal(1)) -> int | None:
        return None if price is None else minor_units(price * quantity, self.settings.shop.currency)

    def calendar(self) -> Iterator[Row]:
        for kind, days in (("holiday", self.given.holidays), ("workday", self.given.workdays)):
            yield from ({"day": day.isoformat(), "kind": kind, "name": ""} for day in days)
        for name, day in self.given.festivals.items():
            yield {"day": day.isoformat(), "kind": "festival", "name": name}

    def products(self) -> Iterator[Row]:
        """The listed ones, then those that only purchases name."""
        seen = set()
        for product in self.given.products:
            seen.add(product.id)
            yield self.product(product.id, product.category, product.name, product.price, product.units)
        for purchase in self.given.purchases:
            if purchase.product not in seen:
                seen.add(purchase.product)
                yield self.product(purchase.product, self.category(purchase.product))

    def product(
        self,
        product_id: str,
        category: str | None,
        name: str | None = None,
        price: Decimal | None = None,
        units: Decimal = Decimal(1),
    ) -> Row:
        return {
            "product_id": product_id,
            "name": name,
            "category": category or self.category(product_id),
            "price": self.money(price),
            "currency": self.settings.shop.currency,
            "units": float(units),
        }

    def product_changes(self) -> Iterator[Row]:
        """What listed products begin with, and what changes of them."""
        currency = self.settings.shop.currency
        known: dict[str, Row] = {}
        begun = [(self.begin, one.id, one.in_stock, one.price) for one in self.given.products]
        then = [(self.at(one.at), one.product, one.in_stock, one.price) for one in self.given.changes]
        for at, product, in_stock, price in sorted([*begun, *then], key=lambda change: change[0]):
            before = known.setdefault(product, {"in_stock": None, "price": None})
            row = {"product_id": product, "changed_at": at, "import_id": 1}
            if in_stock is not None and in_stock != before["in_stock"]:
                stock = {"in_stock": in_stock, "in_stock_before": before["in_stock"]}
                yield self.change(row, what="stock", **stock)
                before["in_stock"] = in_stock
            if price is not None and price != before["price"]:
                money = {"price": self.money(price), "price_before": self.money(before["price"])}
                yield self.change(row, what="price", currency=currency, **money)
                before["price"] = price

    def change(self, row: Row, **told: Any) -> Row:
        empty: Row = dict.fromkeys(column.name for column in tables.product_changes.columns)
        return {**empty, **row, **told}

    def substitutes(self) -> Iterator[Row]:
        for product in self.given.products:
            for place, other in enumerate(product.substitutes or (), 1):
                key = {"product_id": product.id, "source": "import", "place": place}
                yield {**key, "substitute_id": other}

    def category(self, product: str) -> str | None:
        """The category that a purchase says, as an import would take it."""
        bought = (purchase for purchase in self.given.purchases if purchase.product == product)
        return next((purchase.category for purchase in bought if purchase.category), None)

    def customers(self) -> Iterator[Row]:
        for customer in self.given.customers:
            yield {
                "customer_id": customer.id,
                "dice": dice_of(customer.id),
                "name": customer.name,
                "gender": customer.gender,
                "birthday": customer.birthday.isoformat() if customer.birthday else None,
                "lunar_birthday": customer.lunar_birthday,
                "zone": customer.zone,
                "locale": customer.locale,
                "staff_id": customer.staff,
                "store_id": customer.store,
                "attributes": customer.attributes or None,
                "first_seen_at": self.begin,
            }

    def addresses(self) -> Iterator[Row]:
        for customer in self.given.customers:
            for channel, address in _addresses(customer).items():
                yield {"customer_id": customer.id, "channel": channel, "address": address}

    def consents(self) -> Iterator[Row]:
        for customer in self.given.customers:
            for channel, granted in customer.consents.items():
                yield self.consent(customer.id, channel, granted, None)
        for consent in self.given.consents:
            yield self.consent(consent.customer, consent.channel, consent.granted, consent.at)

    def consent(self, customer: str, channel: str, granted: bool, at: str | None) -> Row:
        word = {"channel": channel, "purpose": EVERY, "granted": granted, "source": SOURCE}
        return {"customer_id": customer, "decided_at": self.at(at), **word}

    def tags(self) -> Iterator[Row]:
        for customer in self.given.customers:
            for name in customer.tags:
                yield self.tag(customer.id, name, None, None)
        for tag in self.given.tags:
            yield self.tag(tag.customer, tag.tag, tag.at, tag.until)

    def tag(self, customer: str, name: str, at: str | None, until: str | None) -> Row:
        span = {"set_at": self.at(at), "expires_at": self.until(until)}
        return {"customer_id": customer, "tag": name, "source": SOURCE, **span}

    def purchases(self) -> Iterator[Row]:
        """Lines, numbered within order and product by their order of appearance."""
        numbers: Counter[tuple[str, str, str]] = Counter()
        for purchase in self.given.purchases:
            line = (purchase.customer, self.order(purchase), purchase.product)
            numbers[line] += 1
            yield {
                "customer_id": purchase.customer,
                "order_id": self.order(purchase),
                "product_id": purchase.product,
                "line_no": numbers[line],
                "purchased_at": self.at(purchase.at),
                "quantity": float(purchase.quantity),
                "amount": self.money(purchase.price, purchase.quantity),
                "currency": self.settings.shop.currency if purchase.price is not None else None,
                "delivered_at": self.until(purchase.delivered_at),
                "kind": None if purchase.kind == "sale" else purchase.kind,
            }

    def order(self, purchase: GivenPurchase) -> str:
        return purchase.order or f"@{clock.seconds(self.at(purchase.at))}"

    def refunds(self) -> Iterator[Row]:
        for number, refund in enumerate(self.given.refunds, start=1):
            yield {
                "customer_id": refund.customer,
                "refund_id": f"r{number}",
                "order_id": refund.order or self.order(self.refunded(refund)),
                "product_id": refund.product,
                "line_no": 1,
                "refunded_at": self.at(refund.at),
                "quantity": None if refund.quantity is None else float(refund.quantity),
            }

    def interactions(self) -> Iterator[Row]:
        for number, one in enumerate(self.given.interactions, start=1):
            yield {
                "customer_id": one.customer,
                "interaction_id": f"i{number}",
                "happened_at": self.at(one.at),
                "kind": str(one.kind),
                "channel": one.channel,
                "content": one.says,
                "attributes": None if one.product is None else {"product_id": one.product},
            }

    def refunded(self, refund: GivenRefund) -> GivenPurchase:
        """The only purchase a refund can mean where it names no order."""
        same = (refund.customer, refund.product)
        return next(one for one in self.given.purchases if (one.customer, one.product) == same)


def _addresses(customer: GivenCustomer) -> dict[str, str]:
    """The listed ones; where none are listed, the id on the channels that consents name."""
    if customer.addresses is not None:
        return customer.addresses
    return {channel: customer.id for channel in customer.consents if channel != EVERY}
