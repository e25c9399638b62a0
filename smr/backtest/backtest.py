"""One backtest from the shop's facts to what came of it, and the file of its reminders.

In: the real database (only read), a library, days. Out: `Findings`; where asked for, each reminder in a CSV
or Parquet file.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.backtest.findings import Findings, read_findings
from smr.backtest.past import Past, past_of
from smr.backtest.tables import reminders
from smr.backtest.walk import Days, walk
from smr.database import Database
from smr.errors import OperatorError
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import purchases

USUAL_DAYS = 90
"""How many days are walked where nothing is said."""
WITHIN = 7
"""Within how many days a purchase is a hit where nothing is said."""
MOST_DAYS = 3_660
AT_ONCE = 10_000

EXPORTED = (
    "customer",
    "playbook",
    "step",
    "key",
    "day",
    "sent_at",
    "channel",
    "anchor",
    "runs_out_at",
    "probability",
    "hit",
    "hit_at",
    "known",
)
"""The columns of the file of reminders."""

Told = Callable[[int, int | None, str | None], None]


def last_purchase(database: Database) -> int | None:
    """When the shop's last purchase was made, in seconds; None where there is none."""
    with database.read() as connection:
        latest = sa.select(sa.type_coerce(sa.func.max(purchases.c.purchased_at), sa.BigInteger))
        found: int | None = connection.execute(latest).scalar_one()
        return found


def days_to_walk(
    database: Database,
    settings: Settings,
    *,
    first: date | None,
    last: date | None,
    at: time,
    within: int,
) -> Days:
    """The days as stated; where nothing is said, the last 90 of which is known what followed.

    Raises OperatorError where there are no purchases, or no such days.
    """
    latest = last_purchase(database)
    if latest is None:
        raise OperatorError(
            "there are no purchases to walk over; take some in with smr import purchases FILE"
        )
    known = clock.local_day(clock.moment(latest), settings.shop.tz)
    last = last or max(known - timedelta(days=within), first or date.min)
    first = first or last - timedelta(days=USUAL_DAYS - 1)
    if first > last:
        raise OperatorError(f"--from {first} is after --to {last}; change one of them")
    if (last - first).days >= MOST_DAYS:
        raise OperatorError(f"from {first} to {last} are more than {MOST_DAYS} days; walk fewer at once")
    if first > known:
        raise OperatorError(f"--from {first}: the last purchase was on {known}; begin before it")
    return Days(first, last, at)


def backtest(
    database: Database,
    library: Library,
    settings: Settings,
    days: Days,
    *,
    within: int = WITHIN,
    allow_blast: bool = False,
    export: Path | None = None,
    told: Told = lambda _done, _total, _what: None,
) -> Findings:
    """Walk the days with only what was known on each, and look at what followed. The shop is only read."""
    zone = settings.shop.tz
    begin = clock.seconds(days.moments(settings)[0])
    horizon = clock.seconds(clock.day_start(days.last + timedelta(days=within + 1), zone)) - 1
    latest = last_purchase(database) or 0
    known_until = clock.seconds(clock.end_of_day(clock.moment(latest), zone)) - 1
    with past_of(database, at=begin, horizon=horizon, told=told) as past:
        blast_days = [
            f"{clock.local_day(day.at, zone)}"
            for day in walk(
                past,
                library,
                settings,
                days.moments(settings),
                within=within,
                allow_blast=allow_blast,
                told=told,
            )
            if day.report.blast is not None
        ]
        found = read_findings(
            past,
            library,
            settings,
            days,
            within=within,
            known_until=known_until,
            blast_days=blast_days,
        )
        if export is not None:
            write_reminders(past, export, known_until)
        return found


def write_reminders(past: Past, path: Path, known_until: int) -> int:
    """Write each reminder to a CSV or Parquet file (by its suffix); gives how many."""
    with past.database.read() as connection:
        rows = _exported(connection, known_until)
        if path.suffix.lower() == ".parquet":
            return _write_parquet(path, rows)
        if path.suffix.lower() != ".csv":
            raise OperatorError(f"--export {path}: name a file that ends in .csv or .parquet")
        return _write_csv(path, rows)


def _exported(connection: Connection, known_until: int) -> Iterator[Sequence[tuple[Any, ...]]]:
    row = reminders.c
    known = sa.case((row.until_at <= known_until, 1), else_=0)
    hit = sa.case((known == 0, sa.cast(sa.null(), sa.Integer)), (row.hit_at.is_not(None), 1), else_=0)
    columns = (
        row.customer_id,
        row.playbook,
        row.step,
        sa.func.coalesce(row.line, row.anchor),
        row.day,
        sa.type_coerce(row.sent_at, sa.BigInteger),
        row.channel,
        row.anchor,
        sa.type_coerce(row.runs_out_at, sa.BigInteger),
        row.chance,
        hit,
        sa.type_coerce(row.hit_at, sa.BigInteger),
        known,
    )
    order = (row.sent_at, row.bucket, row.customer_id, row.playbook, row.step, row.anchor)
    found = connection.execution_options(yield_per=AT_ONCE).execute(sa.select(*columns).order_by(*order))
    for some in found.partitions():
        yield [tuple(one) for one in some]


def _write_csv(path: Path, rows: Iterator[Sequence[tuple[Any, ...]]]) -> int:
    count = 0
    with _opened(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(EXPORTED)
        for some in rows:
            writer.writerows([_with_times(row) for row in some])
            count += len(some)
    return count


def _opened(path: Path) -> Any:
    try:
        return path.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"--export {path}: cannot be written ({error.strerror})") from None


def _with_times(row: tuple[Any, ...]) -> tuple[Any, ...]:
    values = list(row)
    for place in (5, 8, 11):
        if values[place] is not None:
            values[place] = f"{clock.moment(values[place]):%Y-%m-%dT%H:%M:%SZ}"
    return tuple(values)


def _write_parquet(path: Path, rows: Iterator[Sequence[tuple[Any, ...]]]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    moment, text = pa.timestamp("s", tz="UTC"), pa.string()
    kinds = (
        text,
        text,
        text,
        text,
        text,
        moment,
        text,
        text,
        moment,
        pa.float64(),
        pa.int8(),
        moment,
        pa.int8(),
    )
    schema = pa.schema(list(zip(EXPORTED, kinds, strict=True)))
    count = 0
    try:
        with pq.ParquetWriter(path, schema) as writer:
            for some in rows:
                columns = zip(*some, strict=True)
                arrays = [pa.array(values, kind) for values, kind in zip(columns, kinds, strict=True)]
                writer.write_table(pa.table(arrays, schema=schema))
                count += len(some)
    except OSError as error:
        raise OperatorError(f"--export {path}: cannot be written ({error})") from None
    return count
