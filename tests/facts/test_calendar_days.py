"""The shop's calendar: the last word on a day holds, festivals are added."""

from __future__ import annotations

from datetime import date

from smr.almanac import almanac_of
from smr.database import Database
from smr.settings import Settings
from smr.tables import calendar
from tests.facts.conftest import Take
from tests.facts.test_purchases import rows

YEAR = """day,kind,name
2027-02-06,holiday,春节
2027-02-14,班,春节
2027-08-18,节日,店庆
"""


def test_what_is_said_of_days_is_kept_once(database: Database, take: Take) -> None:
    assert take("calendar", YEAR).new == 3
    again = take("calendar", YEAR)
    assert (again.new, again.completed, again.unchanged) == (0, 0, 3)
    assert rows(database, calendar, "day", "kind", "name") == [
        ("2027-02-06", "holiday", "春节"),
        ("2027-02-14", "workday", "春节"),
        ("2027-08-18", "festival", "店庆"),
    ]


def test_the_last_word_on_a_day_holds_and_festivals_stay(database: Database, take: Take) -> None:
    take("calendar", YEAR)
    report = take(
        "calendar", "day,kind\n2027-02-14,holiday\n2027-02-14,normal\n2027-08-18,holiday\n", "b.csv"
    )
    assert (report.new, report.completed) == (1, 1)
    with database.read() as connection:
        found = almanac_of(connection, Settings())
    assert found.told(date(2027, 2, 14)) == ("normal", "")
    assert found.is_holiday(date(2027, 8, 18))
    assert found.falls(("店庆",), date(2027, 8, 18)) == ("店庆",)


def test_a_row_that_says_nothing_known_is_refused_alone(take: Take) -> None:
    good = "2027-03-02,休\n2027-03-03,休\n2027-03-04,休\n"
    report = take("calendar", f"day,kind\n2027-02-30,holiday\n2027-3-1,holiday\n2027-03-01,放羊\n{good}")
    assert (report.new, report.refused) == (3, {"day": 2, "kind": 1})
