"""`smr db check`: every way in which tables can differ is told, damage is found, all well is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smr.database import Database, open_database
from smr.database.engine import PAGE_BYTES
from smr.database.health import check
from smr.database.migrate import versions
from smr.tables import metadata
from tests.worlds import World, put


def _changed(database: Database, *statements: str) -> list[str]:
    with database.write() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    health = check(database, metadata)
    assert health.sound == (not health.differences)
    return [str(one) for one in health.differences]


def test_a_sound_database_is_called_sound(database: Database) -> None:
    world = World()
    world.customer("ana")
    put(database, world)
    health = check(database, metadata)
    assert health.sound
    assert health.rows["customers"] == 1
    assert health.bytes > 10_000
    assert health.warnings == ()


CHANGES = {
    "a missing table": (["DROP TABLE stores"], "table stores is missing"),
    "a foreign table": (["CREATE TABLE mine (a INTEGER)"], "table mine is not one of smr's"),
    "a missing column": (["ALTER TABLE staff DROP COLUMN name"], "column staff.name is missing"),
    "a foreign column": (
        ["ALTER TABLE staff ADD COLUMN phone TEXT"],
        "column staff.phone is not one of smr's",
    ),
    "a missing index": (["DROP INDEX messages_sent"], "index messages.messages_sent is missing"),
    "a foreign index": (
        ["CREATE INDEX staff_name ON staff (name)"],
        "index staff.staff_name is not one of smr's",
    ),
    "an index over all rows": (
        ["DROP INDEX messages_sent", "CREATE INDEX messages_sent ON messages (sent_at)"],
        r"index messages.messages_sent is \(sent_at\); smr needs \(sent_at\) WHERE",
    ),
    "an index that is not unique": (
        ["DROP INDEX messages_id", "CREATE INDEX messages_id ON messages (bucket, message_id)"],
        r"index messages.messages_id is \(bucket, message_id\); smr needs UNIQUE \(bucket, message_id\)",
    ),
    "columns in another order": (
        ["DROP INDEX messages_id", "CREATE UNIQUE INDEX messages_id ON messages (message_id, bucket)"],
        r"messages_id is UNIQUE \(message_id, bucket\); smr needs UNIQUE \(bucket, message_id\)",
    ),
}


@pytest.mark.parametrize(("statements", "told"), CHANGES.values(), ids=CHANGES.keys())
def test_a_difference_is_told(database: Database, statements: list[str], told: str) -> None:
    found = _changed(database, *statements)
    assert len(found) == 1
    assert re.search(told, found[0])


ON_POSTGRESQL = {
    "a type": ("ALTER TABLE staff ALTER name TYPE VARCHAR(50)", r"VARCHAR\(50\) NULL; smr needs TEXT NULL"),
    "NULL": ("ALTER TABLE products ALTER units DROP NOT NULL", "column products.units"),
    "a default": ("ALTER TABLE staff ALTER name SET DEFAULT 'x'", "DEFAULT 'x'::text; smr needs TEXT NULL"),
    "a collation": (
        'ALTER TABLE products ALTER category TYPE TEXT COLLATE "POSIX"',
        'smr needs TEXT COLLATE "C"',
    ),
    "a check": ("ALTER TABLE tags DROP CONSTRAINT tags_bucket_range", "tags_bucket_range is missing"),
    "a key": ("ALTER TABLE staff DROP CONSTRAINT staff_pk", "constraint staff.staff_pk is missing"),
}


@pytest.mark.parametrize(("statement", "told"), ON_POSTGRESQL.values(), ids=ON_POSTGRESQL.keys())
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_finer_difference_is_told_on_postgresql(database: Database, statement: str, told: str) -> None:
    assert any(re.search(told, one) for one in _changed(database, statement))


def test_a_rowid_where_none_should_be_is_told(sqlite_database: Database) -> None:
    found = _changed(
        sqlite_database,
        "CREATE TABLE copied AS SELECT * FROM tags",
        "DROP TABLE tags",
        "ALTER TABLE copied RENAME TO tags",
    )
    assert "table tags is a table; smr needs clustered by its key" in found


def test_another_version_is_told_before_anything_else(database: Database) -> None:
    with database.write() as connection:
        connection.execute(versions.update().values(version_num="0000"))
    health = check(database, metadata)
    assert (health.version, health.sound, health.differences) == ("0000", False, ())


def test_damage_is_found(sqlite_database: Database, tmp_path: Path) -> None:
    world = World()
    for number in range(300):
        world.customer(f"c{number}", attributes={"note": "x" * 200})
    put(sqlite_database, world)
    sqlite_database.close()
    file = tmp_path / "shop.db"
    content = bytearray(file.read_bytes())
    # A page of customers, who came last; the schema stands before them.
    content[-PAGE_BYTES:] = bytes(PAGE_BYTES)
    file.write_bytes(content)
    health = check(open_database(f"sqlite:///{file}"), metadata)
    assert not health.sound
    assert health.faults
