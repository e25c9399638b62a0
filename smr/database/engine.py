"""Opening a database and the only transactions there are.

SQLite runs in WAL with synchronous=FULL: a committed row survives a power cut. Writers begin
IMMEDIATE, since a deferred transaction that reads first and writes later fails at once when
another process has written in between, whatever the busy timeout says.
"""

from __future__ import annotations

import sqlite3
import stat
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from smr import clock
from smr.database.refusals import explain
from smr.errors import OperatorError

BUSY_TIMEOUT_MS = 20_000
PAGE_CACHE_KIB = 16_384
TEMPORARY_CACHE_KIB = 2_048
"""For temporary tables; SQLite counts it in pages, unless it is said."""
PAGE_BYTES = 16_384
"""The pages of a new file. What a run touches lies scattered over it, and what a page costs is the calls that
read it, log it and copy it, hardly its size. A file made before keeps its own.
"""
CHECKPOINT_PAGES = 1_000
"""Pages in the journal before they are copied into the file: 16 MB. A batch touches hundreds, and the next
one many of them again.
"""
LASTING = (
    f"page_size={PAGE_BYTES}",
    "journal_mode=WAL",
    "synchronous=FULL",
    f"wal_autocheckpoint={CHECKPOINT_PAGES}",
    "foreign_keys=ON",
    "trusted_schema=OFF",
    "temp_store=FILE",
    f"cache_size=-{PAGE_CACHE_KIB}",
    f"temp.cache_size=-{TEMPORARY_CACHE_KIB}",
)
PASSING = (
    f"page_size={PAGE_BYTES}",
    "journal_mode=MEMORY",
    "synchronous=OFF",
    "trusted_schema=OFF",
    "temp_store=FILE",
    f"cache_size=-{4 * PAGE_CACHE_KIB}",
)
DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}


class Database:
    """One shop's database.

    `read()` gives a connection whose work is thrown away at the end; `write()` gives one whose
    work is committed when the block ends well and rolled back when it does not. `trial()` gives a
    writing transaction that is always rolled back.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        # Whoever forgets to close it leaves no open connections behind.
        weakref.finalize(self, engine.dispose)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @property
    def shown_url(self) -> str:
        """The URL with its password masked."""
        return self.engine.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading: one snapshot on SQLite, read committed on PostgreSQL."""
        with self.explained(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One writing transaction, committed when the block ends well."""
        with self._writer() as connection, connection.begin():
            yield connection

    @contextmanager
    def trial(self) -> Iterator[Connection]:
        """One writing transaction that is rolled back at the end, whatever happened in it."""
        with self._writer() as connection:
            transaction = connection.begin()
            try:
                yield connection
            finally:
                with suppress(sa.exc.DBAPIError):
                    transaction.rollback()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One connection for several transactions; its temporary tables last until the block ends."""
        with self.explained(), self.engine.connect() as connection:
            connection.detach()
            yield Session(self, connection)

    @contextmanager
    def _writer(self) -> Iterator[Connection]:
        with self.explained(), self.engine.connect() as connection:
            yield connection.execution_options(smr_write=True)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn the database's refusals (busy, full, read-only, damaged, gone) into StateErrors."""
        try:
            yield
        except DBAPIError as error:
            meaning = explain(error, self.shown_url, BUSY_TIMEOUT_MS // 1000)
            if meaning is None:
                raise
            raise meaning from error

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


class Session:
    """One connection on which transactions follow each other."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self.dialect = database.dialect
        self._database = database
        self._connection = connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One writing transaction, committed when the block ends well."""
        with self._transaction(writing=True) as connection:
            yield connection

    @contextmanager
    def aside(self) -> Iterator[Connection]:
        """A transaction that writes temporary tables only: it keeps no other writer waiting."""
        with self._transaction(writing=False) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, writing: bool) -> Iterator[Connection]:
        connection = self._connection.execution_options(smr_write=writing)
        with self._database.explained(), connection.begin():
            yield connection


def open_database(url: str) -> Database:
    """Open the database of that URL (`sqlite:///file.db`, `postgresql://user@host/name`).

    Raises OperatorError for a URL that cannot be used, with the password masked.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return Database(_sqlite(parsed, LASTING))
    return Database(_postgresql(parsed))


def open_passing(path: Path) -> Database:
    """Open a SQLite file that is thrown away afterwards: nothing waits for the disk, a crash spoils it."""
    return Database(_sqlite(make_url("sqlite://").set(database=str(path)), PASSING))


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise OperatorError(
            "database_url: that is not a database URL. Write sqlite:///smr.db or "
            "postgresql://user:password@host/name (write @ in a password as %40)."
        ) from None
    driver = DRIVERS.get(parsed.drivername)
    if driver is None:
        raise OperatorError(
            f"database_url: smr stores in SQLite or PostgreSQL, not in {parsed.drivername!r}. "
            "Write sqlite:///smr.db or postgresql://user:password@host/name."
        )
    return parsed.set(drivername=driver)


def _sqlite(url: URL, pragmas: tuple[str, ...]) -> Engine:
    if url.database and url.database != ":memory:":
        _check_path(Path(url.database))
    waiting = {"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False}
    engine = sa.create_engine(url, connect_args=waiting, hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def prepare(raw: Any, _record: Any) -> None:
        raw.isolation_level = None
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", *pragmas):
            _patiently(raw, f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("smr_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _patiently(raw: Any, pragma: str) -> None:
    """Set it, waiting for others who use the file.

    SQLite itself waits for no one where two processes that start together turn it to WAL.
    """
    end = clock.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            raw.execute(pragma)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or clock.monotonic() >= end:
                raise
            clock.pause(0.02)
        else:
            return


def _check_path(path: Path) -> None:
    folder = path.resolve().parent
    if not folder.is_dir():
        raise OperatorError(
            f"database_path: the folder {folder} does not exist. Create it, or change database.url."
        )
    if path.is_dir():
        raise OperatorError(f"database_path: {path} is a folder. Name a file in it, such as {path}/smr.db.")
    if not path.exists():
        try:
            path.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
        except OSError as error:
            raise OperatorError(f"database_path: {path} cannot be written ({error.strerror}).") from None


def _postgresql(url: URL) -> Engine:
    """Every statement is planned for its own values, and none is compiled.

    A prepared statement gets a plan for any values after five executions, which for a slice of buckets and a
    span of time is a scan of the table; compiling costs more than these statements.
    """
    engine = sa.create_engine(
        url,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"connect_timeout": 10, "application_name": "smr", "prepare_threshold": None},
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(raw: Any, _record: Any) -> None:
        raw.autocommit = True
        raw.execute("SET jit = off")
        raw.autocommit = False

    return engine
