"""The reference: what somebody would write by hand who knows the tables and nothing else of smr.

    python benchmarks/by_hand.py URL RULES.json [--evaluate REPEATS]

Only the due query, rendering and a unique insert, as somebody skilled would write them: an index
range of the supplies, anti-joins on the primary key, the template's root function called directly, tuples
through the driver on SQLite, COPY into a temporary table on PostgreSQL. One transaction per playbook, in
the order of priority, since a cap over all playbooks must see what the earlier ones wrote.

It does less than smr on purpose: no segments, no refresh of what was imported, no row that tells why
somebody was not written to, no consents, no check of the text. Prints one JSON line.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import jinja2

Row = tuple[Any, ...]
DUE = """
SELECT s.bucket, s.customer_id, s.order_id || '/' || s.line AS anchor, s.product_id, s.quantity,
       s.last_purchased_at, s.runs_out_at
FROM supplies s
WHERE s.kind = 'category' AND s.line = {category}
  AND s.runs_out_at > {due_from} AND s.runs_out_at < {due_before}
  AND NOT EXISTS (
    SELECT 1 FROM purchases q
    WHERE q.bucket = s.bucket AND q.customer_id = s.customer_id AND q.purchased_at > s.last_purchased_at
      AND q.product_id IN (SELECT p.product_id FROM products p WHERE p.category = {category}))
  AND NOT EXISTS (
    SELECT 1 FROM messages m
    WHERE m.bucket = s.bucket AND m.customer_id = s.customer_id AND m.queued_at > {capped_since})
  AND (SELECT count(DISTINCT o.order_id) FROM purchases o
       WHERE o.bucket = s.bucket AND o.customer_id = s.customer_id AND o.purchased_at >= {orders_since}) >= 2
{fence}"""
TOLD = """
SELECT d.*, c.name, a.address FROM ({due}) d
JOIN customers c ON c.bucket = d.bucket AND c.customer_id = d.customer_id
JOIN addresses a ON a.bucket = d.bucket AND a.customer_id = d.customer_id AND a.channel = 'wecom'
"""
MESSAGE = (
    "bucket, customer_id, playbook, step, anchor, message_id, channel, address, purpose, body, priority,"
    " due_at, send_after, expires_at, state, run_id, version, queued_at"
)
KEYS = ("category", "due_from", "due_before", "capped_since", "orders_since")
Insert = Callable[[list[Row]], None]


def main() -> None:
    """Open the database, run all playbooks (or evaluate the first one), print what was done."""
    url, path, *more = sys.argv[1:]
    rules = read(path)
    shop = Sqlite(url) if url.startswith("sqlite") else Postgresql(url)
    print(json.dumps(evaluate(shop, rules, int(more[1])) if more else run(shop, rules)))


def read(path: str) -> dict[str, Any]:
    """The rules from that file."""
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - spares importing pathlib
        rules: dict[str, Any] = json.load(file)
    return rules


def run(shop: Sqlite | Postgresql, rules: dict[str, Any]) -> dict[str, Any]:
    """All playbooks, one after the other."""
    texts = Texts(rules, shop.products())
    spent = {"due": 0.0, "render": 0.0, "insert": 0.0}
    count = 0
    for name, category, priority in rules["playbooks"]:
        started = time.perf_counter()
        due = shop.due(TOLD.format(due=DUE), values(rules, category))
        found = time.perf_counter()
        rows = list(texts.messages(due, name, priority))
        rendered = time.perf_counter()
        shop.insert(rows)
        spent["due"] += found - started
        spent["render"] += rendered - found
        spent["insert"] += time.perf_counter() - rendered
        count += len(rows)
    return {"messages": count, **spent}


def evaluate(shop: Sqlite | Postgresql, rules: dict[str, Any], repeats: int) -> dict[str, Any]:
    """The first playbook's due query alone, so many times."""
    _, category, _ = rules["playbooks"][0]
    times, found = [], 0
    for _ in range(repeats):
        started = time.perf_counter()
        found = len(shop.due(DUE, values(rules, category)))
        times.append(time.perf_counter() - started)
    return {"due": found, "seconds": sorted(times)[len(times) // 2]}


def values(rules: dict[str, Any], category: str) -> dict[str, Any]:
    """What the due query is asked with."""
    return {"category": category, **{key: rules[key] for key in KEYS[1:]}}


class Texts:
    """Renders rows of the due query into rows of messages."""

    def __init__(self, rules: dict[str, Any], products: dict[str, tuple[str, str]]) -> None:
        self._rules = rules
        self._products = products
        environment = jinja2.Environment(autoescape=False)  # noqa: S701 - plain text
        environment.filters["day"] = _day
        self._template = environment.from_string(rules["template"])

    def messages(self, due: list[Row], playbook: str, priority: int) -> Iterator[Row]:
        """One row of `messages` for each row that is due."""
        rules, step = self._rules, self._rules["step"]
        now, useful_for = rules["now"], rules["useful_for"]
        root, new_context = self._template.root_render_func, self._template.new_context
        for bucket, customer_id, anchor, product_id, quantity, bought_at, runs_out_at, name, address in due:
            product, category = self._products[product_id]
            url = rules["reorder_url"].format(product_id=product_id, customer_id=customer_id)
            body = "".join(
                root(
                    new_context(
                        {
                            "customer": {"id": customer_id, "name": name},
                            "shop": {"name": rules["shop"]},
                            "purchase": {"date": bought_at, "quantity": f"{quantity:g}"},
                            "product": {"name": product, "category": category},
                            "reorder": {"url": url},
                        }
                    )
                )
            )
            key = f"{playbook}\0{step}\0{customer_id}\0{anchor}"
            message_id = f"{bucket:03x}{sha256(key.encode()).hexdigest()[:29]}"
            yield (
                bucket, customer_id, playbook, step, anchor, message_id, "wecom", address, "marketing", body,
                priority, runs_out_at, now, runs_out_at + useful_for, "queued", 0, "by hand", now,
            )  # fmt: skip


def _day(at: int) -> str:
    shown = time.gmtime(at + 8 * 3600)
    return f"{shown.tm_mon}月{shown.tm_mday}日"


class Sqlite:
    """The script's side of SQLite."""

    fence = ""

    def __init__(self, url: str) -> None:
        self._connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-16384"):
            self._connection.execute(f"PRAGMA {pragma}")

    def products(self) -> dict[str, tuple[str, str]]:
        """Name and category of each product."""
        found = self._connection.execute("SELECT product_id, name, category FROM products")
        return {product_id: (name, category) for product_id, name, category in found}

    def due(self, query: str, asked: dict[str, Any]) -> list[Row]:
        """All rows of the due query."""
        return self._connection.execute(
            query.format(fence=self.fence, **{key: f":{key}" for key in KEYS}), asked
        ).fetchall()

    def insert(self, rows: list[Row]) -> None:
        """Unique insert, in one transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._put(rows)
        self._connection.execute("COMMIT")

    def _put(self, rows: list[Row]) -> None:
        marks = ", ".join("?" * len(MESSAGE.split(",")))
        self._connection.executemany(
            f"INSERT INTO messages ({MESSAGE}) VALUES ({marks}) ON CONFLICT DO NOTHING", rows
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Postgresql:
    """The script's side of PostgreSQL.

    The planner takes bucket and customer_id for independent, believes that joins on both give next to
    nothing and then starts from a scan of all customers; the fence makes it find who is due first.
    Compiling costs more than these statements.
    """

    fence = "OFFSET 0"

    def __init__(self, url: str) -> None:
        import psycopg

        self._connection = psycopg.connect(url)
        self._connection.execute("SET jit = off")
        self._connection.execute("CREATE TEMPORARY TABLE fresh (LIKE messages INCLUDING DEFAULTS)")

    def products(self) -> dict[str, tuple[str, str]]:
        """Name and category of each product."""
        found = self._connection.execute("SELECT product_id, name, category FROM products")
        return {product_id: (name, category) for product_id, name, category in found}

    def due(self, query: str, asked: dict[str, Any]) -> list[Row]:
        """All rows of the due query."""
        cursor = self._connection.cursor(binary=True)
        return cursor.execute(
            query.format(fence=self.fence, **{key: f"%({key})s" for key in KEYS}).encode(), asked
        ).fetchall()

    def insert(self, rows: list[Row]) -> None:
        """Unique insert through a temporary table, in one transaction."""
        self._copy("fresh", "messages", MESSAGE, rows)
        self._connection.commit()

    def _copy(self, fresh: str, table: str, columns: str, rows: list[Row]) -> None:
        cursor = self._connection.cursor()
        with cursor.copy(f"COPY {fresh} ({columns}) FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)
        insert = f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {fresh} ON CONFLICT DO NOTHING"
        cursor.execute(insert.encode())
        cursor.execute(f"TRUNCATE {fresh}".encode())

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


if __name__ == "__main__":
    main()
