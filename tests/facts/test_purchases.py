"""Purchases: what a line is, what importing again does, what happens to what differs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from smr.database import Database
from smr.tables import bucket_of, changed_customers, customers, dice_of, products, purchases, rejected_rows
from tests.facts.conftest import Take

HEADER = "customer_id,product_id,category,quantity,unit_price,purchased_at,order_id\n"
ANA_BUYS = HEADER + "ana,coffee,drinks,2,12.50,2026-03-01T09:30:00,A-1\n"


def rows(database: Database, table: sa.Table, *names: str) -> list[tuple[Any, ...]]:
    """The stored rows, in the order of their key."""
    with database.read() as connection:
        columns = [table.c[name] for name in names]
        return [
            tuple(row) for row in connection.execute(sa.select(*columns).order_by(*table.primary_key.columns))
        ]


def test_a_line_is_stored_with_its_money_in_minor_units_and_its_time_in_utc(
    database: Database, take: Take
) -> None:
    report = take("purchases", ANA_BUYS)

    assert (report.rows, report.new, report.unchanged, report.refused) == (1, 1, 0, {})
    assert rows(database, purchases, *(column.name for column in purchases.columns)) == [
        (
            bucket_of("ana"),
            "ana",
            "A-1",
            "coffee",
            1,
            datetime(2026, 3, 1, 1, 30, tzinfo=UTC),
            2.0,
            2500,
            "CNY",
            None,
            None,
        )
    ]


def test_customers_and_products_nobody_knew_are_made(database: Database, take: Take) -> None:
    take("purchases", ANA_BUYS)

    assert rows(database, customers, "bucket", "customer_id", "dice", "first_seen_at") == [
        (bucket_of("ana"), "ana", dice_of("ana"), datetime(2026, 3, 1, 1, 30, tzinfo=UTC))
    ]
    assert rows(database, products, "product_id", "category", "units") == [("coffee", "drinks", 1.0)]


def test_a_second_import_changes_nothing(database: Database, take: Take) -> None:
    take("purchases", ANA_BUYS)
    before = rows(database, purchases, "customer_id", "order_id", "line_no")

    again = take("purchases", ANA_BUYS)

    assert (again.new, again.unchanged) == (0, 1)
    assert rows(database, purchases, "customer_id", "order_id", "line_no") == before
    assert len(rows(database, changed_customers, "customer_id")) == 1


def test_the_same_line_twice_in_an_order_is_two_lines(database: Database, take: Take) -> None:
    report = take("purchases", ANA_BUYS + ANA_BUYS.removeprefix(HEADER))

    assert report.new == 2
    assert rows(database, purchases, "line_no") == [(1,), (2,)]


def test_a_known_line_with_another_value_is_set_aside_with_both(database: Database, take: Take) -> None:
    take("purchases", ANA_BUYS)

    report = take("purchases", ANA_BUYS.replace(",2,12.50", ",3,12.50"))

    assert report.refused == {"differs": 1}
    assert rows(database, purchases, "quantity") == [(2.0,)]
    (told,) = rows(database, rejected_rows, "line", "code", "reason", "content")
    assert told == (
        2,
        "differs",
        "quantity is 3.0 here and 2.0 in the database; amount is 3750 here and 2500 in the database",
        "customer_id=ana, order_id=A-1, product_id=coffee, line_no=1",
    )
