"""Where the value of each name comes from: which columns to select, and how a row becomes plain values.

In: the names a step's texts use. Out: a SELECT with only those columns, and `context`, which turns one of its
rows into the plain dict a template is rendered with. `MAKERS` has one entry for each name of `context.NAMES`.
Lists (tags, products of an order or bundle) are read for a chunk of rows at a time, by `load_lists`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, FromClause

from smr import clock
from smr.almanac import in_chinese, read_lunar, solar_of
from smr.conditions.purchases import NOW, Who, kept, kept_quantity
from smr.events import Reason
from smr.messages.filters import in_words
from smr.messages.values import Money, money, plain
from smr.playbook.model import Library, OnDate, OnFestival, Playbook, Step
from smr.settings import Settings
from smr.tables import (
    addresses,
    candidates,
    customers,
    named,
    product_changes,
    products,
    purchases,
    staff,
    stages,
    stores,
    tags,
)

Row = Sequence[Any]
Getter = Callable[[Row], Any]

BASE = (
    "bucket",
    "customer_id",
    "anchor",
    "channel",
    "due_at",
    "send_after",
    "expires_at",
    "anchor_at",
    "order_id",
    "product_id",
    "quantity",
    "runs_out_at",
    "offer_id",
    "playbook",
    "step",
)
"""Columns of a candidate that are always selected, in this order; the address follows them."""

(
    BUCKET,
    CUSTOMER,
    ANCHOR,
    CHANNEL,
    DUE_AT,
    SEND_AFTER,
    EXPIRES_AT,
    ANCHOR_AT,
    ORDER,
    PRODUCT,
    QUANTITY,
    RUNS_OUT_AT,
    OFFER,
    PLAYBOOK,
    STEP,
) = range(len(BASE))
ADDRESS = len(BASE)


@dataclass
class Fetch:
    """What one step needs of the database, and how to make its context.

    `source` has the columns of candidates: the table itself, or one row made up for a preview.
    """

    playbook: Playbook
    step: Step
    library: Library
    settings: Settings
    source: FromClause
    columns: list[ColumnElement[Any]] = field(default_factory=list)
    joins: dict[str, tuple[FromClause, ColumnElement[bool]]] = field(default_factory=dict)
    groups: dict[str, list[tuple[str, Getter]]] = field(default_factory=dict)
    nested: dict[str, list[tuple[str, Getter]]] = field(default_factory=dict)
    single: list[tuple[str, Getter]] = field(default_factory=list)
    tags: dict[tuple[int, str], list[str]] | None = None
    orders: dict[tuple[int, str, str], list[dict[str, Any]]] | None = None
    beside: dict[tuple[int, str, str], list[dict[str, Any]]] | None = None
    today: date = date.min
    message_id: str = ""

    def column(self, wanted: ColumnElement[Any]) -> int:
        """Select this too; its place in the row."""
        for place, known in enumerate(self.columns):
            if known is wanted:
                return place
        self.columns.append(wanted)
        return len(self.columns) - 1

    def join(self, name: str, table: FromClause, on: ColumnElement[bool]) -> FromClause:
        """Join this table once (a row without a match stays)."""
        self.joins.setdefault(name, (table, on))
        return self.joins[name][0]

    def select(self) -> sa.Select[Any]:
        """All the columns, from the candidates and what is joined to them."""
        joined: FromClause = self.source
        for table, on in self.joins.values():
            joined = joined.outerjoin(table, on)
        return sa.select(*self.columns).select_from(joined)

    def context(self, row: Row, static: dict[str, Any]) -> dict[str, Any]:
        """The plain values of one row: nested dicts, as the names say."""
        made = dict(static)
        for name, get in self.single:
            made[name] = get(row)
        for group, fields in self.groups.items():
            made[group] = {name: get(row) for name, get in fields}
        for group, fields in self.nested.items():
            made.setdefault("customer", {})[group] = {name: get(row) for name, get in fields}
        return made

    @property
    def needs_lists(self) -> bool:
        """Whether something is read for each chunk of rows."""
        return any(lists is not None for lists in (self.tags, self.orders, self.beside))

    def load_lists(self, connection: Connection, rows: Sequence[Row], now: datetime) -> None:
        """Read the lists that the rows of a chunk need."""
        if self.tags is not None:
            self.tags = _tags_of(connection, rows, now)
        if self.orders is not None:
            self.orders = _orders_of(connection, rows, now, self.library)
        if self.beside is not None:
            self.beside = beside_of(self, connection, rows, now)


def fetch_for(
    names: Iterable[str],
    playbook: Playbook,
    step: Step,
    library: Library,
    settings: Settings,
    source: FromClause,
) -> Fetch:
    """What to select for a step whose texts use these names. Names that do not exist are left out."""
    fetch = Fetch(playbook, step, library, settings, source)
    for name in BASE:
        column = source.c[name]
        whole = name in {"due_at", "send_after", "expires_at", "anchor_at", "runs_out_at"}
        fetch.columns.append(sa.type_coerce(column, sa.BigInteger) if whole else column)
    fetch.columns.append(_address(fetch))
    wanted = set(names)
    if wanted & {"due.in_words", "language"} or any(
        name.split(".")[0] in {"customer", "due", "purchase", "today"} for name in wanted
    ):
        wanted.add("language")
    for path in sorted(wanted):
        _add(fetch, path)
    return fetch


def _add(fetch: Fetch, path: str) -> None:
    parts = path.split(".")
    if parts[:2] == ["customer", "attributes"] and len(parts) >= 3:
        known = [name for name, _ in fetch.nested.setdefault("attributes", [])]
        if parts[2] not in known:
            fetch.nested["attributes"].append((parts[2], _attribute(fetch, parts[2])))
    elif parts[:2] == ["customer", "stage"] and len(parts) == 3:
        fetch.nested.setdefault("stage", []).append((parts[2], _stage(fetch, parts[2])))
    elif path in MAKERS:
        getter = MAKERS[path](fetch)
        if len(parts) == 1:
            fetch.single.append((path, getter))
        else:
            fetch.groups.setdefault(parts[0], []).append((parts[1], getter))


def _address(fetch: Fetch) -> ColumnElement[Any]:
    """Where the customer is reached on the candidate's channel; the id itself where the settings say so."""
    source = fetch.source
    by_id = [name for name in fetch.step.via if fetch.settings.channel(name).address == "customer_id"]
    if len(by_id) == len(fetch.step.via):
        return source.c.customer_id
    fetch.join(
        "address", addresses, sa.and_(Who.of(source).owns(addresses), addresses.c.channel == source.c.channel)
    )
    if not by_id:
        return addresses.c.address
    return sa.case((source.c.channel.in_(by_id), source.c.customer_id), else_=addresses.c.address)


