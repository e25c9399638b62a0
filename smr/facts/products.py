"""Products: name, category, price, units, attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.database import insert_or_update
from smr.facts.batch import CURSOR, Batch, Readable
from smr.facts.cells import (
    LONGEST_TEXT,
    Column,
    Remembered,
    TextColumn,
    minor_units,
    read_currency,
    read_money,
    read_units,
)
from smr.facts.layout import Layout
from smr.facts.merge import mark_buyers
from smr.facts.records import RecordKind, Said, attributes_apart, grown
from smr.facts.shapes import attribute_columns
from smr.settings import Settings
from smr.tables import products

KEPT = ("name", "category", "price", "currency", "units", "attributes")


class Products(RecordKind):
    """How products are read and kept."""

    key = ("product_id",)

    def __init__(self, settings: Settings) -> None:
        shop = settings.shop.currency
        self._prices = Remembered(lambda money: _price(shop, *money))
        self._columns: tuple[Readable, ...] = (
            TextColumn("product_id", needed=True),
            TextColumn("name", longest=LONGEST_TEXT),
            TextColumn("category"),
            Column("price", read_money),
            Column("currency", read_currency),
            Column("units", read_units),
        )

    def readers(self, layout: Layout) -> Mapping[str, Readable]:
        """What reads each column."""
        columns: tuple[Readable, ...] = (*self._columns, *attribute_columns(layout))
        return {column.name: column for column in columns}

    def derive(self, batch: Batch) -> None:
        """Prices in minor units."""
        pairs = self._prices.all(list(zip(batch["price"], batch["currency"], strict=True)))
        batch.put("price", pairs, refused=self._prices.refused)
        pairs = list(batch["price"])
        batch.values["price"] = [price for price, _ in pairs]
        batch.values["currency"] = [currency for _, currency in pairs]

    def said(self, batch: Batch) -> Iterable[tuple[tuple[Any, ...], Said]]:
        """Key and sayings of each row."""
        names = [name for name in batch.values if name not in {"product_id", CURSOR}]
        for product_id, *values in zip(batch["product_id"], *(batch[name] for name in names), strict=True):
            row = {name: value for name, value in zip(names, values, strict=True) if value is not None}
            yield (product_id,), attributes_apart(row)

    def bring_in(
        self, connection: Connection, told: dict[tuple[Any, ...], Said], import_id: int
    ) -> tuple[int, int]:
        """Store these; buyers of a product whose category or units changed are marked."""
        ids = [product_id for (product_id,) in told]
        stored = {row.product_id: dict(row._mapping) for row in connection.execute(_stored, {"ids": ids})}
        changed, regrouped, new = [], [], 0
        for (product_id,), said in told.items():
            before = stored.get(product_id)
            after = grown(before or {"product_id": product_id, "units": 1.0}, said, KEPT)
            if after == before:
                continue
            changed.append({"attributes": None, **dict.fromkeys(KEPT), **after})
            new += before is None
            if before and (before["category"], before["units"]) != (after["category"], after["units"]):
                regrouped.append(product_id)
        mark_buyers(connection, import_id, regrouped)
        if changed:
            connection.execute(insert_or_update(connection.dialect.name, products, update=KEPT), changed)
        return new, len(changed) - new


def _price(shop: str, price: Decimal | None, currency: str | None) -> tuple[int | None, str | None]:
    if price is None:
        return None, currency
    return minor_units(price, currency or shop), currency or shop


_stored = sa.select(products).where(products.c.product_id.in_(sa.bindparam("ids", expanding=True)))
