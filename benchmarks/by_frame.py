"""The reference rule by a full scan of the history, as it is asked of a lake: DuckDB, Polars, pandas.

    python -m benchmarks.by_frame write URL FILE.parquet
    python -m benchmarks.by_frame duckdb|polars|pandas FILE.parquet RULES.json DAYS REPEATS

Each reads the columns it needs of all purchase lines, looks for each customer's last purchase in the category
of the first playbook, adds what the catalog says that quantity lasts, and keeps whom it runs out for in the
span, with at least two orders. No stock at home, nothing learned, no guard, nothing written down. Of two last
lines of the same instant each takes one, so they find nearly as many. Prints one JSON line with the median.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import middle
from benchmarks.playbooks import Rules, read_rules
from benchmarks.world import DAY

THREADS = 2
AT_ONCE = 500_000
LINES = """
SELECT u.customer_id, u.order_id, p.category, u.purchased_at, u.quantity
FROM purchases u JOIN products p ON p.product_id = u.product_id
"""
SCHEMA = pa.schema(
    {
        "customer_id": pa.string(),
        "order_id": pa.string(),
        "category": pa.dictionary(pa.int16(), pa.string()),
        "purchased_at": pa.int64(),
        "quantity": pa.float64(),
    }
)
ASK_DUCKDB = """
SELECT count(*) FROM (
    SELECT customer_id, max(purchased_at) + arg_max(quantity, purchased_at) * $lasts AS runs_out_at
    FROM read_parquet($file) WHERE category = $category GROUP BY customer_id
) s JOIN (
    SELECT customer_id FROM read_parquet($file) WHERE purchased_at >= $orders_since
    GROUP BY customer_id HAVING count(DISTINCT order_id) >= 2
) o USING (customer_id)
WHERE runs_out_at > $due_from AND runs_out_at < $due_before
"""


def write(url: str, path: str) -> None:
    """All purchase lines of a SQLite file as Parquet."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    found = connection.execute(LINES)
    with pq.ParquetWriter(path, SCHEMA) as writer:
        while rows := found.fetchmany(AT_ONCE):
            columns = zip(*rows, strict=True)
            arrays = [pa.array(one, kind) for one, kind in zip(columns, SCHEMA.types, strict=True)]
            writer.write_table(pa.table(arrays, schema=SCHEMA))
    connection.close()


def by_duckdb(path: str, rules: Rules, lasts: int) -> int:
    """With two threads, as many as the machine has."""
    import duckdb

    asked = {
        "file": path,
        "category": rules.playbooks[0][1],
        "lasts": lasts,
        "orders_since": rules.orders_since,
        "due_from": rules.due_from,
        "due_before": rules.due_before,
    }
    with duckdb.connect(config={"threads": THREADS}) as connection:
        (count,) = connection.execute(ASK_DUCKDB, asked).fetchone() or (0,)
    return int(count)


def by_polars(path: str, rules: Rules, lasts: int) -> int:
    """Its lazy way, in which the scan reads only what is asked for."""
    import polars as pl

    lines = pl.scan_parquet(path)
    at, customer = pl.col("purchased_at"), "customer_id"
    last = lines.filter(pl.col("category").cast(pl.String) == rules.playbooks[0][1]).group_by(customer)
    supplies = last.agg((at.max() + pl.col("quantity").sort_by(at).last() * lasts).alias("runs_out_at"))
    recent = lines.filter(at >= rules.orders_since).group_by(customer).agg(pl.col("order_id").n_unique())
    out = pl.col("runs_out_at")
    found = (
        supplies.filter((out > rules.due_from) & (out < rules.due_before))
        .join(recent.filter(pl.col("order_id") >= 2), on=customer)
        .select(pl.len())
        .collect()
    )
    return int(found.item())


def by_pandas(path: str, rules: Rules, lasts: int) -> int:
    """What is read is filtered in memory."""
    import pandas as pd

    lines = pd.read_parquet(path)
    of = lines[lines["category"] == rules.playbooks[0][1]].sort_values("purchased_at")
    last = of.groupby("customer_id", sort=False).last()
    out = last["purchased_at"] + last["quantity"] * lasts
    due = out[(out > rules.due_from) & (out < rules.due_before)]
    recent = lines[lines["purchased_at"] >= rules.orders_since]
    recent = recent[recent["customer_id"].isin(due.index)]
    orders = recent.groupby("customer_id")["order_id"].nunique()
    return int((orders >= 2).sum())


WAYS: dict[str, Callable[[str, Rules, int], int]] = {
    "duckdb": by_duckdb,
    "polars": by_polars,
    "pandas": by_pandas,
}


def main(what: str, *rest: str) -> None:
    """Write the file, or ask it."""
    if what == "write":
        write(*rest)
        return
    path, rules, days, repeats = rest
    print(json.dumps(_asked(WAYS[what], path, read_rules(rules), int(days) * DAY, int(repeats))))


def _asked(
    way: Callable[[str, Rules, int], int], path: str, rules: Rules, lasts: int, repeats: int
) -> dict[str, Any]:
    times, due = [], 0
    for _ in range(repeats):
        started = time.perf_counter()
        due = way(path, rules, lasts)
        times.append(time.perf_counter() - started)
    return {"due": due, "seconds": middle(times)}


if __name__ == "__main__":
    main(*sys.argv[1:])