def _customers(fetch: Fetch) -> FromClause:
    return fetch.join("customer", customers, Who.of(fetch.source).owns(customers))


def _customer(name: str) -> Callable[[Fetch], Getter]:
    def make(fetch: Fetch) -> Getter:
        place = fetch.column(_customers(fetch).c[name])
        return itemgetter(place)

    return make


def _birthday(fetch: Fetch) -> Getter:
    """The solar date; where only the lunar one is known, the day that it was."""
    solar, lunar = (fetch.column(_customers(fetch).c[name]) for name in ("birthday", "lunar_birthday"))

    def get(row: Row) -> date | None:
        if row[solar] is not None:
            return _date(row[solar])
        return None if row[lunar] is None else solar_of(read_lunar(row[lunar]))

    return get


def _lunar_birthday(fetch: Fetch) -> Getter:
    place = fetch.column(_customers(fetch).c.lunar_birthday)
    return lambda row: None if row[place] is None else in_chinese(read_lunar(row[place]))


def _festival(fetch: Fetch) -> Getter:
    """The anchor is the day and the festival."""
    return lambda row: str(row[ANCHOR]).partition(" ")[2] or None


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _language(fetch: Fetch) -> Getter:
    place = fetch.column(_customers(fetch).c.locale)
    shop = fetch.settings.shop.language
    return lambda row: language(row[place], shop)


@lru_cache(maxsize=1_000)
def language(locale: str | None, otherwise: str) -> str:
    """`zh` or `en` for a locale such as zh_CN; the shop's for others."""
    found = (locale or "").lower().replace("_", "-").partition("-")[0]
    return found if found in {"zh", "en"} else otherwise


def _staff_name(fetch: Fetch) -> Getter:
    owner = _customers(fetch).c.staff_id
    place = fetch.column(fetch.join("staff", staff, staff.c.staff_id == owner).c.name)
    return itemgetter(place)


def _store_name(fetch: Fetch) -> Getter:
    store = _customers(fetch).c.store_id
    place = fetch.column(fetch.join("store", stores, stores.c.store_id == store).c.name)
    return itemgetter(place)


def _attribute(fetch: Fetch, name: str) -> Getter:
    place = fetch.column(_customers(fetch).c.attributes)

    def get(row: Row) -> Any:
        found = row[place]
        return plain(found.get(name)) if isinstance(found, dict) else None

    return get


