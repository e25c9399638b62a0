"""Products: name, category, price, stock, units, attributes, and what may be offered instead.

Price and stock have a time (`as_of`; the import's where not said). An older word never overwrites a newer
one, and each change of either is kept in `product_changes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr import clock
from smr.database import insert_or_update
from smr.facts.batch import CURSOR, Batch, Readable
from smr.facts.cells import (
    LONGEST_KEY,
    LONGEST_TEXT,
    CellError,
    Column,
    MomentColumn,
    Remembered,
    TextColumn,
    minor_units,
    read_currency,
    read_flag,
    read_money,
    read_stock,
    read_units,
)
from smr.facts.layout import Layout
from smr.facts.merge import mark_buyers
from smr.facts.records import RecordKind, Said, attributes_apart, grown
from smr.facts.shapes import attribute_columns
from smr.settings import Settings
from smr.tables import product_changes, products, substitutes

KEPT = ("name", "category", "units", "attributes")
PRICE = ("price", "currency")
STOCK = ("in_stock", "stock")
TOLD = (*KEPT, *PRICE, "price_at", *STOCK, "stock_at")
MOST_SUBSTITUTES = 20
SOURCE = "import"


class Products(RecordKind):
    """How products are read and kept."""

    key = ("product_id",)

    def __init__(self, settings: Settings, now: datetime) -> None:
        shop = settings.shop.currency
        self._now = clock.seconds(now)
        self._prices = Remembered(lambda money: _price(shop, *money))
        self._columns: tuple[Readable, ...] = (
            TextColumn("product_id", needed=True),
            TextColumn("name", longest=LONGEST_TEXT),
            TextColumn("category"),
            Column("price", read_money),
            Column("currency", read_currency),
            Column("units", read_units),
            Column("in_stock", read_flag),
            Column("stock", read_stock),
            MomentColumn("as_of", settings.shop.tz),
            Column("substitutes", _read_substitutes),
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
        """Key and sayings of each row; price and stock by the time for which they hold."""
        names = [name for name in batch.values if name not in {"product_id", CURSOR}]
        for product_id, *values in zip(batch["product_id"], *(batch[name] for name in names), strict=True):
            row = {name: value for name, value in zip(names, values, strict=True) if value is not None}
            yield (product_id,), self._by_time(attributes_apart(row))

    def _by_time(self, row: Said) -> Said:
        as_of = str(row.pop("as_of", self._now))
        for told, names in (("prices", PRICE), ("stocks", STOCK)):
            state = {name: row.pop(name) for name in names if name in row}
            if "stock" in state:
                state.setdefault("in_stock", state["stock"] > 0)
            if state:
                row[told] = {as_of: state}
        return row

    def bring_in(
        self, connection: Connection, told: dict[tuple[Any, ...], Said], import_id: int
    ) -> tuple[int, int]:
        """Store these; buyers of a product whose category or units changed are marked."""
        ids = [product_id for (product_id,) in told]
        stored = {row.product_id: dict(row._mapping) for row in connection.execute(_stored, {"ids": ids})}
        changed, regrouped, changes = [], [], []
        known = _known_substitutes(connection, ids)
        instead = {product_id: _others(product_id, said) for (product_id,), said in told.items()}
        differing = {one for one, listed in instead.items() if listed and listed != known.get(one)}
        new = old = 0
        for (product_id,), said in told.items():
            before = stored.get(product_id)
            after = grown(before or {"product_id": product_id, "units": 1.0}, said, KEPT)
            changes += list(_reprice(after, said.get("prices", {}), import_id))
            changes += list(_restock(after, said.get("stocks", {}), import_id))
            if after != before:
                changed.append({**dict.fromkeys(TOLD), **after})
            new += before is None
            old += before is not None and (_lasting(after) != _lasting(before) or product_id in differing)
            if before and (before["category"], before["units"]) != (after["category"], after["units"]):
                regrouped.append(product_id)
        mark_buyers(connection, import_id, regrouped)
        if changed:
            connection.execute(insert_or_update(connection.dialect.name, products, update=TOLD), changed)
        _keep_changes(connection, changes)
        _keep_substitutes(connection, {product_id: instead[product_id] for product_id in sorted(differing)})
        return new, old


def _reprice(product: dict[str, Any], prices: Mapping[str, Said], import_id: int) -> Iterator[dict[str, Any]]:
    """Put the prices of these times over a product's, the earliest first; yields what they change."""
    for at, state in sorted((int(at), state) for at, state in prices.items()):
        if at < (product.get("price_at") or at):
            continue
        before = {name: product.get(name) for name in PRICE}
        after = {name: state[name] for name in PRICE}
        if after != before:
            same_money = before["currency"] == after["currency"]
            told = {**after, "price_before": before["price"] if same_money else None}
            yield _change(product, "price", at, import_id) | told
        product.update(after, price_at=at)


