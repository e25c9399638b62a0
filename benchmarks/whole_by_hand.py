"""The whole way by hand: from the day's purchases to outbox rows, with a row that tells each decision.

    python -m benchmarks.whole_by_hand URL RULES.json [--evaluate REPEATS]

What `by_hand` leaves out and smr does: buyers and supplies of those who bought are brought up to date first,
and for everybody who is due a candidate is written down, with the reason where nothing is sent: refunds, open
complaints, stock and opt-outs are heeded. Same tables, same indexes, the best technique known for each
engine. Still no fallback channel, no answer that changes by the clock, no check of the text.
Prints one JSON line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.by_hand import Postgresql, Row, Sqlite, Texts, read, values

MARKED = "SELECT bucket, customer_id, min(bought_since) AS since FROM changed_customers GROUP BY 1, 2"
BUYERS = f"""
INSERT INTO buyers (bucket, customer_id, first_purchased_at, last_purchased_at)
SELECT m.bucket, m.customer_id, min(p.purchased_at), max(p.purchased_at)
FROM ({MARKED}) m JOIN purchases p ON p.bucket = m.bucket AND p.customer_id = m.customer_id
WHERE p.purchased_at >= m.since AND p.purchased_at <= {{now}}
GROUP BY 1, 2
ON CONFLICT (bucket, customer_id) DO UPDATE SET
  last_purchased_at = {{greatest}}(buyers.last_purchased_at, excluded.last_purchased_at)"""
SUPPLIES = f"""
INSERT INTO supplies (bucket, customer_id, kind, line, order_id, last_purchased_at, product_id, quantity,
                      purchases, runs_out_at, unit_lasts, basis)
