"""Judging segments, stages and tags: everybody, everybody again, and after one in a hundred changed.

    python -m benchmarks.sorting fill URL PER_CUSTOMER
    python -m benchmarks.sorting sort URL

In: a base, in which supplies are worked out. `fill` puts PER_CUSTOMER interactions for each customer into it,
past the importer. Out, on stdout: seconds for each, how many customers were judged, and who is where. Twenty
segments as shops have them, the two ladders that come ready, two tags by rule.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import sqlalchemy as sa
import yaml

from benchmarks.world import DAY, OPENED, RUN_AT, TODAY
from smr import clock, segments
from smr.database import Database, open_database
from smr.playbook.model import Catalog, Library, SegmentsFile
from smr.playbook.ready import ready_ladders
from smr.settings import Settings
from smr.tables import changed_customers, customers, unsorted_customers

KINDS = ("chat", "moments_read", "moments_read", "moments_like", "click", "visit", "group_message", "live")
SEGMENTS = """
ready: {lifecycle: {}, tier: {}}
segments:
  bought: {where: {orders: {at_least: 1}}}
  fresh: {where: {last_purchase: {less_than: 30d}}}
  resting: {where: {last_purchase: {more_than: 60d, less_than: 120d}}}
  new: {where: {first_purchase: {less_than: 60d}}}
  twice: {where: {orders: {within: 90d, at_least: 2}}}
  regular: {where: {orders: {within: 180d, at_least: 3}}}
  big: {where: {spend: {within: 365d, at_least: 2000}}}
  small: {where: {spend: {within: 365d, at_most: 200}}}
  much: {where: {quantity: {within: 180d, at_least: 10}}}
  cats: {where: {bought: {category: 猫粮, within: 120d}}}
  face: {where: {bought: {category: [洁面, 面霜, 精华], within: 180d}}}
  baby: {where: {orders: {category: [奶粉, 纸尿裤], within: 180d, at_least: 2}}}
  coffee-out: {where: {supply: {category: 咖啡, ran_out_for: 7d}}}
  face-soon: {where: {supply: {category: 洁面, runs_out_within: 14d}}}
  reads: {where: {did: {what: moments_read, within: 30d, at_least: 2}}}
  active: {where: {did: {what: [chat, click, moments_like, visit], within: 60d, at_least: 2}}}
  reached: {where: {reachable: wecom}}
  loyal: {where: {all: [{segment: regular}, {segment: big}]}}
  cooling: {where: {all: [{not: {segment: fresh}}, {stage: {lifecycle: [成熟期, 成长期]}}]}}
  asleep-readers: {where: {all: [{stage: {lifecycle: [休眠期, 流失期]}}, {segment: reads}]}}
tags:
  - {tag: 大客户, when: {spend: {within: 365d, at_least: 3000}}}
  - {tag: 爱互动, when: {did: {what: [moments_like, click], within: 30d, at_least: 2}}, for: 60d}
