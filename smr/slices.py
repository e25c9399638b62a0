"""Slices of buckets: how a pass cuts its work so that no write transaction lasts long."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from smr.tables import BUCKETS, changed_customers, customers

CUSTOMERS_A_SLICE = {"sqlite": 400_000, "postgresql": 2_000_000}
"""Where about twenty playbooks are judged; where fewer are, more customers, up to `MOST_A_SLICE`."""
MOST_A_SLICE = {"sqlite": 1_000_000, "postgresql": 4_000_000}
CHANGES_A_SLICE = {"sqlite": 60_000, "postgresql": 100_000}
"""On SQLite all writers wait for the one at work; on PostgreSQL nobody does, and each slice costs plans."""


SAMPLED_BUCKETS = 16
USUAL_PLAYBOOKS = 20

SLICES_EACH = 2
"""Slices for each of several processes: fewer let the last one wait longer, more cost more plans."""


class Slice(NamedTuple):
    """Buckets low..high, both included."""

    low: int
    high: int


def cut(count: int) -> list[Slice]:
    """All buckets in `count` slices of nearly equal width."""
    count = max(1, min(count, BUCKETS))
    edges = [round(n * BUCKETS / count) for n in range(count + 1)]
    return [Slice(low, high - 1) for low, high in pairwise(edges)]


def finer(slices: list[Slice], processes: int) -> list[Slice]:
    """The same buckets in enough slices for so many processes, each of which may be a little late."""
    wanted = SLICES_EACH * processes if processes > 1 else 0
    return cut(max(len(slices), wanted)) if slices else []


def customer_slices(connection: Connection, playbooks: int = USUAL_PLAYBOOKS) -> list[Slice]:
    """Slices for work on everybody by so many playbooks: about as many customers are in each.

    How many there are is told by some of the buckets, in which people lie by chance.
    """
    dialect = connection.dialect.name
    room = CUSTOMERS_A_SLICE[dialect] * USUAL_PLAYBOOKS // max(playbooks, 1)
    some = sa.select(sa.func.count()).select_from(customers).where(customers.c.bucket < SAMPLED_BUCKETS)
    about = connection.execute(some).scalar_one() * BUCKETS // SAMPLED_BUCKETS
    return cut(-(-about // min(room, MOST_A_SLICE[dialect])))


def changed_slices(connection: Connection) -> list[Slice]:
    """Slices for work on customers whose facts changed; none where nothing did."""
    marked = connection.execute(sa.select(sa.func.count()).select_from(changed_customers)).scalar_one()
    return cut(-(-marked // CHANGES_A_SLICE[connection.dialect.name])) if marked else []
