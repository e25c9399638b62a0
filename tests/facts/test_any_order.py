"""Whatever order files and rows come in, and however often: the same facts.

Within one order and product, lines without a number stay in one file: their order there numbers them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from smr.database import Database, open_database
from smr.facts import import_files
from smr.settings import Settings
from smr.tables import (
    bucket_of,
    changed_customers,
    customers,
    dice_of,
    imports,
    metadata,
    products,
    purchases,
)
from tests.examples import many
from tests.facts.conftest import NOW
from tests.facts.test_purchases import HEADER

DAY = datetime(2026, 3, 1)  # noqa: DTZ001
FACTS = (customers, products, purchases)


@dataclass(frozen=True)
class Order:
    """One order of one customer: products and quantities, line by line."""

    number: int
    who: str
    day: int
    lines: tuple[tuple[str, int], ...]

    def text(self) -> list[str]:
        """Its rows."""
        at = (DAY + timedelta(days=self.day)).isoformat()
        return [
            f"{self.who},{what},of {what},{count},1.50,{at},O-{self.number}\n" for what, count in self.lines
        ]

    def facts(self) -> Iterator[tuple[Any, ...]]:
        """Its lines as they must be stored: the nth line of a product has the number n."""
        told: dict[str, int] = {}
        for what, count in self.lines:
            told[what] = told.get(what, 0) + 1
            yield (
                bucket_of(self.who),
                self.who,
                f"O-{self.number}",
                what,
                told[what],
                float(count),
                count * 150,
            )


@st.composite
def shops(draw: st.DrawFn) -> list[list[Order]]:
    """Files of orders, each order wholly in one of them."""
    line = st.tuples(st.sampled_from(["tea", "茶", "coffee"]), st.integers(1, 4))
    count = draw(st.integers(1, 12))
    orders = [
        Order(
            number,
            draw(st.sampled_from(["ana", "ben", "小林", "c4"])),
            draw(st.integers(0, 400)),
            tuple(draw(st.lists(line, min_size=1, max_size=4))),
        )
        for number in range(count)
    ]
    files: list[list[Order]] = [[], [], []]
    for order in orders:
        files[draw(st.integers(0, 2))].append(order)
    return [file for file in files if file]


@contextmanager
def empty(database: Database) -> Iterator[Path]:
    """The database without a row, and a folder."""
    with database.write() as connection:
        for table in (*FACTS, changed_customers, imports):
            connection.execute(sa.delete(table))
    with TemporaryDirectory() as folder:
        yield Path(folder)


def take(database: Database, folder: Path, orders: list[Order]) -> int:
    """Import one file of orders; how many rows were new."""
    path = folder / "orders.csv"
    path.write_text(HEADER + "".join(row for order in orders for row in order.text()), encoding="utf-8")
    told = Settings.model_validate({"import": {"rejects_folder": folder}})
    return import_files(database, told, "purchases", [path], now=NOW).new


def everything(database: Database) -> list[list[tuple[Any, ...]]]:
    """All facts."""
    with database.read() as connection:
        return [
            [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns))]
            for table in FACTS
        ]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One database for all examples of this module."""
    if request.param == "sqlite":
        opened = open_database(f"sqlite:///{tmp_path_factory.mktemp('any')}/shop.db")
        metadata.create_all(opened.engine)
        yield opened
        opened.close()
        return
    server = request.getfixturevalue("postgres_url")
    opened = open_database(server)
    schema = f"any_order_{id(opened)}"
    with opened.write() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
    opened.close()
    opened = open_database(
        str(
            sa.make_url(server)
            .update_query_dict({"options": f"-csearch_path={schema}"})
            .render_as_string(False)
        )
    )
    metadata.create_all(opened.engine)
    yield opened
    with opened.write() as connection:
        connection.execute(sa.schema.DropSchema(schema, cascade=True))
    opened.close()


@examples(max_examples=many(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shops(), st.randoms(use_true_random=False))
def test_any_order_of_files_and_orders_gives_the_same_facts(
    shared: Database, shop: list[list[Order]], chance: Any
) -> None:
    with empty(shared) as folder:
        for orders in shop:
            take(shared, folder, orders)
        first = everything(shared)
    plain = sorted(fact for orders in shop for order in orders for fact in order.facts())
    assert sorted((*row[:5], *row[6:8]) for row in first[2]) == plain
    assert [(row[1], row[2]) for row in first[0]] == [
        (who, dice_of(who)) for _, who in sorted({fact[:2] for fact in plain})
    ]

    shuffled = [chance.sample(orders, len(orders)) for orders in chance.sample(shop, len(shop))]
    with empty(shared) as folder:
        for orders in shuffled:
            take(shared, folder, orders)
        assert everything(shared) == first


@examples(max_examples=many(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shops())
def test_importing_again_changes_nothing_and_marks_nobody(shared: Database, shop: list[list[Order]]) -> None:
    with empty(shared) as folder:
        for orders in shop:
            take(shared, folder, orders)
        first = everything(shared)
        with shared.write() as connection:
            connection.execute(sa.delete(changed_customers))

        assert [take(shared, folder, orders) for orders in shop] == [0] * len(shop)

        assert everything(shared) == first
        with shared.read() as connection:
            assert connection.execute(sa.select(changed_customers)).all() == []
