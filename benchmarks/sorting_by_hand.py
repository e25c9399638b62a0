"""Sorting everybody by hand: the segments, ladders and tags of `sorting`, one statement for each.

    python -m benchmarks.sorting_by_hand URL SECONDS

In: a base with nobody sorted in it, and the time. The SQL of somebody who knows what each definition means
and nothing else of smr: purchases grouped by customer as each definition needs them, refunds taken off,
opt-outs heeded. It forgets what smr keeps beside: who left, and when which answer may change by the clock.
Prints one JSON line: seconds, and who is where.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from typing import Any

import psycopg

from benchmarks.sorting import COUNTS

DAY = 86_400
SAME_LINE = """FROM refunds r WHERE r.bucket = p.bucket AND r.customer_id = p.customer_id
  AND r.order_id = p.order_id AND r.product_id = p.product_id AND r.line_no = p.line_no
  AND r.refunded_at <= :now"""
REFUNDED = f"EXISTS (SELECT 1 {SAME_LINE})"
BACK = f"(SELECT sum(coalesce(r.quantity, p.quantity)) {SAME_LINE})"
SHARE = "CAST(p.amount * coalesce(r.quantity, p.quantity) / p.quantity AS BIGINT)"
PAID_BACK = f"coalesce((SELECT sum(coalesce(r.amount, {SHARE})) {SAME_LINE}), 0)"
KEPT = f"""(p.kind IS NULL OR p.kind = 'sale') AND p.purchased_at <= :now
  AND (NOT {REFUNDED} OR p.quantity > {BACK})"""
EVERYBODY = "SELECT c.bucket, c.customer_id FROM customers c"


def bought(having: str, days: int | None = None, categories: tuple[str, ...] = ()) -> str:
    """Customers whose kept purchases, so recent and of these categories, come to that."""
    recent = f" AND p.purchased_at > :now - {days * DAY}" if days else ""
    names = ", ".join(f"'{name}'" for name in categories)
    goods = (
        f" AND p.product_id IN (SELECT product_id FROM products WHERE category IN ({names}))" if names else ""
    )
    grouped = f"SELECT p.bucket, p.customer_id FROM purchases p WHERE {KEPT}{recent}{goods} GROUP BY 1, 2"
    return f"{grouped} HAVING {having}"


def spent(having: str, days: int) -> str:
    """Customers whose money in so many days comes to that; who spent nothing is not among them."""
    spend = f"sum(p.amount - {PAID_BACK})"
    return bought(having.format(spend=spend), days).replace(
        " GROUP BY", " AND (p.currency IS NULL OR p.currency = 'CNY') GROUP BY"
    )


def did(kinds: tuple[str, ...], days: int, least: int) -> str:
    """Customers who did that so often."""
    names = ", ".join(f"'{name}'" for name in kinds)
    return f"""SELECT i.bucket, i.customer_id FROM interactions i WHERE i.kind IN ({names})
      AND i.happened_at <= :now AND i.happened_at > :now - {days * DAY}
      GROUP BY 1, 2 HAVING count(*) >= {least}"""


def without(taken: str) -> str:
    """Everybody but these."""
    return f"{EVERYBODY} EXCEPT {taken}"


def member(name: str) -> str:
    """Those who are in a segment."""
    return f"SELECT bucket, customer_id FROM members WHERE segment = '{name}' AND left_at IS NULL"


def stands(*names: str) -> str:
    """Those who stand at one of these stages."""
    some = ", ".join(f"'{name}'" for name in names)
    return f"""SELECT bucket, customer_id FROM stages WHERE ladder = 'lifecycle' AND stage IN ({some})
      AND left_at IS NULL"""


def supply(category: str, bounds: str) -> str:
    """Those whose supply of it runs out in these bounds."""
    return f"""SELECT s.bucket, s.customer_id FROM supplies s
      WHERE s.kind = 'category' AND s.line = '{category}' AND {bounds}"""


ORDERS = "count(DISTINCT p.order_id)"
LAST = "max(p.purchased_at)"
SEGMENTS = {
    "bought": bought("true"),
    "fresh": bought(f"{LAST} > :now - {30 * DAY}", 30),
    "resting": bought(f"{LAST} < :now - {60 * DAY} AND {LAST} > :now - {120 * DAY}", 120),
    "new": bought(f"min(p.purchased_at) > :now - {60 * DAY}"),
    "twice": bought(f"{ORDERS} >= 2", 90),
    "regular": bought(f"{ORDERS} >= 3", 180),
    "big": spent("{spend} >= 200000", 365),
    "small": without(spent("{spend} > 20000", 365)),
    "much": bought(f"sum(CASE WHEN {REFUNDED} THEN p.quantity - {BACK} ELSE p.quantity END) >= 10", 180),
    "cats": bought("true", 120, ("猫粮",)),
    "face": bought("true", 180, ("洁面", "面霜", "精华")),
    "baby": bought(f"{ORDERS} >= 2", 180, ("奶粉", "纸尿裤")),
    "coffee-out": supply("咖啡", f"s.runs_out_at <= :now - {7 * DAY}"),
    "face-soon": supply("洁面", f"s.runs_out_at > :now AND s.runs_out_at <= :now + {14 * DAY}"),
    "reads": did(("moments_read",), 30, 2),
    "active": did(("chat", "click", "moments_like", "visit"), 60, 2),
    "reached": """SELECT a.bucket, a.customer_id FROM addresses a WHERE a.channel = 'wecom'
      AND a.undeliverable_since IS NULL AND coalesce((SELECT max(s.decided_at * 2 + CASE WHEN s.granted THEN 0
        ELSE 1 END) FROM consents s WHERE s.bucket = a.bucket AND s.customer_id = a.customer_id
        AND s.channel IN ('wecom', '*') AND s.purpose IN ('marketing', '*')
        AND s.decided_at <= :now) % 2, 0) = 0""",
    "loyal": f"{member('regular')} INTERSECT {member('big')}",
}
LATE = {
    "cooling": f"{stands('成熟期', '成长期')} EXCEPT {member('fresh')}",
    "asleep-readers": f"{stands('休眠期', '流失期')} INTERSECT {member('reads')}",
}
LIFECYCLE = f"""
SELECT c.bucket, c.customer_id, 'lifecycle', :now, CASE
  WHEN b.last < :now - {180 * DAY} THEN '流失期' WHEN b.last < :now - {90 * DAY} THEN '休眠期'
  WHEN b.lately >= 3 THEN '成熟期' WHEN b.last IS NOT NULL THEN '成长期' ELSE '引入期' END,
  CAST(NULL AS BIGINT)
