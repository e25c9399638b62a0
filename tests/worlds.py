"""Worlds for tests: customers and what happened to them, as plain values, put straight into the tables.

    world = World(now=NOW)
    world.product("P1", category="洁面")
    world.customer("ana", addresses={"wecom": "wm-ana"}, consent=True)
    bought = world.purchase("ana", "P1", days_ago=44)
    world.refund(bought, days_ago=3)
    put(database, world)

Everything has a full default. Ids of orders, refunds and interactions count up within the world, so that
the same calls give the same world. `put` writes the facts and the marks of changed customers in one
transaction; with `buckets` it writes only the customers of those buckets (products and other reference
rows always). A world that has grown may be put again: what is there already stays as it is. The values
stay in the world's lists, for a plain reading of the facts in a test.
`random_worlds()` is a hypothesis strategy: few customers with very uneven histories.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from smr import tables
from smr.chat import Listener, built_in
from smr.database import Database, insert_missing
from smr.facts.heard import Mention, heard_in, record
from smr.tables import bucket_of, dice_of

NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
"""09:00 on a Monday in Shanghai."""


@dataclass(frozen=True)
class Customer:
    """A row of `customers`."""

    customer_id: str
    name: str | None = None
    gender: str | None = None
    birthday: str | None = None
    lunar_birthday: str | None = None
    zone: str | None = None
    locale: str | None = None
    staff_id: str | None = None
    store_id: str | None = None
    attributes: dict[str, Any] | None = None
    first_seen_at: datetime = NOW - timedelta(days=400)


@dataclass(frozen=True)
class Address:
    """A row of `addresses`."""

    customer_id: str
    channel: str
    address: str
    undeliverable_since: datetime | None = None


@dataclass(frozen=True)
class Consent:
    """A row of `consents`."""

    customer_id: str
    decided_at: datetime
    granted: bool = True
    channel: str = "*"
    purpose: str = "*"
    source: str | None = "test"


@dataclass(frozen=True)
class Purchase:
    """A row of `purchases`: one bought line."""

    customer_id: str
    order_id: str
    product_id: str
    purchased_at: datetime
    line_no: int = 1
    quantity: float = 1.0
    amount: int | None = 10_000
    currency: str | None = "CNY"
    delivered_at: datetime | None = None
    kind: str | None = None


@dataclass(frozen=True)
class Refund:
    """A row of `refunds`; without a quantity it takes the whole line back."""

    customer_id: str
    refund_id: str
    order_id: str
    product_id: str
    refunded_at: datetime
    line_no: int = 1
    quantity: float | None = None
    amount: int | None = None


@dataclass(frozen=True)
class Tag:
    """A row of `tags`."""

    customer_id: str
    tag: str
    set_at: datetime
    expires_at: datetime | None = None
    source: str | None = "test"
    reason: str | None = None


@dataclass(frozen=True)
class Interaction:
    """A row of `interactions`."""

    customer_id: str
    interaction_id: str
    happened_at: datetime
    kind: str = "chat"
    channel: str | None = "wecom"
    content: str | None = None
    attributes: dict[str, Any] | None = None


LISTENER = Listener(built_in())
"""Who listens to what is said in these worlds."""


@dataclass(frozen=True)
class Product:
    """A row of `products`."""

    product_id: str
    name: str | None = None
    category: str | None = None
    price: int | None = 10_000
    currency: str | None = "CNY"
    units: float = 1.0
    attributes: dict[str, Any] | None = None


@dataclass
class World:
    """A shop's facts, growing call by call; times are given as days before `now`."""

    now: datetime = NOW
    products: list[Product] = field(default_factory=list)
    customers: list[Customer] = field(default_factory=list)
    addresses: list[Address] = field(default_factory=list)
    consents: list[Consent] = field(default_factory=list)
    purchases: list[Purchase] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)
    interactions: list[Interaction] = field(default_factory=list)

    def ago(self, days: float) -> datetime:
        """The instant so many days before `now`."""
        return self.now - timedelta(seconds=round(days * 86_400))

    def product(self, product_id: str, **columns: Any) -> Product:
        """A product of that id."""
        return _kept(self.products, Product(product_id, **{"name": product_id, **columns}))

    def customer(
        self,
        customer_id: str,
        *,
        addresses: dict[str, str] | None = None,
        consent: bool | None = None,
        **columns: Any,
    ) -> Customer:
        """A customer, with addresses per channel and, where said, one consent (or refusal) for everything."""
        for channel, address in (addresses or {}).items():
            self.addresses.append(Address(customer_id, channel, address))
        if consent is not None:
            self.consent(customer_id, granted=consent)
        return _kept(self.customers, Customer(customer_id, **{"name": customer_id.title(), **columns}))

    def consent(self, customer_id: str, *, days_ago: float = 300, **columns: Any) -> Consent:
        """A consent; `granted=False` for a refusal."""
        return _kept(self.consents, Consent(customer_id, self.ago(days_ago), **columns))

    def purchase(self, customer_id: str, product_id: str, *, days_ago: float, **columns: Any) -> Purchase:
        """One bought line, in an order of its own unless `order_id` is given."""
        order_id = columns.pop("order_id", f"o{len(self.purchases) + 1}")
        line = Purchase(customer_id, order_id, product_id, self.ago(days_ago), **columns)
        return _kept(self.purchases, line)

    def refund(self, line: Purchase, *, days_ago: float, **columns: Any) -> Refund:
        """A refund of a line, or of `quantity` pieces of it."""
        number = f"r{len(self.refunds) + 1}"
        place = (line.customer_id, number, line.order_id, line.product_id, self.ago(days_ago), line.line_no)
        return _kept(self.refunds, Refund(*place, **columns))

    def tag(self, customer_id: str, tag: str, *, days_ago: float = 1, **columns: Any) -> Tag:
        """A tag on a customer."""
        return _kept(self.tags, Tag(customer_id, tag, self.ago(days_ago), **columns))

    def interaction(self, customer_id: str, *, days_ago: float = 1, **columns: Any) -> Interaction:
        """Something a customer said or did."""
        number = f"i{len(self.interactions) + 1}"
        return _kept(self.interactions, Interaction(customer_id, number, self.ago(days_ago), **columns))


