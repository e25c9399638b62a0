"""The facts that are lines of a table: purchases, refunds, consents, interactions.

In: a batch of read cells. Out: the rows to stage: line, dice, then the columns of the table in its order,
as plain driver values (times are seconds, JSON is text).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from smr.errors import did_you_mean
from smr.events import KINDS_IN_CHINESE, InteractionKind
from smr.facts.batch import Batch, Readable
from smr.facts.cells import (
    LARGEST_AMOUNT,
    LONGEST_CONTENT,
    LONGEST_TEXT,
    CellError,
    Column,
    MomentColumn,
    Refused,
    Remembered,
    TextColumn,
    minor_units,
    read_currency,
    read_flag,
    read_line_no,
    read_money,
    read_price,
    read_quantity,
    shown,
    whole,
)
from smr.facts.layout import Layout
from smr.settings import Settings
from smr.tables import consents, interactions, purchases, refunds

EVERY = "*"
PURCHASE_KINDS: dict[str, str | None] = {"sale": None, "sample": "sample", "gift": "gift"}


@dataclass(frozen=True)
class Shape:
    """How one kind of fact is read and merged.

    `at` is the time that counts as having seen the customer; `compared` are the columns in which a row of a
    known key may differ; `numbered` says that lines without a number get one from their order of appearance,
    `latest` that a row of a known key takes the place of the stored one.
    """

    table: sa.Table
    at: str
    compared: tuple[str, ...]
    readers: Callable[[Layout], Mapping[str, Readable]]
    derive: Callable[[Batch, Layout], None]
    numbered: bool = False
    latest: bool = False
    places: Remembered = field(default_factory=lambda: Remembered(place_of, 100_000))

    @property
    def columns(self) -> tuple[str, ...]:
        """The staged columns after line and dice."""
        return tuple(column.name for column in self.table.columns)

    def rows(self, batch: Batch) -> tuple[tuple[str, ...], Iterable[tuple[Any, ...]]]:
        """The rows to stage, and the columns they have; those with nothing in them are left out."""
        places = self.places.all(batch["customer_id"])
        batch.values["bucket"], batch.values["dice"] = zip(*places, strict=True)
        batch.values["line"] = batch.lines
        empty = {column.name for column in self.table.columns if column.nullable}
        empty = {name for name in empty if batch[name].count(None) == len(batch)}
        names = tuple(name for name in ("line", "dice", *self.columns) if name not in empty)
        return names, zip(*(batch[name] for name in names), strict=True)


def place_of(customer_id: str) -> tuple[int, int]:
    """Bucket and dice of a customer from one hash; the same as bucket_of and dice_of."""
    digest = sha256(customer_id.encode()).digest()
    return digest[0] << 4 | digest[1] >> 4, int.from_bytes(digest[2:6]) & 0x7FFF_FFFF


def shape_of(kind: str, settings: Settings) -> Shape:
    """The shape of a kind of fact."""
    return SHAPES[kind](settings)


def _purchases(settings: Settings) -> Shape:
    zone, shop = settings.shop.tz, settings.shop.currency
    columns = (
        TextColumn("customer_id", needed=True),
        TextColumn("product_id", needed=True),
        MomentColumn("purchased_at", zone, needed=True),
        TextColumn("order_id"),
        TextColumn("category"),
        Column("amount", read_money),
        Column("currency", read_currency),
        Column("line_no", read_line_no),
        MomentColumn("delivered_at", zone),
        Column("kind", _purchase_kind),
        Column("quantity", read_quantity, needed=True),
    )
    any_money = Column("unit_price", read_money)
    shop_money = Column("unit_price", lambda cell: read_price(cell, shop))
    worth = Remembered(lambda money: _line_amount(shop, *money), 50_000)
    inexact = Remembered(lambda money: _price_amount(shop, *money), 50_000)

    def readers(layout: Layout) -> Mapping[str, Readable]:
        price = shop_money if _in_shop_money(layout) else any_money
        return {column.name: column for column in (*columns, price)}

    def derive(batch: Batch, layout: Layout) -> None:
        if "quantity" not in layout.columns:
            batch.values["quantity"] = [1.0] * len(batch)
        if _in_shop_money(layout):
            _put_price_amounts(batch, inexact, shop)
        else:
            _put_amounts(batch, worth, ("amount", "unit_price", "quantity", "currency"))
        batch.values["order_id"] = _orders(batch["order_id"], batch["purchased_at"])

    return Shape(
        purchases,
        "purchased_at",
        ("purchased_at", "quantity", "amount", "currency", "delivered_at", "kind"),
        readers,
        derive,
        numbered=True,
    )


def _refunds(settings: Settings) -> Shape:
    zone = settings.shop.tz
    columns = (
        TextColumn("customer_id", needed=True),
        TextColumn("product_id", needed=True),
        MomentColumn("refunded_at", zone, needed=True),
        TextColumn("order_id"),
        MomentColumn("purchased_at", zone),
        Column("line_no", read_line_no),
        TextColumn("refund_id"),
        Column("quantity", read_quantity),
        Column("amount", read_money),
        Column("currency", read_currency),
    )
    worth = Remembered(lambda money: _line_amount(settings.shop.currency, *money), 50_000)

    def derive(batch: Batch, layout: Layout) -> None:
        batch.values["unit_price"] = [None] * len(batch)
        _put_amounts(batch, worth, ("amount", "unit_price", "quantity", "currency"))
        orders = list(map(_refunded_order, batch["order_id"], batch["purchased_at"]))
        batch.put("order_id", orders, refused=any(isinstance(order, Refused) for order in orders))
        batch.values["line_no"] = [1 if line is None else line for line in batch["line_no"]]
        parts = [batch[name] for name in ("refund_id", "order_id", "product_id", "line_no", "refunded_at")]
        batch.values["refund_id"] = [
            given or f"{order}/{product}#{line}@{at}"
            for given, order, product, line, at in zip(*parts, strict=True)
        ]

    return Shape(
        refunds,
        "refunded_at",
        ("refunded_at", "quantity", "amount"),
        lambda _: {column.name: column for column in columns},
        derive,
    )


def _consents(settings: Settings) -> Shape:
    columns = (
        TextColumn("customer_id", needed=True),
        Column("channel", lambda name: read_channel(settings, name), needed=True),
        Column("granted", read_flag, needed=True),
        MomentColumn("decided_at", settings.shop.tz, needed=True),
        TextColumn("purpose"),
        TextColumn("source", longest=LONGEST_TEXT),
    )

    def derive(batch: Batch, layout: Layout) -> None:
        batch.values["purpose"] = [purpose or "marketing" for purpose in batch["purpose"]]

    return Shape(consents, "decided_at", (), lambda _: {column.name: column for column in columns}, derive)


def _interactions(settings: Settings) -> Shape:
    columns = (
        TextColumn("customer_id", needed=True),
        MomentColumn("happened_at", settings.shop.tz, needed=True),
        Column("kind", _interaction_kind, needed=True),
        TextColumn("interaction_id"),
        TextColumn("channel"),
        TextColumn("content", longest=LONGEST_CONTENT, lines=True),
    )

    def readers(layout: Layout) -> Mapping[str, Readable]:
        all_columns: tuple[Readable, ...] = (*columns, *attribute_columns(layout))
        return {column.name: column for column in all_columns}

    def derive(batch: Batch, layout: Layout) -> None:
        batch.values["attributes"] = _attributes(batch, layout)
        told = [batch[name] for name in ("interaction_id", "happened_at", "kind", "channel", "content")]
        batch.values["interaction_id"] = [
            given or _interaction_id(tuple(rest)) for given, *rest in zip(*told, strict=True)
        ]

    return Shape(interactions, "happened_at", ("happened_at", "kind", "channel", "content"), readers, derive)


def read_channel(settings: Settings, name: str) -> str:
    """A channel of the settings, or `*` for all."""
    if name != EVERY and not settings.is_channel(name):
        hint = did_you_mean(name, settings.channel_names)
        raise CellError("channel", f"there is no channel {shown(name)}; {hint}")
    return str(name)


def attribute_columns(layout: Layout) -> list[TextColumn]:
    """A text column for each attribute the source has."""
    names = [name for name in layout.columns if name.startswith("attributes.")]
    return [TextColumn(name, longest=LONGEST_TEXT) for name in names]


def _attributes(batch: Batch, layout: Layout) -> list[str | None]:
    names = [name for name in layout.columns if name.startswith("attributes.")]
    if not names:
        return [None] * len(batch)
    keys = [name.removeprefix("attributes.") for name in names]
    texts = []
    for values in zip(*(batch[name] for name in names), strict=True):
        said = {key: value for key, value in zip(keys, values, strict=True) if value is not None}
        texts.append(json.dumps(said, ensure_ascii=False, sort_keys=True) if said else None)
    return texts


def _in_shop_money(layout: Layout) -> bool:
    """Whether a source says nothing of money but prices, all in the shop's currency: the usual case."""
    return not layout.columns.keys() & {"currency", "amount"}


