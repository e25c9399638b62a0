"""SELECTs in the shop's own database → imports, each time as far as the source has grown.

In: a source of the settings. Out: an import of its rows; afterwards, and only when all is stored, how far the
cursor column has come. Rows at the very edge may be read twice, which changes nothing.
Trap: `id > :cursor` finds nothing while there is no cursor yet, so the first time it is widened to hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from smr.chat import Listener
from smr.database import Database
from smr.errors import OperatorError, did_you_mean
from smr.facts.cells import Numeral, Truth
from smr.facts.chunks import LONGEST_SHOWN, Chunk
from smr.facts.cursors import cursor_value
from smr.facts.importing import Source, import_from
from smr.facts.report import ImportReport, Progress, quiet
from smr.settings import Settings
from smr.tables import imports

ROWS = 5_000
DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}
_HANDLES_NULL = re.compile(
    r":cursor\s+IS\s+(NOT\s+)?NULL|(COALESCE|IFNULL|NVL)\s*\(\s*:cursor", re.IGNORECASE
)
_GROWN = re.compile(r"([\w.:\"`\[\]]+)\s*(>=?)\s*:cursor\b")
_GROWN_FROM = re.compile(r":cursor\b\s*(<=?)\s*([\w.\"`\[\]]+)")
_CURSOR = re.compile(r"(?<!:):cursor\b")


def import_source(
    database: Database,
    settings: Settings,
    name: str,
    *,
    now: datetime,
    progress: Progress = quiet,
    listener: Listener | None = None,
) -> ImportReport:
    """Import what a source of the settings has more than the last time.

    Raises OperatorError where the source cannot be read; its password is never shown.
    """
    if name not in settings.sources:
        hint = did_you_mean(name, list(settings.sources)) or "config.yaml names none under sources:"
        raise OperatorError(f"there is no source {name!r}; {hint}")
    source = settings.sources[name]
    recorded = f"source:{name}"
    url = _url(name, source.url)
    telling = _Telling(name, url)
    with ExitStack() as open_:
        with telling():
            statement = _statement(recorded, source.select, _last_cursor(database, recorded), url)
            engine = _engine(url)
            open_.callback(engine.dispose)
            connection = open_.enter_context(engine.connect())
            # Without parameters no driver looks for placeholders: % and : mean what they mean in their SQL.
            options = {"stream_results": True, "max_row_buffer": ROWS, "no_parameters": True}
            result = connection.execution_options(**options).exec_driver_sql(statement)
        reader = _Selected(recorded, result, source.cursor, telling)
        importing = Source(source.kind, recorded, reader, source.columns)
        report = import_from(database, settings, importing, now=now, progress=progress, listener=listener)
    return ImportReport(source.kind, (report,))


def _last_cursor(database: Database, recorded: str) -> Any:
    statement = sa.select(imports.c.cursor).where(imports.c.source == recorded, imports.c.cursor.is_not(None))
    with database.read() as connection:
        found = connection.scalar(statement.order_by(imports.c.import_id.desc()).limit(1))
    return None if found is None else cursor_value(found)


class _Telling:
    """Tells what a database refuses in words that hold no password."""

    def __init__(self, name: str, url: URL) -> None:
        self._name = name
        self._url = url

    @contextmanager
    def __call__(self) -> Iterator[None]:
        try:
            yield
        except ModuleNotFoundError as error:
            what = f"source {self._name}: the driver {error.name!r} is missing; install it with pip"
            raise OperatorError(what) from None
        except SQLAlchemyError as error:
            reason = " ".join(str(getattr(error, "orig", None) or error).split())[:300]
            if self._url.password:
                reason = reason.replace(str(self._url.password), "***")
            shown = self._url.render_as_string(hide_password=True)
            raise OperatorError(f"source {self._name}: {shown} cannot be read: {reason}") from None


class _Selected:
    """The rows of a SELECT, as a reader."""

    open_ended = False

    def __init__(
        self, name: str, result: sa.CursorResult[Any], cursor_column: str, telling: _Telling
    ) -> None:
        self.name = name
        self.total: int | None = None
        self.header = tuple(result.keys())
        self._result = result
        self._telling = telling
        if cursor_column not in self.header:
            hint = did_you_mean(cursor_column, self.header)
            raise OperatorError(
                f"{name}: the select gives no column {cursor_column!r} for the cursor; {hint}"
            )
        self._cursor_at = self.header.index(cursor_column)

    def chunks(self, wanted: frozenset[str]) -> Iterator[Chunk]:
        """The rows, some thousand at a time."""
        done = 0
        while rows := self._next():
            first, done = done + 1, done + len(rows)
            cursors = [row[self._cursor_at] for row in rows]
            columns, contents = _columns(self.header, rows), _contents(self.header, rows)
            yield Chunk(self.header, range(first, done + 1), columns, contents, done, cursors=cursors)

    def _next(self) -> Sequence[Any]:
        with self._telling():
            return self._result.fetchmany(ROWS)


def _columns(header: tuple[str, ...], rows: Sequence[Any]) -> Any:
    return lambda name: [cell(row[header.index(name)]) for row in rows]


def _contents(header: tuple[str, ...], rows: Sequence[Any]) -> Any:
    def content(at: int) -> str:
        row = dict(zip(header, map(cell, rows[at]), strict=True))
        return json.dumps(row, ensure_ascii=False)[:LONGEST_SHOWN]

    return content


def cell(value: Any) -> str:
    """A value of a database as a cell."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return Truth("true" if value else "false")
    if isinstance(value, int):
        return Numeral(value)
    if isinstance(value, float):
        text = repr(value)
        return Numeral(format(Decimal(text), "f") if "e" in text and abs(value) < 1e15 else text)
    if isinstance(value, Decimal):
        return Numeral(format(value, "f") if value.is_finite() and abs(value.adjusted()) < 30 else str(value))
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, date) else str(value)


