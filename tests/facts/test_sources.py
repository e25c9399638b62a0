"""A shop's own database as a source: read as far as it has grown, and never trusted with its password."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from smr.database import Database, open_database
from smr.errors import OperatorError
from smr.facts import import_source
from smr.facts.cursors import cursor_text, cursor_value
from smr.settings import Settings
from smr.tables import imports, purchases, rejected_rows
from tests.facts.conftest import NOW
from tests.facts.test_purchases import rows

SHOP = """
CREATE TABLE order_lines
    (id INTEGER PRIMARY KEY, member TEXT, sku TEXT, qty NUMERIC, price NUMERIC, paid_at TEXT);
INSERT INTO order_lines VALUES
    (1, 'ana', 'tea', 2, 9.5, '2026-03-01 10:00:00'), (2, 'ben', 'tea', 1, 9.5, '2026-03-02');
"""
COLUMNS = {
    "customer_id": "member",
    "product_id": "sku",
    "quantity": "qty",
    "unit_price": "price",
    "purchased_at": "paid_at",
}
SELECT = "SELECT id, member, sku, qty, price, paid_at FROM order_lines WHERE id >= :cursor ORDER BY id"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The shop's database."""
    connection = sqlite3.connect(tmp_path / "their.db")
    connection.executescript(SHOP)
    yield connection
    connection.close()


def source(tmp_path: Path, **changed: Any) -> Settings:
    """Settings with one source, `orders`."""
    told = {
        "kind": "purchases",
        "url": f"sqlite:///{tmp_path}/their.db",
        "select": SELECT,
        "cursor": "id",
        "columns": COLUMNS,
    }
    imports_told = {"rejects_folder": tmp_path / "rejects", "reject_limit": "60%"}
    return Settings.model_validate({"sources": {"orders": {**told, **changed}}, "import": imports_told})


def last_cursor(database: Database) -> Any:
    """How far the source has come."""
    return rows(database, imports, "cursor")[-1][0]


def test_a_source_is_read_as_far_as_it_has_grown(
    database: Database, shop: sqlite3.Connection, tmp_path: Path
) -> None:
    settings = source(tmp_path)

    first = import_source(database, settings, "orders", now=NOW)
    shop.execute("INSERT INTO order_lines VALUES (3, 'ana', 'tea', 1, 9.5, '2026-03-09')")
    shop.commit()
    second = import_source(database, settings, "orders", now=NOW)

    assert (first.rows, first.new) == (2, 2)
    assert (second.rows, second.new, second.unchanged) == (2, 1, 1)  # the row at the edge is read twice
    assert last_cursor(database) == "number:3"
    assert {tuple(row) for row in rows(database, purchases, "customer_id", "quantity", "amount")} == {
        ("ana", 2.0, 1900),
        ("ben", 1.0, 950),
        ("ana", 1.0, 950),
    }


def test_a_source_that_has_not_grown_keeps_its_cursor(
    database: Database, shop: sqlite3.Connection, tmp_path: Path
) -> None:
    settings = source(tmp_path, select=SELECT.replace(">=", ">"))

    import_source(database, settings, "orders", now=NOW)
    idle = import_source(database, settings, "orders", now=NOW)
    again = import_source(database, settings, "orders", now=NOW)

    assert (idle.rows, again.rows) == (0, 0)


@pytest.mark.parametrize(
    "select",
    [
        SELECT,
        "SELECT * FROM order_lines WHERE (:cursor IS NULL OR id > :cursor)",
        "SELECT * FROM order_lines WHERE id > coalesce(:cursor, 0)",
        "SELECT * FROM order_lines WHERE :cursor < id",
        "SELECT * FROM order_lines AS o WHERE o.id>:cursor AND paid_at <> '10:30'",
        "WITH l AS (SELECT * FROM order_lines) SELECT * FROM l WHERE id > :cursor",
        "SELECT * FROM order_lines",
    ],
)
def test_the_first_time_everything_is_read(
    sqlite_database: Database, shop: sqlite3.Connection, tmp_path: Path, select: str
) -> None:
    assert import_source(sqlite_database, source(tmp_path, select=select), "orders", now=NOW).new == 2


def test_a_select_that_finds_nothing_without_a_cursor_is_refused(
    sqlite_database: Database, shop: sqlite3.Connection, tmp_path: Path
) -> None:
    settings = source(tmp_path, select="SELECT * FROM order_lines WHERE abs(id) > abs(:cursor)")

    with pytest.raises(OperatorError, match=r"write \(:cursor IS NULL OR"):
        import_source(sqlite_database, settings, "orders", now=NOW)