SELECT n.*, 'category' FROM (
  SELECT f.bucket, f.customer_id, 'category', f.line,
         max(f.order_id) FILTER (WHERE f.place = 1), max(f.purchased_at),
         max(f.product_id) FILTER (WHERE f.place = 1), max(f.quantity) FILTER (WHERE f.place = 1),
         count(*) + coalesce(max(s.purchases), 0),
         {{greatest}}(coalesce(max(s.runs_out_at), 0), max(f.purchased_at - f.before)) + sum(f.stock),
         max(f.unit_lasts)
  FROM (
    SELECT p.*, g.category AS line, c.unit_lasts, CAST(p.quantity * c.unit_lasts AS BIGINT) AS stock,
           CAST(sum(p.quantity * c.unit_lasts) OVER w - p.quantity * c.unit_lasts AS BIGINT) AS before,
           row_number() OVER (PARTITION BY p.bucket, p.customer_id, g.category
             ORDER BY p.purchased_at DESC, p.order_id DESC, p.product_id DESC, p.line_no DESC) AS place
    FROM ({MARKED}) m JOIN purchases p ON p.bucket = m.bucket AND p.customer_id = m.customer_id
    JOIN products g ON g.product_id = p.product_id
    JOIN cycles c ON c.kind = 'category' AND c.line = g.category
    WHERE p.purchased_at >= m.since AND p.purchased_at <= {{now}}
    WINDOW w AS (PARTITION BY p.bucket, p.customer_id, g.category
      ORDER BY p.purchased_at, p.order_id, p.product_id, p.line_no)
  ) f LEFT JOIN supplies s
    ON s.bucket = f.bucket AND s.customer_id = f.customer_id AND s.kind = 'category' AND s.line = f.line
  GROUP BY 1, 2, 3, 4
) n WHERE true
ON CONFLICT (bucket, customer_id, kind, line) DO UPDATE SET
  order_id = excluded.order_id, last_purchased_at = excluded.last_purchased_at,
  product_id = excluded.product_id, quantity = excluded.quantity, purchases = excluded.purchases,
  runs_out_at = excluded.runs_out_at"""
DECIDED = """
SELECT d.*, c.name, a.address FROM (
  SELECT s.bucket, s.customer_id, s.order_id || '/' || s.line AS anchor, s.product_id, s.quantity,
         s.last_purchased_at, s.runs_out_at, s.order_id, CASE
    WHEN EXISTS (
      SELECT 1 FROM purchases q
      WHERE q.bucket = s.bucket AND q.customer_id = s.customer_id AND q.purchased_at > s.last_purchased_at
        AND q.product_id IN (SELECT p.product_id FROM products p WHERE p.category = {category}))
      THEN 'bought_already'
    WHEN (SELECT count(DISTINCT o.order_id) FROM purchases o
          WHERE o.bucket = s.bucket AND o.customer_id = s.customer_id
            AND o.purchased_at >= {orders_since} AND (o.kind IS NULL OR o.kind = 'sale')
            AND NOT EXISTS (
              SELECT 1 FROM refunds r
              WHERE r.bucket = o.bucket AND r.customer_id = o.customer_id AND r.order_id = o.order_id
                AND r.product_id = o.product_id AND r.line_no = o.line_no
                AND coalesce(r.quantity, o.quantity) >= o.quantity)) < 2
      THEN 'not_in_segment'
    WHEN EXISTS (
      SELECT 1 FROM tags t
      WHERE t.bucket = s.bucket AND t.customer_id = s.customer_id AND t.tag IN ('投诉中', 'complaint')
        AND t.expires_at IS NULL)
      THEN 'complaint_open'
    WHEN EXISTS (SELECT 1 FROM products g WHERE g.product_id = s.product_id AND g.in_stock IS FALSE)
      THEN 'out_of_stock'
    WHEN (SELECT max(y.decided_at * 2 + CASE WHEN y.granted THEN 0 ELSE 1 END) FROM consents y
          WHERE y.bucket = s.bucket AND y.customer_id = s.customer_id AND y.channel IN ('wecom', '*')
            AND y.purpose IN ('marketing', '*')) & 1 = 1
      THEN 'opted_out'
    WHEN EXISTS (
      SELECT 1 FROM messages m
      WHERE m.bucket = s.bucket AND m.customer_id = s.customer_id AND m.queued_at > {capped_since})
      THEN 'frequency_cap' END AS reason
  FROM (
    SELECT k.bucket, k.customer_id, k.kind, k.line FROM supplies k
    WHERE k.kind = 'category' AND k.line = {category}
      AND k.runs_out_at > {due_from} AND k.runs_out_at < {due_before}
    {sorted}
  ) k JOIN supplies s
    ON s.bucket = k.bucket AND s.customer_id = k.customer_id AND s.kind = k.kind AND s.line = k.line
  {fence}
) d
JOIN customers c ON c.bucket = d.bucket AND c.customer_id = d.customer_id
LEFT JOIN addresses a ON a.bucket = d.bucket AND a.customer_id = d.customer_id AND a.channel = 'wecom'
  AND a.undeliverable_since IS NULL
