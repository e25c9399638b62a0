"""From an opened source to the tables, and the record of it: all kinds, all formats.

read → check → stage → (few enough are bad?) → merge slice by slice → finish. Until the whole source has
been read, nothing is stored but the fact that an import has begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from smr import clock
from smr.chat import Listener, built_in
from smr.crash_points import reached
from smr.database import Database, Session
from smr.errors import OperatorError
from smr.facts.batch import CURSOR, Batch, read_batch
from smr.facts.calendar_days import CalendarDays
from smr.facts.chunks import Chunk, Reader
from smr.facts.cursors import cursor_text, later
from smr.facts.customers import Customers
from smr.facts.given import Steps, given
from smr.facts.intake import FactIntake, Intake
from smr.facts.layout import Layout, lay_out
from smr.facts.products import Products
from smr.facts.records import RecordIntake
from smr.facts.rejects import Rejects, keep, waiting
from smr.facts.report import Progress, SourceReport
from smr.facts.shapes import shape_of
from smr.facts.staging import create
from smr.settings import Settings
from smr.tables import imports

HOPELESS = 100_000
"""A source with so many bad rows, and hardly a good one, is given up without reading the rest."""


@dataclass(frozen=True)
class Source:
    """What is being imported: its kind, its name in the record, its reader, its column mapping."""

    kind: str
    name: str
    reader: Reader
    mapping: Mapping[str, str]


@dataclass
class Tally:
    """Rows counted on the way, and how far a growing source has come."""

    rows: int = 0
    new: int = 0
    completed: int = 0
    unchanged: int = 0
    ignored: tuple[str, ...] = ()
    cursor: Any = None
    refused: Mapping[str, int] = field(default_factory=dict)

    @property
    def bad(self) -> int:
        """How many rows were refused."""
        return sum(self.refused.values())

    def as_json(self) -> dict[str, Any]:
        """For the imports table."""
        told = {"rows": self.rows, "new": self.new, "completed": self.completed, "unchanged": self.unchanged}
        return {**told, "refused": dict(self.refused)}


def import_from(
    database: Database,
    settings: Settings,
    source: Source,
    *,
    now: datetime,
    progress: Progress,
    listener: Listener | None = None,
    steps: Steps | None = None,
) -> SourceReport:
    """Import one opened source; OperatorError where it is refused whole."""
    started = clock.monotonic()
    layout = _laid_out(source, source.reader.header)
    with database.session() as session:
        create(session, waiting)
        intake = intake_of(source.kind, settings, session, layout, now, listener, steps)
        import_id = _begin(session, source, now)
        rejects = Rejects(settings.imports.rejects_folder, _rejects_name(source, import_id))
        try:
            tally = _read(session, source, intake, layout, rejects, progress)
            hopeless = _too_many_bad(tally, settings, source, rejects.path)
            if hopeless is None:
                _merge(session, import_id, intake, tally, rejects, progress)
        finally:
            rejects.close()
        seconds = clock.monotonic() - started
        finished = now + timedelta(seconds=seconds)
        _finish(session, source, import_id, tally, finished, refused=hopeless is not None)
    if hopeless is not None:
        raise hopeless
    return SourceReport(
        source.name,
        import_id,
        tally.rows,
        tally.new,
        tally.completed,
        tally.unchanged,
        dict(sorted(tally.refused.items())),
        rejects.path,
        tally.ignored,
        seconds,
    )


def intake_of(
    kind: str,
    settings: Settings,
    session: Session,
    layout: Layout,
    now: datetime,
    listener: Listener | None = None,
    steps: Steps | None = None,
) -> Intake:
    """How this kind goes in; chat is listened to for the built-in topics where no listener is given."""
    if kind == "candidates":
        return FactIntake(given(settings, steps or {}), session)
    if kind == "customers":
        return RecordIntake(Customers(settings, layout, now), session)
    if kind == "calendar":
        return RecordIntake(CalendarDays(), session)
    if kind == "products":
        return RecordIntake(Products(settings, now), session)
    return FactIntake(shape_of(kind, settings), session, listener or Listener(built_in()))


def _begin(session: Session, source: Source, now: datetime) -> int:
    row = {"kind": source.kind, "source": source.name, "started_at": now}
    with session.write() as connection:
        begun = connection.execute(sa.insert(imports).values(row).returning(imports.c.import_id))
        return int(begun.scalar_one())


def _rejects_name(source: Source, import_id: int) -> str:
    stem = Path(source.name.replace(":", "-")).name.split(".")[0].strip("-")
    return f"{source.kind}-{import_id:06d}-{stem[:80] or 'stdin'}"


def _read(
    session: Session, source: Source, intake: Intake, layout: Layout, rejects: Rejects, progress: Progress
) -> Tally:
    """Read, check and stage the whole source."""
    tally = Tally(ignored=layout.unknown, refused=rejects.counts)
    header = dict.fromkeys(source.reader.header)
    readers = intake.readers(layout)
    with session.aside() as connection:
        stage = intake.stage(connection)
        for chunk in source.reader.chunks(layout.wanted):
            if chunk.header and not header.keys() >= {*chunk.header}:
                header |= dict.fromkeys(chunk.header)
                layout = _laid_out(source, tuple(header))
                readers = intake.readers(layout)
                tally.ignored = layout.unknown
            batch = read_batch(chunk, layout, readers)
            stage(batch, layout)
            rejects.add(connection, sorted(batch.refused, key=lambda refused: refused.line))
            _count(tally, chunk, batch)
            progress(chunk.done, source.reader.total, f"reading {source.name}")
            if tally.bad > HOPELESS and tally.bad > 0.9 * tally.rows:
                break
    return tally


def _laid_out(source: Source, header: tuple[str, ...]) -> Layout:
    reader = source.reader
    return lay_out(reader.name, source.kind, header, source.mapping, open_ended=reader.open_ended)


def _count(tally: Tally, chunk: Chunk, batch: Batch) -> None:
    tally.rows += len(chunk.lines) + len(chunk.refused)
    tally.cursor = later(tally.cursor, list(batch.values.get(CURSOR, ())))


def _too_many_bad(
    tally: Tally, settings: Settings, source: Source, path: Path | None
) -> OperatorError | None:
    limit = settings.imports.reject_limit
    if tally.bad <= limit * tally.rows:
        return None
    codes = ", ".join(f"{code} {count}" for code, count in sorted(tally.refused.items()))
    return OperatorError(
        f"{source.name}: {tally.bad} of {tally.rows} rows are bad ({codes}), more than {limit:.0%}: "
        f"nothing of it was stored. The rows and what is wrong with each stand in {path}. "
        "Correct them, or raise import.reject_limit to take the good ones."
    )


def _merge(
    session: Session, import_id: int, intake: Intake, tally: Tally, rejects: Rejects, progress: Progress
) -> None:
    for merged in intake.merge(session, import_id):
        tally.new += merged.new
        tally.completed += merged.completed
        tally.unchanged += merged.unchanged
        if merged.differing:
            with session.aside() as connection:
                rejects.add(connection, merged.differing)
        progress(merged.done, merged.total, "storing")


def _finish(
    session: Session, source: Source, import_id: int, tally: Tally, now: datetime, *, refused: bool
) -> None:
    """Keep the refused rows and the counts; of a source refused whole only the counts."""
    if not refused:
        keep(session, import_id, source.name)
    reached("import_finish")
    counts = {**tally.as_json(), "refused_whole": True} if refused else tally.as_json()
    cursor = None if refused or tally.cursor is None else cursor_text(tally.cursor)
    done = {"finished_at": now.replace(microsecond=0), "counts": counts, "cursor": cursor}
    with session.write() as connection:
        connection.execute(sa.update(imports).where(imports.c.import_id == import_id).values(done))
    reached("import_finished")
