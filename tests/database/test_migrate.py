"""Migrations make exactly the declared tables, once, whole or not at all."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from smr import tables
from smr.database import Database, migrate, open_database
from smr.database.migrate import HEAD, apply, current_version, ensure_current, mark_current, upgrade, versions
from smr.database.shape import compare, differences, live_shape
from smr.errors import StateError
from smr.tables import metadata
from tests.database import interrupted
from tests.warm import start
from tests.worlds import World, put

NEWER = f"{int(HEAD) + 1:04d}"
NEXT = f'''
"""What a next release might do."""

import sqlalchemy as sa
from alembic import op

revision = "{NEWER}"
down_revision = "{HEAD}"


def upgrade():
    op.add_column("purchases", sa.Column("shelf", sa.Text))
    op.create_index("purchases_shelf", "purchases", ["shelf"])
    op.create_table("shelves", sa.Column("shelf", sa.Text, primary_key=True))
    op.execute("UPDATE purchases SET shelf = 'A'")


def downgrade():
    op.drop_table("shelves")
'''


@pytest.fixture
def empty(database_url: str) -> Any:
    opened = open_database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def next_release(tmp_path: Path) -> Path:
    folder = tmp_path / "next"
    shutil.copytree(migrate.folder(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / f"{NEWER}_shelves.py").write_text(NEXT)
    return folder


def _ana_has_bought(database: Database) -> None:
    world = World()
    world.customer("ana")
    world.purchase("ana", "P1", days_ago=3)
    put(database, world)


def _names(database: Database) -> set[str]:
    with database.read() as connection:
        return set(sa.inspect(connection).get_table_names())


def _make_tables(url: str, at: float) -> None:
    """What a process does that starts together with others."""
    opened = open_database(url)
    time.sleep(max(0, at - time.time()))
    ensure_current(opened)
    opened.close()


def _interrupted(url: str, folder: Path, head: str, at: int) -> int:
    return start(interrupted.upgrade, url, folder, head, at).wait()


def test_migrated_tables_are_the_declared_ones(empty: Database) -> None:
    ensure_current(empty)
    assert differences(empty, metadata) == []


def test_declared_tables_are_the_migrated_ones(database: Database, empty: Database) -> None:
    with database.trial() as connection:
        declared = live_shape(connection)
        _drop_all(connection)
        apply(connection)
        assert compare(declared, live_shape(connection)) == []


def test_alembic_finds_nothing_to_add_either(empty: Database) -> None:
    ensure_current(empty)
    with empty.read() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []


def test_sqlite_keeps_the_same_text_for_migrated_and_declared_tables(
    sqlite_database: Database, tmp_path: Path
) -> None:
    migrated = open_database(f"sqlite:///{tmp_path}/migrated.db")
    ensure_current(migrated)
    assert _texts(migrated) == _texts(sqlite_database)
    migrated.close()


def test_going_back_to_the_beginning_leaves_no_table(empty: Database) -> None:
    ensure_current(empty)
    with empty.write() as connection:
        apply(connection, "base")
    assert _names(empty) <= {versions.name}


def test_the_program_works_with_the_newest_migration() -> None:
    script = ScriptDirectory.from_config(_config())
    assert script.get_heads() == [HEAD]
    assert all(re.fullmatch(r"\d{4}", revision.revision) for revision in script.walk_revisions())


def test_migrations_import_nothing_from_the_program() -> None:
    for file in (migrate.folder() / "versions").glob("*.py"):
        assert "smr" not in re.findall(r"^(?:from|import) (\w+)", file.read_text(), re.MULTILINE), file.name


def test_a_current_database_costs_one_select(empty: Database) -> None:
    ensure_current(empty)
    seen: list[str] = []
    sa.event.listen(empty.engine, "before_cursor_execute", lambda _c, _k, text, *_: seen.append(text))
    ensure_current(empty)
    assert [text.split()[0] for text in seen if text != "BEGIN"] == ["SELECT"]


def test_a_current_database_is_ready_within_two_milliseconds(empty: Database) -> None:
    ensure_current(empty)
    quickest = min(_seconds(lambda: ensure_current(empty)) for _ in range(20))
    assert quickest < 0.002


def test_an_older_database_is_to_be_upgraded(database: Database) -> None:
    _set_version(database, "0000")
    with pytest.raises(
        StateError, match=r"schema version 0000; this program works with \d+\. Run: smr db upgrade"
    ):
        ensure_current(database)


@pytest.mark.parametrize("version", ["9999", "a1b2c3d4"])
def test_a_newer_database_is_refused_with_the_version_it_needs(database: Database, version: str) -> None:
    _set_version(database, version)
    for attempt in (ensure_current, upgrade):
        with pytest.raises(StateError, match=f"Install an smr that knows schema version {version}"):
            attempt(database)


def test_a_database_of_something_else_is_refused_untouched(empty: Database) -> None:
    with empty.write() as connection:
        sa.Table("invoices", sa.MetaData(), sa.Column("number", sa.Integer)).create(connection)
    for attempt in (ensure_current, upgrade):
        with pytest.raises(StateError, match=r"holds tables of something else \(invoices\)"):
            attempt(empty)
    assert _names(empty) == {"invoices"}


def test_processes_that_start_together_make_the_tables_once(database_url: str) -> None:
    soon = time.time() + 0.5
    for process in [start(_make_tables, database_url, soon) for _ in range(4)]:
        process.finished()
    opened = open_database(database_url)
    assert differences(opened, metadata) == []
    opened.close()


@pytest.mark.parametrize("at", [1, 12, 37])
def test_killed_while_making_the_tables_leaves_nothing_or_all(
    empty: Database, database_url: str, at: int
) -> None:
    assert _interrupted(database_url, migrate.folder(), HEAD, at) == -9
    assert _names(empty) == set()
    assert _interrupted(database_url, migrate.folder(), HEAD, 0) == 0
    assert differences(empty, metadata) == []


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_killed_in_an_upgrade_leaves_the_old_schema_with_its_rows(
    database: Database, database_url: str, next_release: Path, at: int
) -> None:
    _ana_has_bought(database)
    assert _interrupted(database_url, next_release, NEWER, at) == -9
    assert current_version(database) == HEAD
    assert differences(database, metadata) == []
    assert _interrupted(database_url, next_release, NEWER, 0) == 0
    assert current_version(database) == NEWER
    assert "shelves" in _names(database)
    with database.read() as connection:
        assert connection.scalars(sa.select(sa.column("shelf")).select_from(tables.purchases)).all() == ["A"]


def test_an_upgrade_copies_a_file_that_has_rows_first(
    sqlite_database: Database, next_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ana_has_bought(sqlite_database)
    monkeypatch.setattr(migrate, "folder", lambda: next_release)
    monkeypatch.setattr(migrate, "HEAD", NEWER)
    done = upgrade(sqlite_database)
    assert (done.before, done.after) == (HEAD, NEWER)
    assert done.backup is not None
    kept = open_database(f"sqlite:///{done.backup}")
    assert current_version(kept) == HEAD
    assert differences(kept, metadata) == []
    with kept.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.purchases)) == 1
    kept.close()


def test_an_upgrade_of_a_current_database_changes_nothing(database: Database) -> None:
    done = upgrade(database)
    assert (done.before, done.after, done.backup) == (HEAD, HEAD, None)


def test_an_upgrade_of_an_empty_database_makes_the_tables(empty: Database) -> None:
    assert upgrade(empty).before is None
    assert differences(empty, metadata) == []


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrate.folder()))
    return config


def _drop_all(connection: sa.Connection) -> None:
    metadata.drop_all(connection)
    versions.drop(connection)


def _set_version(database: Database, version: str) -> None:
    with database.write() as connection:
        mark_current(connection)
        connection.execute(sa.update(versions).values(version_num=version))


def _texts(database: Database) -> dict[str, str]:
    master = sa.table("sqlite_master", sa.column("name"), sa.column("sql"))
    with database.read() as connection:
        rows = connection.execute(sa.select(master.c.name, master.c.sql).where(master.c.sql.is_not(None)))
        return {
            row.name: re.sub(r"\s+", " ", row.sql).replace(" )", ")")
            for row in rows
            if "alembic" not in row.name
        }


def _seconds(work: Any) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