"""
SORTED = {"sqlite": "GROUP BY 1, 2, 3, 4", "postgresql": "ORDER BY 1, 2, 3, 4"}
"""By their key, so that what lies side by side is read side by side."""
CANDIDATE = (
    "bucket, customer_id, playbook, step, anchor, anchor_at, kind, line, order_id, product_id, quantity,"
    " runs_out_at, due_at, expires_at, priority, state, reason, channel, run_id, judged_at, queued_at"
)
REASON, NAME, ADDRESS = 8, 9, 10


def main() -> None:
    """Bring the day up to date and run all playbooks (or evaluate the first one), print what was done."""
    url, path, *more = sys.argv[1:]
    rules = read(path)
    shop = WholeSqlite(url) if url.startswith("sqlite") else WholePostgresql(url)
    print(json.dumps(evaluate(shop, rules, int(more[1])) if more else run(shop, rules)))


def run(shop: WholeSqlite | WholePostgresql, rules: dict[str, Any]) -> dict[str, Any]:
    """The whole way: refresh, then one playbook after the other."""
    texts = Texts(rules, shop.products())
    started = time.perf_counter()
    shop.refresh(rules["now"])
    spent = {"refresh": time.perf_counter() - started, "decide": 0.0, "write": 0.0}
    decided = sent = 0
    for name, category, priority in rules["playbooks"]:
        started = time.perf_counter()
        found = shop.due(shop.decided, values(rules, category))
        shop.begin()
        shop.decide(list(candidates(rules, found, name, category, priority)))
        spent["decide"] += (begun := time.perf_counter()) - started
        passed = [
            (*row[:7], row[NAME], row[ADDRESS]) for row in found if row[REASON] is None and row[ADDRESS]
        ]
        messages = list(texts.messages(passed, name, priority))
        shop.put(messages)
        spent["write"] += time.perf_counter() - begun
        decided, sent = decided + len(found), sent + len(messages)
    return {"messages": sent, "decided": decided, **spent}


def evaluate(shop: WholeSqlite | WholePostgresql, rules: dict[str, Any], repeats: int) -> dict[str, Any]:
    """The first playbook decided and its decisions written, so many times, each time rolled back."""
    name, category, priority = rules["playbooks"][0]
    times, found = [], []
    for _ in range(repeats):
        started = time.perf_counter()
        shop.begin()
        found = shop.due(shop.decided, values(rules, category))
        shop.decide(list(candidates(rules, found, name, category, priority)))
        times.append(time.perf_counter() - started)
        shop.roll_back()
    return {"due": len(found), "seconds": sorted(times)[len(times) // 2]}


def candidates(
    rules: dict[str, Any], found: list[Row], playbook: str, category: str, priority: int
) -> Iterator[Row]:
    """One row of `candidates` for each row that is due."""
    step, now, useful_for = rules["step"], rules["now"], rules["useful_for"]
    for row in found:
        bucket, customer_id, anchor, product_id, quantity, bought_at, runs_out_at, order_id = row[:REASON]
        reason = row[REASON] or (None if row[ADDRESS] else "unreachable")
        state, queued_at = ("accepted", now) if reason is None else ("blocked", None)
        yield (
            bucket, customer_id, playbook, step, anchor, bought_at, "category", category, order_id,
            product_id, quantity, runs_out_at, runs_out_at, runs_out_at + useful_for, priority, state,
            reason, "wecom", 0, now, queued_at,
        )  # fmt: skip


class WholeSqlite(Sqlite):
    """SQLite: one transaction for the refresh, one for each playbook."""

    decided = DECIDED.replace("{sorted}", SORTED["sqlite"])

    def refresh(self, now: int) -> None:
        """Buyers and supplies of those who bought."""
        self.begin()
        for statement in (BUYERS, SUPPLIES):
            self._connection.execute(statement.format(greatest="max", now=now))
        self._connection.execute("DELETE FROM changed_customers")
        self._connection.execute("COMMIT")

    def put(self, messages: list[Row]) -> None:
        """Queue the messages of decisions just written down, and end the transaction."""
        self._put(messages)
        self._connection.execute("COMMIT")

    def begin(self) -> None:
        """Begin a transaction."""
        self._connection.execute("BEGIN IMMEDIATE")

    def decide(self, decided: list[Row]) -> None:
        """Write decisions down."""
        marks = ", ".join("?" * len(CANDIDATE.split(",")))
        self._connection.executemany(
            f"INSERT INTO candidates ({CANDIDATE}) VALUES ({marks}) ON CONFLICT DO NOTHING", decided
        )

    def roll_back(self) -> None:
        """Forget what was written."""
        self._connection.execute("ROLLBACK")


class WholePostgresql(Postgresql):
    """PostgreSQL: the same, by COPY."""

    decided = DECIDED.replace("{sorted}", SORTED["postgresql"])

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._connection.execute("CREATE TEMPORARY TABLE decided (LIKE candidates INCLUDING DEFAULTS)")
        self._connection.commit()

    def refresh(self, now: int) -> None:
        """Buyers and supplies of those who bought."""
        for statement in (BUYERS, SUPPLIES):
            self._connection.execute(statement.format(greatest="greatest", now=now).encode())
        self._connection.execute("DELETE FROM changed_customers")
        self._connection.commit()

    def put(self, messages: list[Row]) -> None:
        """Queue the messages of decisions just written down, and end the transaction."""
        self.insert(messages)

    def begin(self) -> None:
        """The driver begins by itself."""

    def decide(self, decided: list[Row]) -> None:
        """Write decisions down."""
        self._copy("decided", "candidates", CANDIDATE, decided)

    def roll_back(self) -> None:
        """Forget what was written."""
        self._connection.rollback()


if __name__ == "__main__":
    main()
