"""Customers: newer values win, an empty cell erases nothing, a consent without time tells nothing twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from smr.database import Database
from smr.errors import OperatorError
from smr.facts import import_files
from smr.settings import Settings
from smr.tables import (
    addresses,
    bucket_of,
    changed_customers,
    consents,
    customers,
    dice_of,
    staff,
    stores,
    tags,
)
from tests.facts.conftest import NOW, Take
from tests.facts.test_purchases import ANA_BUYS, rows

ANA = (
    "customer_id,name,gender,birthday,zone,staff_id,staff_name,store_id,store_name,tags,phone,email,"
    "consent.sms,consented_at,attributes.skin,level\n"
    "ana,Ana,f,1990-05-31,Europe/Rome,S1,小林,W1,西湖店,敏感肌; VIP；敏感肌,+86 138-0000,ana@example.com,"
    "TRUE,2026-01-02,dry,gold\n"
)


def test_everything_told_of_a_customer_is_kept(database: Database, take: Take) -> None:
    report = take("customers", ANA)

    assert (report.new, report.completed, report.unchanged) == (1, 0, 0)
    assert report.sources[0].ignored_columns == ("level",)
    assert rows(database, customers, *(column.name for column in customers.columns)) == [
        (
            *(bucket_of("ana"), "ana", dice_of("ana"), "Ana", "f", "1990-05-31", "Europe/Rome", None),
            *("S1", "W1", {"skin": "dry"}, NOW, None),
        )
    ]
    assert rows(database, addresses, "channel", "address") == [
        ("email", "ana@example.com"),
        ("sms", "+86 138-0000"),
    ]
    assert rows(database, consents, "channel", "purpose", "decided_at", "granted", "source") == [
        ("sms", "marketing", datetime(2026, 1, 1, 16, tzinfo=UTC), True, "import")
    ]
    assert {tag for (tag,) in rows(database, tags, "tag")} == {"VIP", "敏感肌"}
    assert rows(database, staff, "staff_id", "name") == [("S1", "小林")]
    assert rows(database, stores, "store_id", "name") == [("W1", "西湖店")]
    assert rows(database, changed_customers, "customer_id") == [("ana",)]


def test_a_lunar_birthday_has_its_column_or_says_so(database: Database, take: Take) -> None:
    take("customers", "customer_id,lunar_birthday\nana,1990-8-15\nben,闰五月初三\n")
    take("customers", "customer_id,birthday\ncleo,农历八月十五\ndan,1990-05-31\nana,1990-10-03\n", "b.csv")
    assert rows(database, customers, "customer_id", "birthday", "lunar_birthday") == [
        ("ana", "1990-10-03", "1990-08-15"),
        ("ben", None, "0000-L05-03"),
        ("cleo", None, "0000-08-15"),
        ("dan", "1990-05-31", None),
    ]
    assert take("customers", "customer_id,lunar_birthday\neve,八月\nana,\n", "c.csv").refused == {"day": 1}


def test_importing_twice_changes_nothing(database: Database, take: Take) -> None:
    take("customers", ANA)

    report = take("customers", ANA)

    assert (report.new, report.completed, report.unchanged) == (0, 0, 1)
    assert len(rows(database, changed_customers, "import_id")) == 1


def test_a_newer_value_wins_and_an_empty_one_erases_nothing(database: Database, take: Take) -> None:
    take("customers", ANA)

    report = take("customers", "customer_id,name,gender,phone,attributes.hair\nana,Anna,,,red\n")

    assert (report.new, report.completed) == (0, 1)
    assert rows(database, customers, "name", "gender", "attributes") == [
        ("Anna", "f", {"hair": "red", "skin": "dry"})
    ]
    assert ("sms", "+86 138-0000") in rows(database, addresses, "channel", "address")


def test_of_a_customer_told_twice_in_a_file_the_later_row_wins(database: Database, take: Take) -> None:
    take("customers", "customer_id,name,gender\nana,Ana,f\nben,Ben,\nana,Anna,\n")

    assert sorted(rows(database, customers, "customer_id", "name", "gender")) == [
        ("ana", "Anna", "f"),
        ("ben", "Ben", None),
    ]


def test_a_changed_address_counts_as_deliverable_again(database: Database, take: Take) -> None:
    take("customers", ANA)
    with database.write() as connection:
        connection.execute(addresses.update().values(undeliverable_since=NOW))

    take("customers", "customer_id,phone\nana,13900000000\n")

    assert rows(database, addresses, "channel", "address", "undeliverable_since") == [
        ("email", "ana@example.com", NOW),
        ("sms", "13900000000", None),
    ]


def test_a_consent_without_its_time_is_said_now_and_only_once(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "customers.csv"

    def on_day(day: int, word: str) -> None:
        path.write_text(f"customer_id,consent.wecom\nana,{word}\n")
        import_files(database, settings, "customers", [path], now=NOW + timedelta(days=day))

    on_day(0, "true")
    on_day(1, "true")
    on_day(2, "false")
    on_day(3, "false")

    assert rows(database, consents, "decided_at", "granted") == [
        (NOW, True),
        (NOW + timedelta(days=2), False),
    ]


def test_first_seen_is_the_earliest_told_in_any_order(database: Database, take: Take) -> None:
    take("customers", "customer_id\nana\n")
    take("purchases", ANA_BUYS)
    take("customers", "customer_id,name\nana,Ana\n")

    assert rows(database, customers, "name", "first_seen_at") == [
        ("Ana", datetime(2026, 3, 1, 1, 30, tzinfo=UTC))
    ]


def test_a_tag_that_had_expired_is_set_again(database: Database, take: Take) -> None:
    take("customers", "customer_id,tags\nana,VIP\n")
    with database.write() as connection:
        connection.execute(tags.update().values(expires_at=NOW - timedelta(days=1)))

    take("customers", "customer_id,tags\nana,VIP\n")

    assert rows(database, tags, "tag", "expires_at") == [("VIP", None)]


def test_a_channel_there_is_not_refuses_the_file(take: Take) -> None:
    with pytest.raises(OperatorError, match="did you mean 'sms'"):
        take("customers", "customer_id,consent.smss\nana,false\n")


@pytest.mark.parametrize(
    ("code", "column", "cell"),
    [
        ("missing", "name", "x\n"),
        ("day", "birthday", "31.05.1990"),
        ("day", "birthday", "1990-02-30"),
        ("day", "birthday", "0001-01-01"),
        ("zone", "zone", "Beijing"),
        ("zone", "zone", "UTC+8"),
        ("phone", "phone", "1.38E+10"),
        ("phone", "phone", "call me"),
        ("email", "email", "ana"),
        ("email", "email", "ana@x.com, ben@x.com"),
        ("boolean", "consent.sms", "maybe"),
        ("boolean", "consent.sms", "yes"),
        ("time", "consented_at", "last week"),
        ("too_long", "tags", "t" * 101),
        ("too_long", "name", "n" * 501),
        ("bad_text", "name", "A\x07na"),
        ("bad_text", "tags", "a;b\x07"),
    ],
)
def test_a_hostile_cell_costs_its_row(
    sqlite_database: Database, settings: Settings, tmp_path: Path, code: str, column: str, cell: str
) -> None:
    who = "" if code == "missing" else "ben"
    path = tmp_path / "customers.csv"
    path.write_text(f'customer_id,{column}\nana,\n{who},"{cell.strip()}"\n')

    report = import_files(sqlite_database, settings, "customers", [path], now=NOW)

    assert report.refused == {code: 1}
    assert rows(sqlite_database, customers, "customer_id") == [("ana",)]


def test_json_lines_may_nest_what_belongs_together(database: Database, take: Take) -> None:
    first = '{"customer_id": 7, "address": {"sms": "13800000000"}, "consent": {"sms": true}}\n'
    second = '{"customer_id": "ben", "attributes": {"skin": "dry", "age": 40}}\n'

    take("customers", first + second, "customers.jsonl")

    assert rows(database, addresses, "customer_id", "address") == [("7", "13800000000")]
    assert rows(database, consents, "customer_id", "granted") == [("7", True)]
    assert sorted(rows(database, customers, "customer_id", "attributes"))[1] == (
        "ben",
        {"skin": "dry", "age": "40"},
    )