def put(database: Database, world: World, *, buckets: Collection[int] | None = None) -> int:
    """Write a world's facts and mark its customers as changed; gives the number of the import."""
    with database.write() as connection:
        import_id = _import(connection, world.now)
        _insert(connection, tables.products, [asdict(product) for product in world.products])
        owned = {
            tables.customers: [{**asdict(one), "dice": dice_of(one.customer_id)} for one in world.customers],
            tables.addresses: _rows(world.addresses),
            tables.consents: _rows(world.consents),
            tables.purchases: _rows(world.purchases),
            tables.refunds: _rows(world.refunds),
            tables.tags: _rows(world.tags),
            tables.interactions: _rows(world.interactions),
        }
        touched = sorted({row["customer_id"] for rows in owned.values() for row in rows})
        owned[tables.changed_customers] = [
            {"customer_id": one, "import_id": import_id, "bought_since": _since(world, one)}
            for one in touched
        ]
        for table, rows in owned.items():
            placed = [{"bucket": bucket_of(row["customer_id"]), **row} for row in rows]
            _insert(connection, table, [row for row in placed if buckets is None or row["bucket"] in buckets])
        heard = [one for said in world.interactions for one in mentions_of(said)]
        record(connection, LISTENER, [one for one in heard if buckets is None or one.bucket in buckets])
    return import_id


def _since(world: World, customer_id: str) -> datetime | int | None:
    """What an import of these facts says: the earliest purchase, nothing where there are refunds."""
    if any(back.customer_id == customer_id for back in world.refunds):
        return None
    bought = [line.purchased_at for line in world.purchases if line.customer_id == customer_id]
    return min(bought, default=tables.NEVER)


def mentions_of(said: Interaction) -> list[Mention]:
    """What is heard in an interaction."""
    at = int(said.happened_at.timestamp())
    place = (bucket_of(said.customer_id), said.customer_id)
    return [
        Mention(*place, topic, said.interaction_id, at, word)
        for topic, word in heard_in(LISTENER, said.kind, said.content)
    ]


def _crowded(size: int) -> tuple[str, ...]:
    """Ids of customers of which several share a bucket, as happens in any real shop."""
    by_bucket: dict[int, list[str]] = defaultdict(list)
    for number in range(6_000):
        by_bucket[bucket_of(f"c{number}")].append(f"c{number}")
    fullest = sorted(by_bucket.values(), key=lambda ids: (-len(ids), ids))
    return tuple([one for ids in fullest for one in ids][:size])


CUSTOMERS = (*_crowded(20), "小林", "ana@example.org", "0017", "Zoë")
PRODUCTS = {"P1": "洁面", "P2": "洁面", "P3": "猫粮", "P4": None}
_Row = TypeVar("_Row")