def _statement(name: str, select: str, cursor: Any, url: URL) -> str:
    """The statement with its cursor written in, as NULL where there is none yet."""
    if not re.match(r"\s*(SELECT|WITH)\b", select, re.IGNORECASE):
        raise OperatorError(f"{name}: a source is one SELECT")
    if cursor is None and _CURSOR.search(select) and not _HANDLES_NULL.search(select):
        select, widened = _GROWN.subn(r"(\1 \2 :cursor OR :cursor IS NULL)", select)
        if not widened:
            select, widened = _GROWN_FROM.subn(r"(:cursor \1 \2 OR :cursor IS NULL)", select)
        if not widened:
            what = "the first time :cursor is NULL, and the select does not provide for it"
            raise OperatorError(f"{name}: {what}; write (:cursor IS NULL OR updated_at >= :cursor)")
    return _CURSOR.sub(lambda _: _literal(cursor, url.get_backend_name()), select)


def _literal(cursor: Any, backend: str) -> str:
    if cursor is None:
        return "NULL"
    if isinstance(cursor, int | Decimal):
        return str(cursor)
    text = str(cursor).replace("'", "''")
    return "'" + (text.replace("\\", "\\\\") if backend in {"mysql", "mariadb"} else text) + "'"


def _url(name: str, text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError:
        what = f"sources → {name} → url: that is not a database URL (write @ in a password as %40)"
        raise OperatorError(what) from None
    return url.set(drivername=DRIVERS.get(url.drivername, url.drivername))


def _engine(url: URL) -> Engine:
    """An engine that only reads, as far as the database can promise that."""
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        if not path.is_file():
            raise OperatorError(f"there is no SQLite file {path}")
        url = url.set(database=f"file:{path}").update_query_dict({"mode": "ro", "uri": "true"})
    read_only = {"postgresql_readonly": True} if url.get_backend_name() == "postgresql" else {}
    return sa.create_engine(url, poolclass=sa.pool.NullPool, execution_options=read_only)
