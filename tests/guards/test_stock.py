"""What cannot be bought is not written about; a substitute may be offered where the text says so."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from smr import pipeline
from smr.database import Database
from smr.delivery import deliver
from smr.playbook.model import Library
from smr.report import RunReport
from smr.settings import Settings
from smr.tables import candidates, messages, products, substitutes
from tests.library import CATALOG, REFILL, library
from tests.worlds import NOW, World, put

OFFERING = REFILL.replace(
    "{{ product.name }}",
    "{{ product.name }}{% if offer.is_substitute %}→{{ offer.name }} {{ offer.price | money }}{% endif %}",
)
SHOP = Settings.model_validate({"shop": {"reorder_url": "https://shop.example/{product_id}"}})


@pytest.fixture
def ana(database: Database) -> None:
    """Ana's cleanser runs out in four days."""
    world = World()
    world.customer("ana", addresses={"wecom": "wm"}, consent=True)
    for name in ("foam", "gel", "soap"):
        world.product(name, category="洁面", price=2_500)
    world.purchase("ana", "foam", days_ago=41)
    put(database, world)


def stock(database: Database, **known: bool | None) -> None:
    """Whether these products are in stock from now on."""
    with database.write() as connection:
        for product, there in known.items():
            of = sa.update(products).where(products.c.product_id == product)
            connection.execute(of.values(in_stock=there))


def instead(database: Database, product: str, *others: str) -> None:
    """What an import names as substitutes."""
    rows = [
        {"product_id": product, "source": "import", "place": place, "substitute_id": other}
        for place, other in enumerate(others, 1)
    ]
    with database.write() as connection:
        connection.execute(sa.insert(substitutes), rows)


def run(database: Database, known: Library, days: float = 0, settings: Settings = SHOP) -> RunReport:
    done = pipeline.run(database, known, settings, now=NOW + timedelta(days=days))
    assert isinstance(done, RunReport)
    return done


def reason(database: Database) -> str | None:
    with database.read() as connection:
        found: str | None = connection.execute(sa.select(candidates.c.reason)).scalar_one()
        return found


def bodies(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(sa.select(messages.c.body)).scalars())


@pytest.mark.usefixtures("ana")
def test_a_product_out_of_stock_is_not_written_about_until_it_is_back(database: Database) -> None:
    stock(database, foam=False)
    run(database, library(REFILL))
    assert (reason(database), bodies(database)) == ("out_of_stock", [])

    stock(database, foam=True)
    run(database, library(REFILL), days=1)
    assert (reason(database), bodies(database)) == (None, ["foam"])


@pytest.mark.usefixtures("ana")
def test_where_nobody_said_it_counts_as_in_stock(database: Database) -> None:
    run(database, library(REFILL))
    assert bodies(database) == ["foam"]


@pytest.mark.usefixtures("ana")
def test_an_operator_may_send_all_the_same(database: Database) -> None:
    stock(database, foam=False)
    run(database, library(REFILL + "out_of_stock: send\n"))
    assert bodies(database) == ["foam"]


@pytest.mark.usefixtures("ana")
def test_care_after_a_purchase_is_sent_whatever_the_stock(database: Database) -> None:
    stock(database, foam=False)
    care = REFILL.replace("runs_out", "purchase").replace("5d before due", "40d after purchase")
    run(database, library(care))
    assert bodies(database) == ["foam"]


@pytest.mark.usefixtures("ana")
def test_the_first_substitute_in_stock_is_offered_where_the_text_names_it(database: Database) -> None:
    stock(database, foam=False, gel=False)
    instead(database, "foam", "gel", "soap")
    run(database, library(OFFERING))
    assert bodies(database) == ["foam→soap ¥25.00"]


@pytest.mark.usefixtures("ana")
def test_the_catalogs_substitutes_go_before_the_imported_ones(database: Database) -> None:
    stock(database, foam=False)
    instead(database, "foam", "soap")
    catalog = CATALOG + "  products:\n    foam: {substitutes: gel}\n    gel: {name: 凝胶}\n"
    run(database, library(OFFERING, catalog=catalog))
    assert bodies(database) == ["foam→凝胶 ¥25.00"]


@pytest.mark.usefixtures("ana")
def test_a_text_that_names_no_offer_waits_although_there_is_a_substitute(database: Database) -> None:
    stock(database, foam=False)
    instead(database, "foam", "soap")
    run(database, library(REFILL))
    assert reason(database) == "out_of_stock"


@pytest.mark.usefixtures("ana")
def test_without_any_substitute_in_stock_an_offer_waits(database: Database) -> None:
    stock(database, foam=False, soap=False)
    instead(database, "foam", "soap", "unheard-of")
    run(database, library(OFFERING))
    assert reason(database) == "out_of_stock"


@pytest.mark.usefixtures("ana")
def test_in_stock_the_product_itself_is_offered(database: Database) -> None:
    stock(database, foam=True)
    instead(database, "foam", "soap")
    run(database, library(OFFERING))
    assert bodies(database) == ["foam"]


@pytest.mark.usefixtures("ana")
def test_the_link_leads_to_what_is_offered(database: Database) -> None:
    stock(database, foam=False)
    instead(database, "foam", "soap")
    run(database, library(OFFERING.replace("{{ product.name }}{%", "{{ reorder.url }}{%")))
    assert bodies(database) == ["https://shop.example/soap→soap ¥25.00"]


@pytest.mark.usefixtures("ana")
def test_what_goes_out_of_stock_before_it_is_sent_waits_and_goes_out_when_it_is_back(
    database: Database, tmp_path: Path
) -> None:
    settings = Settings.model_validate({"files": {"folder": tmp_path}})
    known = library(REFILL)
    run(database, known, settings=settings)
    stock(database, foam=False)

    deliver(database, known, settings, now=NOW, owner="worker")
    with database.read() as connection:
        question = sa.select(messages.c.state, messages.c.reason)
        assert connection.execute(question).one() == ("queued", "out_of_stock")

    stock(database, foam=True)
    deliver(database, known, settings, now=NOW + timedelta(hours=2), owner="worker")
    with database.read() as connection:
        assert connection.execute(sa.select(messages.c.state)).scalar_one() == "sent"


@pytest.mark.usefixtures("ana")
def test_an_offered_substitute_that_goes_out_of_stock_waits_although_the_product_is_back(
    database: Database, tmp_path: Path
) -> None:
    settings = Settings.model_validate({"files": {"folder": tmp_path}})
    stock(database, foam=False)
    instead(database, "foam", "soap")
    run(database, library(OFFERING), settings=settings)
    stock(database, foam=True, soap=False)

    deliver(database, library(OFFERING), settings, now=NOW, owner="worker")

    with database.read() as connection:
        assert connection.execute(sa.select(messages.c.reason)).scalar_one() == "out_of_stock"
