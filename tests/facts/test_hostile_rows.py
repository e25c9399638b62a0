"""Each hostile row is refused alone, with its code and its own line; every good row around it goes in."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import sqlalchemy as sa

from smr.database import Database
from smr.facts import ImportReport, import_files
from smr.settings import Settings
from smr.tables import purchases, rejected_rows
from tests.facts.conftest import NOW
from tests.hostile_rows import purchases as hostile


@pytest.fixture
def patient(tmp_path: Path) -> Settings:
    """A shop that takes what is good of any file."""
    return Settings.model_validate(
        {"import": {"rejects_folder": tmp_path / "rejects", "reject_limit": "100%"}}
    )


def mixed(
    rows: list[tuple[str, bytes]], good: bytes, first_line: int
) -> tuple[list[bytes], list[tuple[int, str]]]:
    """Good rows with the hostile ones between them, and what each hostile one must be told."""
    lines: list[bytes] = []
    expected = []
    number = first_line
    for at, (code, row) in enumerate(rows):
        lines.append(good % at)
        expected.append((number + 1, code))
        lines.append(row)
        number += 2 + row.count(b"\n")
    lines.append(good % len(rows))
    return lines, expected


def told(database: Database) -> list[tuple[int, str]]:
    """Line and code of every row kept as refused."""
    with database.read() as connection:
        rows = connection.execute(
            sa.select(rejected_rows.c.line, rejected_rows.c.code).order_by(rejected_rows.c.line)
        )
        return [(row.line, row.code) for row in rows]


def stored(database: Database) -> set[str]:
    """The orders that are in."""
    with database.read() as connection:
        return set(connection.scalars(sa.select(purchases.c.order_id)))


def take(database: Database, settings: Settings, path: Path, lines: list[bytes]) -> ImportReport:
    """Import these lines."""
    path.write_bytes(b"\n".join(lines) + b"\n")
    return import_files(database, settings, "purchases", [path], now=NOW)


def test_csv(database: Database, patient: Settings, tmp_path: Path) -> None:
    lines, expected = mixed(hostile.CSV, hostile.GOOD, first_line=2)

    report = take(database, patient, tmp_path / "hostile.csv", [hostile.HEADER, *lines])

    assert told(database) == expected
    assert stored(database) == {f"G-{at}" for at in range(len(hostile.CSV) + 1)}
    assert report.new == len(hostile.CSV) + 1
    (path,) = report.rejects_files
    with path.open(encoding="utf-8", newline="") as file:
        assert [(int(row["line"]), row["code"]) for row in csv.DictReader(file)] == expected


def test_json_lines(database: Database, patient: Settings, tmp_path: Path) -> None:
    lines, expected = mixed(hostile.JSONL, hostile.JSONL_GOOD, first_line=1)

    take(database, patient, tmp_path / "hostile.jsonl", lines)

    assert told(database) == expected
    assert stored(database) == {f"G-{at}" for at in range(len(hostile.JSONL) + 1)}


ONE_OF_EACH = dict(reversed(hostile.CSV))


@pytest.mark.parametrize("code", sorted(ONE_OF_EACH))
def test_a_hostile_row_at_the_very_end_costs_itself_alone(
    sqlite_database: Database, patient: Settings, tmp_path: Path, code: str
) -> None:
    path = tmp_path / "end.csv"
    path.write_bytes(b"\n".join([hostile.HEADER, hostile.GOOD % 1, ONE_OF_EACH[code]]))

    report = import_files(sqlite_database, patient, "purchases", [path], now=NOW)

    assert report.new == 1
    assert told(sqlite_database) == [(3, code)]


def test_there_are_enough_of_them() -> None:
    assert len(hostile.CSV) + len(hostile.JSONL) >= 130
