"""A world straight into smr's tables, and as files for `smr import`.

In: a database whose schema exists. The fast way round the importer, so that ten million lines take a
minute: rows arrive in the order of the primary keys, through the driver, on SQLite without a journal. All
rows are marked as changed, as the importer would.
"""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.world import OPENED, SHOP_ZONE, Customer, Line, NewLine, World

Rows = list[tuple[Any, ...]]
Put = Callable[[str, Rows], None]
"""Stores rows in a table, in the order of COLUMNS."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "products": ("product_id", "name", "category", "price", "currency", "units"),
    "customers": ("bucket", "customer_id", "dice", "name", "first_seen_at"),
    "addresses": ("bucket", "customer_id", "channel", "address"),
    "consents": ("bucket", "customer_id", "channel", "purpose", "decided_at", "granted", "source"),
    "purchases": (
        "bucket",
        "customer_id",
        "order_id",
        "product_id",
        "line_no",
        "purchased_at",
        "quantity",
        "amount",
        "currency",
    ),
    "changed_customers": ("bucket", "customer_id", "import_id"),
}
AT_ONCE = 10_000
FIRST_IMPORT = 1


def load(url: str, world: World, *, purchases: bool = True) -> int:
    """Put the whole world into the database of that URL; the number of purchase lines."""
    if url.startswith("sqlite"):
        return _load_sqlite(url.removeprefix("sqlite:///"), world, purchases)
    return _load_postgresql(url, world, purchases)


def _load_sqlite(path: str, world: World, purchases: bool) -> int:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-65536"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN IMMEDIATE")

        def put(table: str, rows: Rows) -> None:
            names = COLUMNS[table]
            marks = ", ".join("?" * len(names))
            connection.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", rows)

        lines = _put_world(put, world, purchases)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode=WAL")
        return lines
    finally:
        connection.close()


def _load_postgresql(url: str, world: World, purchases: bool) -> int:
    with psycopg.connect(url) as connection:

        def put(table: str, rows: Rows) -> None:
            into = f"COPY {table} ({', '.join(COLUMNS[table])}) FROM STDIN"
            with connection.cursor() as cursor, cursor.copy(into) as copy:
                for row in rows:
                    copy.write_row(row)

        return _put_world(put, world, purchases)


def tidy(url: str) -> None:
    """What autovacuum does soon after a load: PostgreSQL gets its statistics and visibility maps."""
    if url.startswith("sqlite"):
        return
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


def _put_world(put: Put, world: World, purchases: bool) -> int:
    put("products", [(p.product_id, p.name, p.category, p.price, "CNY", 1.0) for p in world.products])
    stream = world.shoppers()
    count = 0
    while some := list(islice(stream, AT_ONCE)):
        customers = [customer for customer, _ in some]
        _put_customers(put, customers)
        if purchases:
            lines = [_purchase(customer, line) for customer, bought in some for line in bought]
            count += len(lines)
            put("purchases", lines)
            put("changed_customers", [(c.bucket, c.customer_id, FIRST_IMPORT) for c in customers])
    return count


def _put_customers(put: Put, customers: list[Customer]) -> None:
    put("customers", [(c.bucket, c.customer_id, c.dice, c.name, OPENED) for c in customers])
    put(
        "addresses",
        [(c.bucket, c.customer_id, "wecom", f"wm_{c.customer_id}") for c in customers if c.has_address],
    )
    put(
        "consents",
        [(c.bucket, c.customer_id, "*", "marketing", OPENED, True, "benchmark") for c in customers],
    )


def _purchase(customer: Customer, line: Line) -> tuple[Any, ...]:
    order_id, product_id, line_no, at, quantity, amount = line
    return (customer.bucket, customer.customer_id, order_id, product_id, line_no, at, quantity, amount, "CNY")


IMPORTED = ("customer_id", "product_id", "category", "quantity", "unit_price", "purchased_at", "order_id")


def write_csv(path: Path, world: World, lines: Iterable[NewLine]) -> None:
    """The lines as a CSV file with the columns that `smr import` knows without being told."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(IMPORTED)
        writer.writerows(_imported(world, lines))


def write_parquet(path: Path, world: World, lines: Iterable[NewLine]) -> None:
    """The same as a Parquet file."""
    columns = zip(*_imported(world, lines), strict=True)
    pq.write_table(pa.table(dict(zip(IMPORTED, (list(column) for column in columns), strict=True))), path)


def _imported(world: World, lines: Iterable[NewLine]) -> Iterator[tuple[Any, ...]]:
    category = {product.product_id: product.category for product in world.products}
    for new in lines:
        order_id, product_id, _, at, quantity, amount = new.line
        when = datetime.fromtimestamp(at, SHOP_ZONE).strftime("%Y-%m-%dT%H:%M:%S")
        price = amount / quantity / 100
        yield new.customer_id, product_id, category[product_id], quantity, price, when, order_id
