"""SQLite files: where they lie, and copying one that is in use.

A copy is made by SQLite's online backup, which sees one consistent state while others write; copying the file
alone would leave out what is still in its write-ahead log. The copy appears under its name only when whole.
"""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from smr.database.engine import Database
from smr.errors import OperatorError

PAGES_A_STEP = 4_096
NETWORK = re.compile(r"9p|afs|ceph|cifs|davfs|fuse\.sshfs|glusterfs|lustre|nfs4?|smb3|smbfs")
MOUNTS = Path("/proc/mounts")

Progress = Callable[[int, int], None]
"""Told how many pages are done, of how many."""


def silent(_done: int, _total: int) -> None:
    """Tell nobody."""


def file_of(database: Database) -> Path | None:
    """The file of a SQLite database; None for PostgreSQL and for one in memory."""
    name = database.engine.url.database
    return Path(name) if database.dialect == "sqlite" and name and name != ":memory:" else None


def network_drive(path: Path, mounts: Path = MOUNTS) -> str:
    """The kind of network drive on which a path lies (`nfs4`, `cifs`, …); empty for a local or unknown one.

    SQLite's locks and its write-ahead log do not hold over a network: two machines may damage the file.
    """
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    place = path.resolve()
    mounted = [line.split(" ")[1:3] for line in lines if line.count(" ") >= 2]
    points = [(point.replace("\\040", " "), kind) for point, kind in mounted]
    over = [(len(point), kind) for point, kind in points if place.is_relative_to(point)]
    kind = max(over, default=(0, ""))[1]
    return kind if NETWORK.fullmatch(kind) else ""


def backup(database: Database, target: Path, progress: Progress = silent) -> int:
    """Copy a SQLite database that may be in use to a new file; gives the bytes written.

    Raises OperatorError where the file exists already, cannot be written, or the database is a PostgreSQL.
    """
    if database.dialect != "sqlite":
        raise OperatorError(_use_pg_dump(database, target))
    if target.exists():
        raise OperatorError(f"{target} is there already. Name a file that is not.")
    folder = target.resolve().parent
    if not folder.is_dir():
        raise OperatorError(f"the folder {folder} does not exist. Create it, or name another.")
    part = target.with_name(target.name + ".part")
    try:
        _copy(database, part, progress)
        part.replace(target)
        _settle(folder)
    except (sqlite3.Error, OSError) as error:
        raise OperatorError(f"{target} could not be written: {error}. Name another place.") from error
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


def _copy(database: Database, part: Path, progress: Progress) -> None:
    part.unlink(missing_ok=True)
    part.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
    copy = sqlite3.connect(part)
    try:
        with database.read() as connection:
            # The read transaction stays open: writers do not make the copy begin again.
            connection.scalar(sa.select(sa.func.count()).select_from(sa.table("sqlite_master")))
            source = connection.connection.driver_connection
            assert isinstance(source, sqlite3.Connection)  # noqa: S101
            source.backup(
                copy, pages=PAGES_A_STEP, progress=lambda _status, left, total: progress(total - left, total)
            )
    finally:
        copy.close()
    _settle(part)


def _settle(path: Path) -> None:
    """Have a file, or a folder's list of files, on disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _use_pg_dump(database: Database, target: Path) -> str:
    url = database.engine.url._replace(drivername="postgresql", password=None).render_as_string()
    return (
        "a PostgreSQL database is backed up with its own tools; run: "
        f"pg_dump --format=custom --file='{target}' '{url}'  (and later: pg_restore --clean --dbname='{url}')"
    )