def _stage(fetch: Fetch, ladder: str) -> Getter:
    rung = stages.alias()
    open_now = sa.and_(Who.of(fetch.source).owns(rung), rung.c.ladder == ladder, rung.c.left_at.is_(None))
    place = fetch.column(fetch.join(f"stage {ladder}", rung, open_now).c.stage)
    return itemgetter(place)


def _tags(fetch: Fetch) -> Getter:
    fetch.tags = {}
    return lambda row: (fetch.tags or {}).get((row[BUCKET], row[CUSTOMER]), [])


def _order(fetch: Fetch) -> Getter:
    fetch.orders = {}
    return lambda row: (fetch.orders or {}).get((row[BUCKET], row[CUSTOMER], row[ORDER]), [])


def _bundle(fetch: Fetch) -> Getter:
    fetch.beside = {}
    spoken = _language(fetch)

    def get(row: Row) -> list[dict[str, Any]]:
        named_already, made = {row[PRODUCT]}, []
        for one in (fetch.beside or {}).get((row[BUCKET], row[CUSTOMER], row[ANCHOR]), []):
            # Followed both by itself and by its category, a product may come twice.
            if one["product"]["id"] not in named_already:
                named_already.add(one["product"]["id"])
                words = in_words(one["due"]["date"], fetch.today, spoken(row))
                made.append({**one, "due": {**one["due"], "in_words": words}})
        return made

    return get


def _products(fetch: Fetch) -> FromClause:
    return fetch.join("product", products, products.c.product_id == fetch.source.c.product_id)


def _product_field(name: str) -> Callable[[Fetch], Getter]:
    """A product's name or category: the catalog's word before the imported one."""

    def make(fetch: Fetch) -> Getter:
        place = fetch.column(_products(fetch).c[name])
        entries = fetch.library.catalog.cycles.products
        stated = {key: getattr(entry, name) for key, entry in entries.items() if getattr(entry, name)}
        return lambda row: stated.get(row[PRODUCT]) or row[place]

    return make


def _product_price(fetch: Fetch) -> Getter:
    price, currency = fetch.column(_products(fetch).c.price), fetch.column(_products(fetch).c.currency)
    usual = fetch.settings.shop.currency
    return lambda row: None if row[price] is None else money(row[price], row[currency] or usual)


def _offer_name(fetch: Fetch) -> Getter:
    place = fetch.column(_offers(fetch).c.name)
    entries = fetch.library.catalog.cycles.products
    stated = {key: entry.name for key, entry in entries.items() if entry.name}
    return lambda row: stated.get(row[OFFER] or row[PRODUCT]) or row[place]


def _offers(fetch: Fetch) -> FromClause:
    offered = sa.func.coalesce(fetch.source.c.offer_id, fetch.source.c.product_id)
    offer = named(products, "offer")
    return fetch.join("offer", offer, offer.c.product_id == offered)


def _offer_price(fetch: Fetch) -> Getter:
    price, currency = fetch.column(_offers(fetch).c.price), fetch.column(_offers(fetch).c.currency)
    usual = fetch.settings.shop.currency
    return lambda row: None if row[price] is None else money(row[price], row[currency] or usual)


def _bought(fetch: Fetch, what: Callable[[FromClause], ColumnElement[Any]]) -> int:
    """A figure over the lines of the anchor's product in its order."""
    line, source = purchases.alias(), fetch.source
    figure = (
        sa.select(what(line))
        .where(
            Who.of(source).owns(line),
            line.c.order_id == source.c.order_id,
            line.c.product_id == source.c.product_id,
        )
        .correlate(source)
        .scalar_subquery()
    )
    return fetch.column(figure)


def _price_before(fetch: Fetch) -> Getter:
    change, source = named(product_changes, "drop"), fetch.source
    same = sa.and_(
        change.c.product_id == source.c.product_id,
        change.c.what == "price",
        change.c.changed_at == source.c.anchor_at,
    )
    joined = fetch.join("drop", change, same)
    price, currency = fetch.column(joined.c.price_before), fetch.column(joined.c.currency)
    usual = fetch.settings.shop.currency
    return lambda row: None if row[price] is None else money(row[price], row[currency] or usual)


def _purchase_amount(fetch: Fetch) -> Getter:
    amount = _bought(fetch, lambda line: sa.cast(sa.func.sum(line.c.amount), sa.BigInteger))
    currency = _bought(fetch, lambda line: sa.func.max(line.c.currency))
    usual = fetch.settings.shop.currency
    return lambda row: None if row[amount] is None else money(row[amount], row[currency] or usual)


