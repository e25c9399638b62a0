"""The reference of data science: the whole way with pandas, from all purchase lines to outbox rows.

    python -m benchmarks.by_pandas URL RULES.json

Every line of the history is read into memory, supplies are computed from all of them, who is due is filtered,
and a customer gets the message of the highest priority. Texts and the insert are those of `by_hand`. No
consents, no decisions written down, and nothing is kept for the next day. Prints one JSON line.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

import pandas as pd
import sqlalchemy as sa

from benchmarks.by_hand import Postgresql, Row, Sqlite, Texts, read

AT_ONCE = 500_000
LINES = """
SELECT u.bucket, u.customer_id, u.order_id, u.product_id, u.line_no, u.purchased_at, u.quantity, p.category,
       c.unit_lasts
FROM purchases u JOIN products p ON p.product_id = u.product_id
JOIN cycles c ON c.kind = 'category' AND c.line = p.category
WHERE u.purchased_at <= {now}
"""
TOLD = """
SELECT c.customer_id, c.name, a.address FROM customers c
JOIN addresses a ON a.bucket = c.bucket AND a.customer_id = c.customer_id AND a.channel = 'wecom'
"""
SUPPLY = ["customer_id", "category"]
COLUMNS = [
    *("bucket", "customer_id", "anchor", "product_id", "quantity", "purchased_at", "runs_out_at"),
    *("name", "address"),
]


def main() -> None:
    """Run all playbooks, print what was done."""
    url, path = sys.argv[1:]
    print(json.dumps(run(url, read(path))))


def run(url: str, rules: dict[str, Any]) -> dict[str, Any]:
    """Read, find, render and write; how many messages, the seconds of each, and the peak of memory in MB."""
    shop = Sqlite(url) if url.startswith("sqlite") else Postgresql(url)
    texts = Texts(rules, shop.products())
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    started = time.perf_counter()
    lines = _all(engine, LINES.format(now=rules["now"]), SUPPLY)
    told = _all(engine, TOLD, [])
    engine.dispose()
    loaded = time.perf_counter()
    due = chosen(lines, told, rules)
    found = time.perf_counter()
    count = 0
    for name, rows, priority in by_playbook(due, rules):
        messages = list(texts.messages(rows, name, priority))
        shop.insert(messages)
        count += len(messages)
    shop.close()
    spent = {"load": loaded - started, "due": found - loaded, "write": time.perf_counter() - found}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"messages": count, "peak_mb": peak, **spent}


def _all(engine: sa.Engine, query: str, names: list[str]) -> pd.DataFrame:
    """All rows; these columns as categories, which take less memory."""
    with engine.connect() as connection:
        parts = list(pd.read_sql(sa.text(query), connection, chunksize=AT_ONCE))
    found = pd.concat(parts, ignore_index=True)
    return found.astype(dict.fromkeys(names, "category"))


def chosen(lines: pd.DataFrame, told: pd.DataFrame, rules: dict[str, Any]) -> pd.DataFrame:
    """Who is due, one row for each customer: of the playbook that comes first."""
    supplies = _supplies(lines)
    out = supplies["runs_out_at"]
    due = supplies[(out > rules["due_from"]) & (out < rules["due_before"])]
    recent = lines[lines["purchased_at"] >= rules["orders_since"]]
    orders = recent.groupby("customer_id", observed=True)["order_id"].nunique()
    due = due[due["customer_id"].isin(orders[orders >= 2].index)]
    priorities = {category: priority for _, category, priority in rules["playbooks"]}
    due = due.assign(priority=due["category"].astype(str).map(priorities)).dropna(subset=["priority"])
    due = due.assign(customer_id=due["customer_id"].astype(str)).merge(told, on="customer_id")
    return due.sort_values("priority", ascending=False, kind="stable").drop_duplicates("customer_id")


def _supplies(lines: pd.DataFrame) -> pd.DataFrame:
    """The last line of each customer and category, with when what is at home runs out."""
    lines = lines.sort_values([*SUPPLY, "purchased_at", "order_id", "product_id", "line_no"])
    lasts = (lines["quantity"] * lines["unit_lasts"]).round()
    supply = [lines[name] for name in SUPPLY]
    stock = lasts.groupby(supply, observed=True).cumsum()
    begins = (lines["purchased_at"] - stock + lasts).groupby(supply, observed=True).cummax()
    lines = lines.assign(runs_out_at=(begins + stock).astype("int64"))
    last = lines.drop_duplicates(SUPPLY, keep="last")
    return last.assign(anchor=last["order_id"] + "/" + last["category"].astype(str))


def by_playbook(due: pd.DataFrame, rules: dict[str, Any]) -> Iterator[tuple[str, list[Row], int]]:
    """The rows of each playbook as tuples of plain values."""
    for name, category, priority in rules["playbooks"]:
        some = due.loc[due["category"] == category, COLUMNS]
        yield name, list(some.astype(object).itertuples(index=False, name=None)), priority


if __name__ == "__main__":
    main()
