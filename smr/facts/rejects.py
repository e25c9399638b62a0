"""Refused rows: a file for the operator, and rows of `rejected_rows` for good.

Trap: the file is opened in spreadsheets, where a cell that begins with = + - @ runs as a formula.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.database import Session, insert_missing, temporary
from smr.errors import OperatorError
from smr.facts.cells import CONTROL
from smr.facts.chunks import LONGEST_SHOWN, Rejection
from smr.facts.staging import SLICE, putter
from smr.tables import rejected_rows

HEADER = ("line", "code", "reason", "content")
FORMULA_STARTS = "=+-@\t\r\n＝＋－＠"

waiting = temporary(
    "waiting_rejects",
    sa.Column("line", sa.BigInteger),
    sa.Column("code", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("content", sa.Text),
)


class Rejects:
    """Takes refused rows in as they are found; counts them by code."""

    def __init__(self, folder: Path, name: str) -> None:
        self.counts: Counter[str] = Counter()
        self._path = folder / f"{name}.csv"
        self._file: IO[str] | None = None
        self._write: Any = None

    @property
    def path(self) -> Path | None:
        """The rejects file, where there is one."""
        return self._path if self._file is not None else None

    def add(self, connection: Connection, rejections: Iterable[Rejection]) -> None:
        """Write these to the file and to the temporary table."""
        rows = [tuple(map(printable, (r.line, r.code, r.reason, r.content))) for r in rejections]
        if not rows:
            return
        self.counts.update(row[1] for row in rows)
        self._opened().writerows([tuple(map(inert, row)) for row in rows])
        putter(connection, waiting)(rows)

    def _opened(self) -> Any:
        if self._file is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("w", encoding="utf-8", newline="")
            except OSError as error:
                what = f"the rejects file {self._path} cannot be written ({error.strerror})"
                raise OperatorError(f"{what}; change import.rejects_folder") from None
            self._write = csv.writer(self._file, quoting=csv.QUOTE_ALL)
            self._write.writerow(HEADER)
        return self._write

    def close(self) -> None:
        """Have the file safely on disk."""
        if self._file is not None and not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


def keep(session: Session, import_id: int, source: str) -> None:
    """Copy what was refused from the temporary table to `rejected_rows`, some thousand rows at a time."""
    columns = ("import_id", "source", "line", "code", "reason", "content")
    stated = (sa.literal(import_id, sa.BigInteger), sa.literal(source, sa.Text))
    select = sa.select(*stated, *waiting.columns).order_by(waiting.c.line, waiting.c.code)
    with session.aside() as connection:
        count = connection.scalar(sa.select(sa.func.count()).select_from(waiting)) or 0
    for offset in range(0, count, SLICE):
        piece = select.limit(SLICE).offset(offset)
        with session.write() as connection:
            connection.execute(insert_missing(session.dialect, rejected_rows, columns=columns, select=piece))


def printable(value: Any) -> Any:
    """A value that any database can hold: control characters and half characters are spelled out."""
    if not isinstance(value, str):
        return value
    return CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", value)[:LONGEST_SHOWN]


def inert(value: Any) -> str:
    """A cell that no spreadsheet takes for a formula."""
    text = str(value)
    return f"'{text}" if text[:1] and text[0] in FORMULA_STARTS else text