def _put_price_amounts(batch: Batch, inexact: Remembered, currency: str) -> None:
    """Amounts of exact prices and whole quantities by plain multiplication, of all others by decimals."""
    inexact.refused = False
    amounts = [
        int(amount)
        if type(price) is int and quantity.is_integer() and (amount := price * quantity) <= LARGEST_AMOUNT
        else None
        if price is None
        else inexact[price, quantity]
        for price, quantity in zip(batch["unit_price"], batch["quantity"], strict=True)
    ]
    batch.put("amount", amounts, refused=inexact.refused)
    batch.values["currency"] = [None if amount is None else currency for amount in batch["amount"]]


def _price_amount(currency: str, price: int | Decimal, quantity: float) -> int:
    if isinstance(price, int):
        return whole(price * Decimal(str(quantity)))
    return minor_units(price * Decimal(str(quantity)), currency)


def _put_amounts(batch: Batch, worth: Remembered, names: Sequence[str]) -> None:
    pairs = worth.all(list(zip(*(batch[name] for name in names), strict=True)))
    if worth.refused:
        batch.put("amount", pairs, refused=True)
        pairs = list(batch["amount"])
    batch.values["amount"] = [amount for amount, _ in pairs]
    batch.values["currency"] = [currency for _, currency in pairs]


