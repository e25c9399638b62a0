"""Products: kept up to date; a changed category or size marks everyone who bought one.

Price and stock have a time, and what changes of them is kept.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from smr.database import Database
from smr.tables import changed_customers, product_changes, products, substitutes
from tests.facts.conftest import NOW, Take
from tests.facts.test_purchases import ANA_BUYS, HEADER, rows

COFFEE = (
    "product_id,description,category,price,currency,units,attributes.roast,shelf\n"
    "coffee,Coffee,drinks,12.5,EUR,2,dark,9\n"
)


def test_everything_told_of_a_product_is_kept(database: Database, take: Take) -> None:
    report = take("products", COFFEE)

    assert (report.new, report.sources[0].ignored_columns) == (1, ("shelf",))
    assert rows(database, products, *(column.name for column in products.columns)) == [
        ("coffee", "Coffee", "drinks", 1250, "EUR", 2.0, {"roast": "dark"}, NOW, None, None, None)
    ]


def test_a_column_called_name_goes_before_a_description(database: Database, take: Take) -> None:
    report = take("products", "description,product_id,name\nlong words,coffee,Coffee\n")

    assert rows(database, products, "name") == [("Coffee",)]
    assert report.sources[0].ignored_columns == ("description",)


def test_importing_twice_changes_nothing(take: Take) -> None:
    take("products", COFFEE)

    report = take("products", COFFEE)

    assert (report.new, report.completed, report.unchanged) == (0, 0, 1)


def test_prices_follow_the_minor_unit_of_their_currency(database: Database, take: Take) -> None:
    take("products", "product_id,price,currency\na,1250,JPY\nb,0.125,KWD\nc,9.995,CNY\nd,3,\n")

    assert rows(database, products, "price", "currency") == [
        (1250, "JPY"),
        (125, "KWD"),
        (1000, "CNY"),
        (300, "CNY"),
    ]


def test_a_price_beyond_reason_costs_its_row(take: Take) -> None:
    assert take("products", "product_id,price\na,1\nb,999999999999999\n").refused == {"money": 1}


def test_purchases_never_overwrite_a_category(database: Database, take: Take) -> None:
    take("products", COFFEE)
    take("purchases", ANA_BUYS.replace("drinks", "other"))

    assert rows(database, products, "category", "name") == [("drinks", "Coffee")]


def test_purchases_fill_in_a_category_that_was_empty(database: Database, take: Take) -> None:
    take("products", "product_id,name\ncoffee,Coffee\n")
    take("purchases", ANA_BUYS)

    assert rows(database, products, "category", "name") == [("drinks", "Coffee")]


def test_a_changed_category_marks_who_bought_the_product(database: Database, take: Take) -> None:
    take("purchases", ANA_BUYS + "ben,tea,drinks,1,1,2026-03-01,B-1\n")
    with database.write() as connection:
        connection.execute(changed_customers.delete())

    take("products", "product_id,category\ncoffee,beans\ntea,drinks\n")

    assert rows(database, changed_customers, "customer_id") == [("ana",)]


def test_a_category_filled_in_marks_earlier_buyers(database: Database, take: Take) -> None:
    take("purchases", ANA_BUYS.replace("drinks", ""))
    with database.write() as connection:
        connection.execute(changed_customers.delete())

    take("purchases", HEADER + "ben,coffee,drinks,1,1,2026-03-01,B-1\n")

    assert {who for (who,) in rows(database, changed_customers, "customer_id")} == {"ana", "ben"}


STOCK = "product_id,in_stock,as_of\n"
PRICES = "product_id,price,as_of\n"


def at(day: int, hour: int = 0) -> datetime:
    """That day of November, in Shanghai."""
    return datetime(2026, 11, day, hour, tzinfo=ZoneInfo("Asia/Shanghai")).astimezone(UTC)


def stock_changes(database: Database) -> list[tuple[Any, ...]]:
    names = ("product_id", "what", "changed_at", "in_stock_before", "in_stock")
    return rows(database, product_changes, *names)


def price_changes(database: Database) -> list[tuple[Any, ...]]:
    return rows(database, product_changes, "what", "changed_at", "price_before", "price", "currency")


def test_what_is_counted_is_in_stock_where_there_is_any(database: Database, take: Take) -> None:
    take("products", "product_id,stock\ncoffee,3\ntea,0\nmilk,-2\ncake,\n")

    assert rows(database, products, "product_id", "in_stock", "stock", "stock_at") == [
        ("cake", None, None, None),
        ("coffee", True, 3.0, NOW),
        ("milk", False, 0.0, NOW),
        ("tea", False, 0.0, NOW),
    ]


def test_what_is_not_for_sale_is_not_in_stock_however_many_there_are(database: Database, take: Take) -> None:
    take("products", "product_id,stock,in_stock\ncoffee,3,false\n")

    assert rows(database, products, "in_stock", "stock") == [(False, 3.0)]


def test_a_product_that_goes_out_of_stock_and_comes_back_leaves_three_changes(
    database: Database, take: Take
) -> None:
    take("products", STOCK + "coffee,true,2026-11-01\n")
    take("products", STOCK + "coffee,false,2026-11-05\n")
    take("products", STOCK + "coffee,false,2026-11-06\n")
    take("products", STOCK + "coffee,true,2026-11-09 12:00\n")

    assert stock_changes(database) == [
        ("coffee", "stock", at(1), None, True),
        ("coffee", "stock", at(5), True, False),
        ("coffee", "stock", at(9, 12), False, True),
    ]


def test_one_file_may_tell_the_whole_history_in_any_order(database: Database, take: Take) -> None:
    take("products", STOCK + "coffee,true,2026-11-09\ncoffee,true,2026-11-01\ncoffee,false,2026-11-05\n")

    assert [(change[2], change[4]) for change in stock_changes(database)] == [
        (at(1), True),
        (at(5), False),
        (at(9), True),
    ]


def test_an_older_word_never_overwrites_a_newer_one(database: Database, take: Take) -> None:
    take("products", STOCK + "coffee,true,2026-11-09\n")

    report = take("products", STOCK + "coffee,false,2026-11-05\n")

    assert report.unchanged == 1
    assert rows(database, products, "in_stock", "stock_at") == [(True, at(9))]


def test_a_price_that_falls_leaves_both_prices(database: Database, take: Take) -> None:
    take("products", PRICES + "coffee,12.50,2026-11-01\n")
    take("products", PRICES + "coffee,9.90,2026-11-09\n")

    assert price_changes(database) == [
        ("price", at(1), None, 1250, "CNY"),
        ("price", at(9), 1250, 990, "CNY"),
    ]
    assert rows(database, products, "price", "price_at") == [(990, at(9))]


def test_prices_in_two_currencies_are_not_compared(database: Database, take: Take) -> None:
    take("products", "product_id,price,currency,as_of\ncoffee,12.50,CNY,2026-11-01\n")
    take("products", "product_id,price,currency,as_of\ncoffee,2.50,EUR,2026-11-09\n")

    assert price_changes(database)[1] == ("price", at(9), None, 250, "EUR")


def test_rows_of_one_product_may_tell_price_and_stock_apart(database: Database, take: Take) -> None:
    take("products", "product_id,price,stock\ncoffee,9.90,\ncoffee,,4\n")

    assert rows(database, products, "price", "stock") == [(990, 4.0)]


def test_the_same_stock_told_again_is_no_change(take: Take) -> None:
    take("products", STOCK + "coffee,false,2026-11-05\n")

    assert take("products", STOCK + "coffee,false,2026-11-06\n").unchanged == 1


def test_substitutes_are_kept_in_their_order_without_the_product_itself(
    database: Database, take: Take
) -> None:
    take("products", "product_id,substitutes\ncoffee,tea；coffee;cocoa; tea\nmilk,\n")
    take("products", "product_id,substitutes\ncoffee,\n")

    assert rows(database, substitutes, "product_id", "source", "place", "substitute_id") == [
        ("coffee", "import", 1, "tea"),
        ("coffee", "import", 2, "cocoa"),
    ]


def test_other_substitutes_take_the_place_of_those_before(database: Database, take: Take) -> None:
    take("products", "product_id,substitutes\ncoffee,tea;cocoa\n")

    report = take("products", "product_id,substitutes\ncoffee,milk\n")

    assert report.completed == 1
    assert rows(database, substitutes, "substitute_id") == [("milk",)]
