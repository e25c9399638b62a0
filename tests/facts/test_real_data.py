"""The real purchases the project is measured on, where they are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from smr.database import Database
from smr.facts import import_files
from smr.settings import Settings
from smr.tables import customers, products, purchases
from tests.facts.conftest import NOW

DATA = Path(__file__).parents[3] / "shared" / "data"
COUNTS = [
    ("cdnow.parquet", 69_659, 23_570, 1, 69_659),
    ("grocery_orders.parquet", 10_483, 1_525, 1, 10_483),
    ("coop100_a.parquet", 327_302, 50, 3_034, 34_910),
    ("online_retail_a.parquet", 400_388, 2_898, 4_510, 18_415),
]
MANY = 100_000
"""Lines of a file that is not read twice: it would show once more what a smaller one shows."""

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the real data files are not beside this repository"
)


@pytest.mark.parametrize(
    ("name", "lines", "people", "goods", "orders"), COUNTS, ids=[row[0] for row in COUNTS]
)
def test_every_real_line_goes_in_once(
    sqlite_database: Database, settings: Settings, name: str, lines: int, people: int, goods: int, orders: int
) -> None:
    first = import_files(sqlite_database, settings, "purchases", [DATA / name], now=NOW)

    assert (first.rows, first.new, first.refused) == (lines, lines, {})
    if lines < MANY:
        again = import_files(sqlite_database, settings, "purchases", [DATA / name], now=NOW)
        assert (again.new, again.unchanged) == (0, lines)
    with sqlite_database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(customers)) == people
        assert connection.scalar(sa.select(sa.func.count()).select_from(products)) == goods
        distinct = sa.select(purchases.c.order_id).distinct().subquery()
        assert connection.scalar(sa.select(sa.func.count()).select_from(distinct)) == orders