FROM customers c LEFT JOIN (
  SELECT p.bucket, p.customer_id, {LAST} AS last,
    count(DISTINCT CASE WHEN p.purchased_at > :now - {180 * DAY} THEN p.order_id END) AS lately
  FROM purchases p WHERE {KEPT} GROUP BY 1, 2
) b ON b.bucket = c.bucket AND b.customer_id = c.customer_id"""
ACTS = """'chat', 'reply', 'moments_read', 'moments_like', 'moments_comment', 'click', 'group_joined',
  'group_message', 'visit', 'live', 'friend_added'"""
TIER = f"""
SELECT c.bucket, c.customer_id, 'tier', :now, CASE
  WHEN b.orders >= 5 AND b.spend >= 100000 THEN '铁杆' WHEN b.orders >= 1 THEN '付费'
  WHEN i.acts >= 3 THEN '活跃' WHEN i.added >= 1 THEN '新激活' ELSE '普通' END, CAST(NULL AS BIGINT)
FROM customers c LEFT JOIN (
  SELECT p.bucket, p.customer_id, {ORDERS} AS orders, sum(CASE WHEN p.currency IS NULL OR p.currency = 'CNY'
    THEN p.amount - {PAID_BACK} END) AS spend
  FROM purchases p WHERE {KEPT} AND p.purchased_at > :now - {365 * DAY} GROUP BY 1, 2
) b ON b.bucket = c.bucket AND b.customer_id = c.customer_id LEFT JOIN (
  SELECT i.bucket, i.customer_id, count(CASE WHEN i.kind IN ({ACTS}) THEN 1 END) AS acts,
    count(CASE WHEN i.kind = 'friend_added' THEN 1 END) AS added
  FROM interactions i WHERE i.happened_at <= :now AND i.happened_at > :now - {30 * DAY} GROUP BY 1, 2
) i ON i.bucket = c.bucket AND i.customer_id = c.customer_id"""
TAGS = {"大客户": spent("{spend} >= 300000", 365), "爱互动": did(("moments_like", "click"), 30, 2)}


def statements() -> list[str]:
    """All of them, in the order in which they use each other."""
    into = "INSERT INTO members (bucket, customer_id, segment, entered_at)"
    rung = "INSERT INTO stages (bucket, customer_id, ladder, entered_at, stage, left_at)"
    tag = "INSERT INTO tags (bucket, customer_id, tag, source, set_at)"

    def put(name: str, whom: str) -> str:
        return f"{into} SELECT w.bucket, w.customer_id, '{name}', :now FROM ({whom}) w"

    return [
        *(put(name, whom) for name, whom in SEGMENTS.items()),
        f"{rung} {LIFECYCLE}",
        f"{rung} {TIER}",
        *(put(name, whom) for name, whom in LATE.items()),
        *(
            f"{tag} SELECT w.bucket, w.customer_id, '{name}', 'rule', :now FROM ({whom}) w"
            for name, whom in TAGS.items()
        ),
    ]


def main(url: str, at: str) -> None:
    """Sort, and print how long it took and who is where."""
    now = int(at)
    connection, mark = _open(url)
    started = time.perf_counter()
    for statement in statements():
        connection.execute(mark(statement), {"now": now})
    connection.commit()
    seconds = time.perf_counter() - started
    counts = dict(connection.execute(COUNTS).fetchall())
    connection.close()
    print(json.dumps({"seconds": seconds, "counts": counts}, ensure_ascii=False))


def _open(url: str) -> tuple[Any, Any]:
    if url.startswith("sqlite"):
        found = sqlite3.connect(url.removeprefix("sqlite:///"))
        found.execute("PRAGMA cache_size=-16000")
        found.execute("PRAGMA synchronous=FULL")
        return found, lambda statement: statement
    return psycopg.connect(url), lambda statement: statement.replace("%", "%%").replace(":now", "%(now)s")


if __name__ == "__main__":
    main(*sys.argv[1:])
