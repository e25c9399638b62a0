"""A lake for tests: a world as Parquet files asked by DuckDB or Spark, or as tables of a plain PostgreSQL."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.worlds import World

INSTANT = pa.timestamp("us", tz="UTC")
COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "customers": {
        "customer_id": pa.string(),
        "name": pa.string(),
        "gender": pa.string(),
        "birthday": pa.string(),
        "zone": pa.string(),
        "locale": pa.string(),
        "staff_id": pa.string(),
        "store_id": pa.string(),
        "attributes": pa.string(),
    },
    "products": {"product_id": pa.string(), "category": pa.string(), "units": pa.float64()},
    "purchases": {
        "customer_id": pa.string(),
        "order_id": pa.string(),
        "product_id": pa.string(),
        "line_no": pa.int32(),
        "purchased_at": INSTANT,
        "delivered_at": INSTANT,
        "quantity": pa.float64(),
        "kind": pa.string(),
        "amount": pa.int64(),
        "currency": pa.string(),
    },
    "refunds": {
        "customer_id": pa.string(),
        "order_id": pa.string(),
        "product_id": pa.string(),
        "line_no": pa.int32(),
        "refunded_at": INSTANT,
        "refund_id": pa.string(),
        "quantity": pa.float64(),
        "amount": pa.int64(),
    },
}


def tables(world: World) -> dict[str, pa.Table]:
    """The facts of a world, table by table."""
    facts: dict[str, Sequence[Any]] = {
        "customers": world.customers,
        "products": world.products,
        "purchases": world.purchases,
        "refunds": world.refunds,
    }
    return {
        name: pa.Table.from_pylist([_row(one) for one in rows], schema=pa.schema(COLUMNS[name]))
        for name, rows in facts.items()
    }


def _row(fact: Any) -> dict[str, Any]:
    row = asdict(fact)
    if row.get("attributes") is not None:
        row["attributes"] = json.dumps(row["attributes"])
    return row


def write(world: World, folder: Path) -> None:
    """The lake: one Parquet file for each table."""
    for name, table in tables(world).items():
        pq.write_table(table, folder / f"{name}.parquet")


def ask_duckdb(folder: Path, sql: str) -> list[dict[str, Any]]:
    """The rows of a statement over the lake."""
    import duckdb

    with duckdb.connect() as lake:
        for name in COLUMNS:
            lake.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{folder}/{name}.parquet')")
        answer = lake.execute(sql)
        names = [column[0] for column in answer.description or ()]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def spark() -> Iterator[Any]:
    """Spark on this machine, with the time zone of its host made another one on purpose."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.sql.shuffle.partitions", "1")
    session = builder.config("spark.sql.session.timeZone", "Asia/Tokyo").getOrCreate()
    yield session
    session.stop()


def ask_spark(session: Any, folder: Path, sql: str) -> list[dict[str, Any]]:
    """The rows of a statement over the lake."""
    for name in COLUMNS:
        session.read.parquet(str(folder / f"{name}.parquet")).createOrReplaceTempView(name)
    return [row.asDict() for row in session.sql(sql).collect()]