def test_refused_rows_do_not_move_the_cursor_and_a_refused_source_moves_nothing(
    database: Database, shop: sqlite3.Connection, tmp_path: Path
) -> None:
    settings = source(tmp_path)
    shop.execute("INSERT INTO order_lines VALUES (3, 'ana', 'tea', -1, 9.5, '2026-03-09')")
    shop.commit()

    report = import_source(database, settings, "orders", now=NOW)

    assert report.refused == {"quantity_range": 1}
    assert last_cursor(database) == "number:2"
    assert rows(database, rejected_rows, "source", "line") == [("source:orders", 3)]

    shop.execute("UPDATE order_lines SET qty = -1")
    shop.execute("INSERT INTO order_lines VALUES (4, 'ana', 'tea', 1, 9.5, '2026-03-10')")
    shop.commit()
    with pytest.raises(OperatorError, match="2 of 3 rows are bad"):
        import_source(database, settings, "orders", now=NOW)
    assert last_cursor(database) is None
    shop.execute("UPDATE order_lines SET qty = 1")
    shop.commit()
    assert import_source(database, settings, "orders", now=NOW).new == 2


def test_times_are_a_cursor_and_postgresql_a_source(
    sqlite_database: Database, postgres_url: str, tmp_path: Path
) -> None:
    theirs = open_database(postgres_url)
    with theirs.write() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS sold"))
        connection.execute(
            sa.text("CREATE TABLE sold (who text, sku text, qty numeric, at timestamptz, done boolean)")
        )
        connection.execute(
            sa.text("INSERT INTO sold VALUES ('ana', 'tea', 2.5, '2026-03-01 10:00+08', true)")
        )
    settings = source(
        tmp_path,
        url=postgres_url,
        select="SELECT who, sku, qty, at, done FROM sold WHERE at::timestamptz >= :cursor AND sku LIKE '%ea'",
        cursor="at",
        columns={"customer_id": "who", "product_id": "sku", "quantity": "qty", "purchased_at": "at"},
    )

    first = import_source(sqlite_database, settings, "orders", now=NOW)
    again = import_source(sqlite_database, settings, "orders", now=NOW)
    theirs.close()

    assert (first.new, again.unchanged, again.rows) == (1, 1, 1)
    assert first.sources[0].ignored_columns == ("done",)
    assert last_cursor(sqlite_database).startswith("time:2026-03-01")


def test_a_source_is_only_read(sqlite_database: Database, shop: sqlite3.Connection, tmp_path: Path) -> None:
    for select in ("DELETE FROM order_lines", "SELECT 1; DELETE FROM order_lines"):
        with pytest.raises(OperatorError):
            import_source(sqlite_database, source(tmp_path, select=select), "orders", now=NOW)
    assert shop.execute("SELECT count(*) FROM order_lines").fetchone() == (2,)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://reader:se%40cret-77@127.0.0.1:1/shop", "cannot be read"),
        ("mysql://reader:se%40cret-77@127.0.0.1/shop", "driver"),
        ("oracle://reader:se%40cret-77@127.0.0.1/shop", "driver"),
        ("nonsense://reader:se%40cret-77@127.0.0.1/shop", "cannot be read"),
        ("se%40cret-77", "not a database URL"),
        ("sqlite:///no/such/se@cret.db", "no SQLite file"),
    ],
)
def test_no_error_shows_a_password(sqlite_database: Database, tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(OperatorError, match=said) as refused:
        import_source(sqlite_database, source(tmp_path, url=url), "orders", now=NOW)

    assert "cret-77" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_an_error_that_repeats_the_password_is_masked(
    sqlite_database: Database, postgres_url: str, tmp_path: Path
) -> None:
    url = sa.make_url(postgres_url).set(password="cret77").render_as_string(hide_password=False)  # noqa: S106
    settings = source(tmp_path, url=url, select="SELECT cret77 FROM pg_class")

    with pytest.raises(OperatorError, match=r'column "\*\*\*" does not exist'):
        import_source(sqlite_database, settings, "orders", now=NOW)


def test_a_misspelt_source_column_or_cursor_is_named(
    sqlite_database: Database, shop: sqlite3.Connection, tmp_path: Path
) -> None:
    with pytest.raises(OperatorError, match="did you mean 'orders'"):
        import_source(sqlite_database, source(tmp_path), "order", now=NOW)
    with pytest.raises(OperatorError, match="no column 'idd' for the cursor; did you mean 'id'"):
        import_source(sqlite_database, source(tmp_path, cursor="idd"), "orders", now=NOW)
    with pytest.raises(OperatorError, match="no such table"):
        import_source(sqlite_database, source(tmp_path, select="SELECT id FROM orders"), "orders", now=NOW)


def test_a_cursor_keeps_its_type() -> None:
    for value in (7, "007", "it's"):
        assert cursor_value(cursor_text(value)) == value


def test_the_opened_database_is_unharmed(tmp_path: Path) -> None:
    """A URL that names no file makes none."""
    opened = open_database(f"sqlite:///{tmp_path}/mine.db")
    with pytest.raises(OperatorError):
        import_source(opened, source(tmp_path), "orders", now=NOW)
    assert not (tmp_path / "their.db").exists()
    opened.close()
