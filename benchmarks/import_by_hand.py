"""The reference of the import: a CSV of purchase lines into the table, by hand.

    python benchmarks/import_by_hand.py URL FILE.csv

The csv module, one tuple for each line, and the quickest insert that leaves out what is there: tuples through
the driver on SQLite, COPY into a temporary table and INSERT … ON CONFLICT DO NOTHING on PostgreSQL. Lines go
in by their key, side by side. It does less than smr on purpose: nothing is checked and nothing refused, no
customers and products are made, no line gets a number from its place, nobody is marked as changed.
"""

from __future__ import annotations

import csv
import sqlite3
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zlib import crc32
from zoneinfo import ZoneInfo

Row = tuple[Any, ...]
ZONE = ZoneInfo("Asia/Shanghai")
COLUMNS = "bucket, customer_id, order_id, product_id, line_no, purchased_at, quantity, amount, currency"


def main() -> None:
    """Read the file, insert its lines."""
    url, path = sys.argv[1:]
    rows = sorted(read(Path(path)))
    (into_sqlite if url.startswith("sqlite") else into_postgresql)(url, rows)


def read(path: Path) -> Iterator[Row]:
    """The lines of the file as rows of `purchases`."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        next(lines)
        for customer_id, product_id, _, quantity, price, at, order_id in lines:
            when = int(datetime.fromisoformat(at).replace(tzinfo=ZONE).timestamp())
            pieces = float(quantity)
            amount = round(float(price) * pieces * 100)
            bucket = crc32(customer_id.encode()) % 4096
            yield bucket, customer_id, order_id, product_id, 1, when, pieces, amount, "CNY"


def into_sqlite(url: str, rows: list[Row]) -> None:
    """One transaction."""
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("BEGIN IMMEDIATE")
    places = ", ".join("?" * len(rows[0]))
    connection.executemany(f"INSERT OR IGNORE INTO purchases ({COLUMNS}) VALUES ({places})", rows)
    connection.execute("COMMIT")
    connection.close()


def into_postgresql(url: str, rows: list[Row]) -> None:
    """One transaction."""
    import psycopg

    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE read_in (LIKE purchases) ON COMMIT DROP")
        with cursor.copy(f"COPY read_in ({COLUMNS}) FROM STDIN") as copying:
            for row in rows:
                copying.write_row(row)
        cursor.execute(
            f"INSERT INTO purchases ({COLUMNS}) SELECT {COLUMNS} FROM read_in ON CONFLICT DO NOTHING"
        )


if __name__ == "__main__":
    main()