def _purchase_price(fetch: Fetch) -> Getter:
    amount = _bought(fetch, lambda line: sa.cast(sa.func.sum(line.c.amount), sa.BigInteger))
    quantity = _bought(fetch, lambda line: sa.func.sum(line.c.quantity))
    currency = _bought(fetch, lambda line: sa.func.max(line.c.currency))
    usual = fetch.settings.shop.currency

    def get(row: Row) -> Money | None:
        if row[amount] is None or not row[quantity]:
            return None
        return money(round(Decimal(row[amount]) / Decimal(repr(row[quantity]))), row[currency] or usual)

    return get


def _quantity(fetch: Fetch) -> Getter:
    return lambda row: _number(row[QUANTITY])


def _number(found: float | None) -> int | Decimal | None:
    if found is None:
        return None
    return int(found) if found == int(found) else Decimal(repr(round(found, 6)))


def _day(fetch: Fetch, place: int) -> Getter:
    """The shop's day of an instant; zones change by quarters of an hour, so that those are remembered."""
    where, known = fetch.settings.shop.tz, dict[int, date]()

    def get(row: Row) -> date | None:
        at = row[place]
        if at is None:
            return None
        found = known.get(at // 900)
        if found is None:
            if len(known) > 100_000:
                known.clear()
            found = known[at // 900] = _local_day(at, where)
        return found

    return get


def _local_day(at: int, where: ZoneInfo) -> date:
    return clock.local_day(clock.moment(at), where)


def _due_day(fetch: Fetch) -> Getter:
    return _day(fetch, ANCHOR_AT if isinstance(fetch.playbook.trigger, OnDate | OnFestival) else RUNS_OUT_AT)


def _due_days(fetch: Fetch) -> Getter:
    day = _due_day(fetch)

    def get(row: Row) -> int | None:
        due = day(row)
        return None if due is None else (due - fetch.today).days

    return get


def _due_in_words(fetch: Fetch) -> Getter:
    day, spoken = _due_day(fetch), _language(fetch)

    def get(row: Row) -> str | None:
        due = day(row)
        return None if due is None else in_words(due, fetch.today, spoken(row))

    return get


def _reorder_url(fetch: Fetch) -> Getter:
    pattern = fetch.settings.shop.reorder_url

    def get(row: Row) -> str | None:
        if not pattern:
            return None
        filled = pattern.replace("{product_id}", _quoted(row[OFFER] or row[PRODUCT] or ""))
        filled = filled.replace("{customer_id}", _quoted(row[CUSTOMER]))
        return filled.replace("{message_id}", fetch.message_id)

    return get


def _quoted(text: str) -> str:
    return text if text.isascii() and text.isalnum() else quote(text, safe="")


MAKERS: dict[str, Callable[[Fetch], Getter]] = {
    "customer.id": lambda _fetch: itemgetter(CUSTOMER),
    "customer.name": _customer("name"),
    "customer.gender": _customer("gender"),
    "customer.birthday": _birthday,
    "customer.lunar_birthday": _lunar_birthday,
    "customer.locale": _customer("locale"),
    "customer.zone": _customer("zone"),
    "customer.staff": _staff_name,
    "customer.store": _store_name,
    "customer.tags": _tags,
    "product.id": lambda _fetch: itemgetter(PRODUCT),
    "product.name": _product_field("name"),
    "product.category": _product_field("category"),
    "product.price": _product_price,
    "product.price_before": _price_before,
    "offer.id": lambda fetch: lambda row: row[OFFER] or row[PRODUCT],
    "offer.name": _offer_name,
    "offer.price": _offer_price,
    "offer.is_substitute": lambda fetch: lambda row: row[OFFER] is not None,
    "purchase.date": lambda fetch: _day(fetch, ANCHOR_AT),
    "purchase.quantity": _quantity,
    "purchase.price": _purchase_price,
    "purchase.amount": _purchase_amount,
    "purchase.order_id": lambda _fetch: itemgetter(ORDER),
    "purchase.products": _order,
    "due.date": _due_day,
    "due.days": _due_days,
    "due.in_words": _due_in_words,
    "bundle": _bundle,
    "festival.name": _festival,
    "reorder.url": _reorder_url,
    "staff.name": _staff_name,
    "message.id": lambda fetch: lambda row: fetch.message_id,
    "language": _language,
}
"""How the value of each name is made; those that are the same for everybody come with the step."""


def _tags_of(connection: Connection, rows: Sequence[Row], now: datetime) -> dict[tuple[int, str], list[str]]:
    found: dict[tuple[int, str], list[str]] = defaultdict(list)
    select = (
        sa.select(tags.c.bucket, tags.c.customer_id, tags.c.tag)
        .distinct()
        .where(
            *_of_these(tags, rows),
            tags.c.set_at <= now,
            sa.or_(tags.c.expires_at.is_(None), tags.c.expires_at > now),
        )
        .order_by(tags.c.bucket, tags.c.customer_id, tags.c.tag)
    )
    for bucket, customer_id, tag in connection.execute(select):
        found[bucket, customer_id].append(tag)
    return found


def _orders_of(
    connection: Connection, rows: Sequence[Row], now: datetime, library: Library
) -> dict[tuple[int, str, str], list[dict[str, Any]]]:
    found: dict[tuple[int, str, str], list[dict[str, Any]]] = defaultdict(list)
    line, known = purchases.alias(), library.catalog.cycles.products
    orders = sorted({row[ORDER] for row in rows if row[ORDER] is not None})
    quantity = sa.func.sum(kept_quantity(line))
    key = (line.c.bucket, line.c.customer_id, line.c.order_id, line.c.product_id)
    select = (
        sa.select(*key, products.c.name, quantity)
        .select_from(line.outerjoin(products, products.c.product_id == line.c.product_id))
        .where(*_of_these(line, rows), line.c.order_id.in_(orders), kept(line))
        .group_by(*key, products.c.name)
        .order_by(*key)
    )
    for bucket, customer_id, order_id, product_id, name, count in connection.execute(
        select, {NOW.key: clock.seconds(now)}
    ):
        entry = known.get(product_id)
        shown = (entry.name if entry else None) or name
        found[bucket, customer_id, order_id].append(
            {"id": product_id, "name": shown, "quantity": _number(count)}
        )
    return found


def beside_of(
    fetch: Fetch, connection: Connection, rows: Sequence[Row], now: datetime
) -> dict[tuple[int, str, str], list[dict[str, Any]]]:
    """What is named beside each of these candidates, the earliest due first."""
    one, offer, product = named(candidates, "beside"), named(products, "offer"), named(products, "product")
    offered = sa.func.coalesce(one.c.offer_id, one.c.product_id)
    moments = ("anchor_at", "runs_out_at")
    select = (
        sa.select(
            *(one.c[name] for name in ("bucket", "customer_id", "winner_anchor", "line")),
            *(one.c[name] for name in ("product_id", "quantity", "order_id", "offer_id")),
            *(sa.type_coerce(one.c[name], sa.BigInteger).label(name) for name in moments),
            *(product.c[name] for name in ("name", "category", "price", "currency")),
            offer.c.name.label("offer_name"),
        )
        .select_from(
            one.outerjoin(product, product.c.product_id == one.c.product_id).outerjoin(
                offer, offer.c.product_id == offered
            )
        )
        .where(
            *_of_these(one, rows),
            one.c.winner_playbook == fetch.playbook.name,
            one.c.winner_step == fetch.step.name,
            one.c.winner_anchor.in_(sorted({row[ANCHOR] for row in rows})),
            one.c.reason == str(Reason.BUNDLED),
        )
        .order_by(one.c.bucket, one.c.customer_id, one.c.due_at, one.c.anchor)
    )
    today = clock.local_day(now, fetch.settings.shop.tz)
    found: dict[tuple[int, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in connection.execute(select):
        found[row.bucket, row.customer_id, row.winner_anchor].append(_beside(fetch, row, today))
    return found


def _beside(fetch: Fetch, row: Any, today: date) -> dict[str, Any]:
    """One product named beside another, as plain values."""
    known, shop = fetch.library.catalog.cycles.products, fetch.settings.shop

    def shown(product_id: str, name: str | None) -> str:
        entry = known.get(product_id)
        return (entry.name if entry else None) or name or row.line or product_id

    entry = known.get(row.product_id)
    due = _local_day(row.runs_out_at, shop.tz)
    return {
        "product": {
            "id": row.product_id,
            "name": shown(row.product_id, row.name),
            "category": (entry.category if entry else None) or row.category,
            "price": None if row.price is None else money(row.price, row.currency or shop.currency),
        },
        "purchase": {
            "date": _local_day(row.anchor_at, shop.tz),
            "quantity": _number(row.quantity),
            "order_id": row.order_id,
        },
        "due": {"date": due, "days": (due - today).days},
        "offer": {
            "id": row.offer_id or row.product_id,
            "name": shown(row.offer_id or row.product_id, row.offer_name),
            "is_substitute": row.offer_id is not None,
        },
    }


def _of_these(table: FromClause, rows: Sequence[Row]) -> tuple[ColumnElement[bool], ...]:
    buckets = [row[BUCKET] for row in rows]
    names = sorted({row[CUSTOMER] for row in rows})
    return table.c.bucket.between(min(buckets), max(buckets)), table.c.customer_id.in_(names)