def _restock(product: dict[str, Any], stocks: Mapping[str, Said], import_id: int) -> Iterator[dict[str, Any]]:
    """The same for stock."""
    for at, state in sorted((int(at), state) for at, state in stocks.items()):
        if at < (product.get("stock_at") or at):
            continue
        had = product.get("in_stock")
        if state["in_stock"] != had:
            told = {"in_stock": state["in_stock"], "in_stock_before": had}
            yield _change(product, "stock", at, import_id) | told
        product.update(in_stock=state["in_stock"], stock=state.get("stock"), stock_at=at)


def _change(product: Mapping[str, Any], what: str, at: int, import_id: int) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(column.name for column in product_changes.columns)
    key = {"product_id": product["product_id"], "what": what, "changed_at": at}
    return {**empty, **key, "import_id": import_id}


def _lasting(product: Mapping[str, Any]) -> dict[str, Any]:
    """A product without the times at which it was told: the same word again is no change."""
    return {name: value for name, value in product.items() if name not in ("price_at", "stock_at")}


def _keep_changes(connection: Connection, changes: list[dict[str, Any]]) -> None:
    """Of several changes within one second the last is kept, with what was before the first."""
    if changes:
        update = ("price", "currency", "in_stock", "import_id")
        connection.execute(insert_or_update(connection.dialect.name, product_changes, update=update), changes)


def _known_substitutes(connection: Connection, ids: list[str]) -> dict[str, list[str]]:
    known: dict[str, list[str]] = {}
    for row in connection.execute(_imported_substitutes, {"ids": ids}):
        known.setdefault(row.product_id, []).append(row.substitute_id)
    return known


def _keep_substitutes(connection: Connection, differing: Mapping[str, list[str]]) -> None:
    if not differing:
        return
    mine = (substitutes.c.source == SOURCE, substitutes.c.product_id.in_(list(differing)))
    connection.execute(sa.delete(substitutes).where(*mine))
    rows = [
        {"product_id": product_id, "source": SOURCE, "place": place, "substitute_id": other}
        for product_id, listed in differing.items()
        for place, other in enumerate(listed, 1)
    ]
    connection.execute(sa.insert(substitutes), rows)


def _others(product_id: str, said: Said) -> list[str]:
    return [one for one in said.get("substitutes", ()) if one != product_id]


def _read_substitutes(cell: str) -> list[str]:
    """Ids of products with ; between them, the one to be offered first at the beginning."""
    found = [one.strip() for one in cell.replace("；", ";").split(";") if one.strip()]
    for one in found:
        if not one.isprintable():
            raise CellError("bad_text", "a product's id has a control character in it")
        if len(one) > LONGEST_KEY:
            raise CellError("too_long", f"an id has {len(one)} characters where {LONGEST_KEY} are allowed")
    listed = list(dict.fromkeys(found))
    if len(listed) > MOST_SUBSTITUTES:
        raise CellError("too_long", f"{len(listed)} substitutes where {MOST_SUBSTITUTES} are allowed")
    return listed


def _price(shop: str, price: Decimal | None, currency: str | None) -> tuple[int | None, str | None]:
    if price is None:
        return None, None
    return minor_units(price, currency or shop), currency or shop


_ids: sa.BindParameter[list[str]] = sa.bindparam("ids", expanding=True)
_stored = sa.select(
    *(column for column in products.columns if column.name not in ("price_at", "stock_at")),
    *(sa.type_coerce(products.c[name], sa.BigInteger).label(name) for name in ("price_at", "stock_at")),
).where(products.c.product_id.in_(_ids))
_imported_substitutes = (
    sa.select(substitutes.c.product_id, substitutes.c.substitute_id)
    .where(substitutes.c.source == SOURCE, substitutes.c.product_id.in_(_ids))
    .order_by(substitutes.c.product_id, substitutes.c.place)
)