"""


COUNTS = """
SELECT segment, count(*) FROM members WHERE left_at IS NULL GROUP BY 1 UNION ALL
SELECT stage, count(*) FROM stages WHERE left_at IS NULL GROUP BY 1 UNION ALL
SELECT tag, count(*) FROM tags WHERE source = 'rule' GROUP BY 1"""
"""How many there are in each segment, at each stage, with each tag by rule."""


def library() -> Library:
    """The definitions, with nothing else."""
    stated = SegmentsFile.model_validate(yaml.load(SEGMENTS, Loader=yaml.BaseLoader))  # noqa: S506
    ladders = ready_ladders(stated.ready)
    first = [("segment", name) for name in stated.segments]
    late = [("segment", "cooling"), ("segment", "asleep-readers")]
    order = [one for one in first if one not in late] + [("ladder", name) for name in ladders] + late
    rules = {rule.tag: rule for rule in stated.tags}
    return Library(
        folder=Path(),
        catalog=Catalog(),
        segments=stated.segments,
        ladders=ladders,
        tags=rules,
        order=(*order, *(("tag", name) for name in rules)),
    )


def put_interactions(url: str, keys: list[tuple[int, str]], each: int) -> int:
    """So many interactions of each customer, skewed to the present; how many there are."""
    draw = Random(20261123)

    def rows() -> Iterator[tuple[Any, ...]]:
        for bucket, customer_id in keys:
            for number in range(each):
                at = TODAY - int(draw.random() ** 2 * (TODAY - OPENED))
                kind = KINDS[int(draw.random() * len(KINDS))]
                yield bucket, customer_id, f"{customer_id}-{number}", at, kind, "wecom"

    names = "bucket, customer_id, interaction_id, happened_at, kind, channel"
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        connection.executemany(f"INSERT INTO interactions ({names}) VALUES (?, ?, ?, ?, ?, ?)", rows())
        connection.commit()
        connection.close()
    else:
        into = f"COPY interactions ({names}) FROM STDIN"
        with psycopg.connect(url) as server, server.cursor().copy(into) as copy:
            for row in rows():
                copy.write_row(row)
        with psycopg.connect(url, autocommit=True) as server:
            server.execute("VACUUM ANALYZE interactions")
    return len(keys) * each


def sort(database: Database, shop: Library, now: int) -> tuple[float, int]:
    """One sorting as a run does it: seconds, and how many customers were judged."""
    settings, judged = Settings(), 0
    started = time.perf_counter()
    with database.write() as connection:
        segments.begin(connection, shop, settings, now=now)
        segments.note_changes(connection, low=0, high=4095)
        connection.execute(sa.delete(changed_customers))
        parts = segments.slices(connection, shop, now=now)
    for part in parts:
        with database.write() as connection:
            judged += segments.refresh(connection, shop, settings, now=now, low=part.low, high=part.high)
    return time.perf_counter() - started, judged


def change(database: Database, keys: list[tuple[int, str]], at: int) -> int:
    """One customer in a hundred buys something; how many."""
    some = Random(7).sample(keys, len(keys) // 100)
    line = {"product_id": "P0000", "line_no": 1, "purchased_at": at, "quantity": 1.0, "amount": 9_900}
    rows = [
        {"bucket": bucket, "customer_id": who, "order_id": f"new-{number}", "currency": "CNY", **line}
        for number, (bucket, who) in enumerate(some)
    ]
    from smr.tables import purchases

    with database.write() as connection:
        connection.execute(sa.insert(purchases), rows)
        marks = [{"bucket": bucket, "customer_id": who, "import_id": 9} for bucket, who in some]
        connection.execute(sa.insert(changed_customers), marks)
    return len(some)


def main(what: str, url: str, each: str = "") -> None:
    """Measure, and print the figures as JSON."""
    database, shop = open_database(url), library()
    with database.read() as connection:
        question = sa.select(customers.c.bucket, customers.c.customer_id).order_by(
            customers.c.bucket, customers.c.customer_id
        )
        keys = [(bucket, who) for bucket, who in connection.execute(question)]
    if what == "fill":
        database.close()
        print(json.dumps({"interactions": put_interactions(url, keys, int(each))}))
        return
    now = clock.seconds(RUN_AT)
    first, everybody = sort(database, shop, now)
    with database.read() as connection:
        found = connection.exec_driver_sql(COUNTS)
        counts = {str(name): int(count) for name, count in found}
    with database.write() as connection:
        all_of_them = sa.select(customers.c.bucket, customers.c.customer_id)
        connection.execute(sa.insert(unsorted_customers).from_select(["bucket", "customer_id"], all_of_them))
    again, _ = sort(database, shop, now + 60)
    changed = change(database, keys, now + 90)
    after, judged = sort(database, shop, now + 120)
    a_day, judged_by_clock = sort(database, shop, clock.seconds(RUN_AT + timedelta(days=1)) + 120)
    told = {"customers": everybody, "first": first, "again": again, "counts": counts}
    told |= {"changed": changed, "after": after, "judged": judged}
    print(json.dumps({**told, "day": a_day, "judged_by_clock": judged_by_clock, "span": DAY}))


if __name__ == "__main__":
    main(*sys.argv[1:])