@st.composite
def random_worlds(
    draw: st.DrawFn,
    now: datetime = NOW,
    least: int = 1,
    most: int = 12,
    channels: Sequence[str] = ("wecom", "sms"),
) -> World:
    """Worlds whose customers differ widely: most buy little, a few very much.

    Lines share orders and timestamps; refunds are partial, whole and doubled; consents are given, refused
    and missing; tags expire; some customers share a bucket.
    """
    world = World(now=now)
    for product_id, category in PRODUCTS.items():
        world.product(product_id, category=category, units=draw(st.sampled_from((1.0, 1.0, 2.0))))
    people = st.lists(st.sampled_from(CUSTOMERS), min_size=least, max_size=most, unique=True)
    for customer_id in draw(people):
        _random_customer(draw, world, customer_id, channels)
        _random_history(draw, world, customer_id)
    return world


def _random_customer(draw: st.DrawFn, world: World, customer_id: str, channels: Sequence[str]) -> None:
    reached = draw(st.sampled_from((channels, channels, channels[:1], channels[1:], ())))
    world.customer(
        customer_id,
        addresses={channel: f"{channel}-{customer_id}" for channel in reached},
        consent=draw(st.sampled_from((True, True, True, False, None))),
        zone=draw(st.sampled_from((None, None, "Asia/Tokyo", "America/New_York"))),
        gender=draw(st.sampled_from((None, "f", "m"))),
        birthday=draw(st.sampled_from((None, "1990-11-23", "1988-11-24", "2000-02-29"))),
        lunar_birthday=draw(st.sampled_from((None, "1990-10-15", "0000-10-15", "1984-L10-15"))),
        attributes=draw(st.sampled_from((None, {"size": 1}, {"size": 3}))),
    )
    for tag in draw(st.sampled_from(((), (), (), (), ("vip",), ("投诉中",), ("vip", "投诉中")))):
        days_ago = draw(st.integers(0, 30))
        expires_at = draw(st.sampled_from((None, world.ago(5), world.ago(-5))))
        world.tag(customer_id, tag, days_ago=days_ago, expires_at=expires_at)


def _random_history(draw: st.DrawFn, world: World, customer_id: str) -> None:
    most = draw(st.sampled_from((1, 2, 3, 15)))
    for number in range(draw(st.integers(0, most))):
        days_ago = draw(_DAYS_AGO)
        lines = draw(st.lists(_LINE, min_size=1, max_size=3, unique_by=lambda line: line[:2]))
        for product_id, line_no, quantity, kind in lines:
            line = world.purchase(
                customer_id,
                product_id,
                days_ago=days_ago,
                order_id=f"{customer_id}-{number}",
                line_no=line_no,
                quantity=quantity,
                kind=kind,
            )
            _random_refunds(draw, world, line, days_ago)
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2, 6)))):
        kind, content = draw(st.sampled_from(_DEEDS))
        world.interaction(customer_id, days_ago=draw(_DAYS_AGO), kind=kind, content=content)


def _random_refunds(draw: st.DrawFn, world: World, line: Purchase, days_ago: float) -> None:
    for quantity in draw(st.sampled_from(((), (), (), (), (None,), (1.0,), (1.0, 1.0), (99.0,)))):
        world.refund(line, days_ago=days_ago * draw(st.sampled_from((0.0, 0.5, 0.9))), quantity=quantity)


_DAYS_AGO = st.builds(
    lambda days, hours: days + hours / 24,
    st.one_of(
        st.sampled_from((0, 6, 7, 10, 11, 12, 29, 30, 40, 41, 42)), st.integers(0, 60), st.integers(60, 380)
    ),
    st.sampled_from((0, 0, 1, 9, 13)),
)
_DEEDS: tuple[tuple[str, str | None], ...] = (
    ("chat", "脸过敏了"),
    ("chat", "多少钱？宝宝能用吗"),
    ("answer", "过敏吗"),
    ("moments_like", None),
    ("click", None),
    ("friend_added", None),
)
_LINE = st.tuples(
    st.sampled_from(tuple(PRODUCTS)),
    st.sampled_from((1, 1, 1, 2)),
    st.sampled_from((1.0, 1.0, 2.0, 3.0, 0.5)),
    st.sampled_from((None, None, None, None, "sample", "gift")),
)


def _kept(rows: list[_Row], row: _Row) -> _Row:
    rows.append(row)
    return row


def _rows(values: Sequence[Any]) -> list[dict[str, Any]]:
    return [asdict(value) for value in values]


def _import(connection: Connection, now: datetime) -> int:
    noted = sa.insert(tables.imports).values(kind="world", source="test", started_at=now, finished_at=now)
    return int(connection.execute(noted.returning(tables.imports.c.import_id)).scalar_one())


def _insert(connection: Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert_missing(connection.dialect.name, table), rows)
