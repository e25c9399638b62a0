"""Products: kept up to date; a changed category or size marks everyone who bought one."""

from __future__ import annotations

from smr.database import Database
from smr.tables import changed_customers, products
from tests.facts.conftest import Take
from tests.facts.test_purchases import ANA_BUYS, HEADER, rows

COFFEE = (
    "product_id,description,category,price,currency,units,attributes.roast,shelf\n"
    "coffee,Coffee,drinks,12.5,EUR,2,dark,9\n"
)


def test_everything_told_of_a_product_is_kept(database: Database, take: Take) -> None:
    report = take("products", COFFEE)

    assert (report.new, report.sources[0].ignored_columns) == (1, ("shelf",))
    assert rows(database, products, *(column.name for column in products.columns)) == [
        ("coffee", "Coffee", "drinks", 1250, "EUR", 2.0, {"roast": "dark"})
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