def _line_amount(
    shop: str,
    amount: Decimal | None,
    unit_price: Decimal | None,
    quantity: float | None,
    currency: str | None,
) -> tuple[int | None, str | None]:
    """Amount of the whole line in minor units, with its currency."""
    if amount is None and unit_price is not None:
        amount = unit_price * Decimal(str(quantity))
    if amount is None:
        return None, currency
    return minor_units(amount, currency or shop), currency or shop


def _orders(given: Sequence[str | None], at: Sequence[int]) -> Sequence[Any]:
    if None not in given:
        return given
    return [order if order is not None else f"@{second}" for order, second in zip(given, at, strict=True)]


def _refunded_order(order: str | None, purchased_at: int | None) -> Any:
    if order is not None:
        return order
    if purchased_at is None:
        return Refused("missing", "order_id: is empty (purchased_at would do for purchases without an order)")
    return f"@{purchased_at}"


def _interaction_id(parts: tuple[Any, ...]) -> str:
    return "@" + sha256(json.dumps(parts).encode()).hexdigest()[:24]


def _purchase_kind(cell: str) -> str | None:
    try:
        return PURCHASE_KINDS[cell]
    except KeyError:
        hint = did_you_mean(cell, list(PURCHASE_KINDS))
        raise CellError("kind", f"{shown(cell)} is not a kind of purchase; {hint}") from None


def _interaction_kind(cell: str) -> str:
    try:
        return str(InteractionKind(cell))
    except ValueError:
        hint = did_you_mean(cell, [*InteractionKind, *KINDS_IN_CHINESE])
        raise CellError("kind", f"{shown(cell)} is not a kind of interaction; {hint}") from None


SHAPES: dict[str, Callable[[Settings], Shape]] = {
    "purchases": _purchases,
    "refunds": _refunds,
    "consents": _consents,
    "interactions": _interactions,
}
