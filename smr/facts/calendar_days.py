"""The calendar: holidays, weekends that are worked, festivals of the shop's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.almanac import KINDS
from smr.database import insert_missing
from smr.errors import did_you_mean
from smr.facts.batch import Batch, Readable
from smr.facts.cells import CellError, Column, TextColumn, shown
from smr.facts.layout import Layout
from smr.facts.records import RecordKind, Said
from smr.tables import calendar

FESTIVAL = "festival"
OTHER_NAMES = {
    "休": "holiday",
    "放假": "holiday",
    "班": "workday",
    "上班": "workday",
    "平日": "normal",
    "节日": FESTIVAL,
}


class CalendarDays(RecordKind):
    """How days of the calendar are read and kept. The last word on a day holds; festivals are added."""

    key = ("day", "kind", "name")

    def readers(self, layout: Layout) -> Mapping[str, Readable]:
        """What reads each column."""
        columns: tuple[Readable, ...] = (
            Column("day", _read_day, needed=True),
            Column("kind", _read_kind, needed=True),
            TextColumn("name"),
        )
        return {column.name: column for column in columns}

    def said(self, batch: Batch) -> Iterable[tuple[tuple[Any, ...], Said]]:
        """Each row is its key; what is kept of it is where it stood, so that the last word is known."""
        names = batch["name"] if "name" in batch.values else [None] * len(batch)
        rows = zip(batch.lines, batch["day"], batch["kind"], names, strict=True)
        for line, day, kind, name in rows:
            yield (day, kind, name or ""), {"line": line}

    def bring_in(
        self, connection: Connection, told: dict[tuple[Any, ...], Said], import_id: int
    ) -> tuple[int, int]:
        """Store these; a day is a holiday, a workday or a normal one, and never two of them."""
        known = {tuple(row) for row in connection.execute(sa.select(calendar))}
        last: dict[str, tuple[int, tuple[str, str, str]]] = {}
        festivals = set()
        for key, said in told.items():
            day, kind, name = key
            if kind == FESTIVAL:
                festivals.add((day, kind, name))
            elif day not in last or said["line"] > last[day][0]:
                last[day] = (said["line"], (day, kind, name))
        wanted = festivals | {row for _, row in last.values()}
        news = sorted(wanted - known)
        spoken_of = {day for day, kind, _ in known if kind != FESTIVAL}
        anew = [day for day, kind, _ in news if kind != FESTIVAL]
        if news:
            gone = sa.delete(calendar).where(
                calendar.c.kind != FESTIVAL, calendar.c.day.in_(sa.bindparam("days", expanding=True))
            )
            connection.execute(gone, {"days": anew})
            rows = [dict(zip(self.key, row, strict=True)) for row in news]
            connection.execute(insert_missing(connection.dialect.name, calendar), rows)
        changed = len(spoken_of.intersection(anew))
        return len(news) - changed, changed


def _read_day(cell: str) -> str:
    """A calendar day, as YYYY-MM-DD."""
    try:
        return date.fromisoformat(cell).isoformat() if len(cell) == len("2026-10-01") else _not_a_day(cell)
    except ValueError:
        return _not_a_day(cell)


def _not_a_day(cell: str) -> str:
    raise CellError("day", f"{shown(cell)} is not a day that exists; write 2026-10-01")


def _read_kind(cell: str) -> str:
    kind = OTHER_NAMES.get(cell, cell)
    if kind not in KINDS:
        raise CellError(
            "kind", f"{shown(cell)} is not known here; {did_you_mean(cell, [*KINDS, *OTHER_NAMES])}"
        )
    return kind
