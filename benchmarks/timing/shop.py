"""smr itself on the same purchases: imported, run, and asked what it knew on each day.

Everything before a cutoff is imported and run (`smr import`, `smr run`): the shop learns. Then, day by day,
the purchases of the day before are imported and the supplies of their customers refreshed, as a run does it;
what the shop learned stays as it was. Of each purchase the benchmark keeps what its supply said then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from benchmarks.timing.purchases import Bought, Floats, Ints
from benchmarks.timing.task import Scores, Window
from smr import clock, due, pipeline
from smr.database import Database, open_database
from smr.database.migrate import upgrade
from smr.due.rhythms import VISIT
from smr.due.visits import CUTS
from smr.facts import import_files
from smr.playbook.load import load_library
from smr.playbook.model import Library
from smr.settings import Settings, load_settings
from smr.tables import learned, odds, rhythms, supplies

CATALOG = "track: {kind}\ncycles:\n  default: {{lasts: {lasts}}}\n"
PLAYBOOK = """\
name: refill
status: draft
trigger: {runs_out: {}}
steps:
  - {name: again, send: on due, message: again}
"""


@dataclass(frozen=True)
class Facts:
    """Purchase lines to import: columns of equal length; `day` counts from 1970, `units` are in a piece."""

    columns: dict[str, npt.NDArray[Any]]
    day: Ints
    quantity: Floats
    units: dict[str, float]

    def picked(self, rows: Ints) -> Facts:
        """Some of the lines."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return Facts(columns, self.day[rows], self.quantity[rows], self.units)

    def of_days(self, first: int, last: int) -> npt.NDArray[np.bool_]:
        """Which lines were bought from the first day to the last."""
        return (self.day >= first) & (self.day <= last)


@dataclass(frozen=True)
class Told:
    """What supplies said, one row per purchase of a window: the curve, and where it begins."""

    known: npt.NDArray[np.bool_]
    begins: Ints
    location: Floats
    steepness: Floats
    follows: Floats

    @classmethod
    def nothing(cls, rows: int) -> Told:
        """Nothing said yet, of so many purchases."""
        empty = [np.full(rows, np.nan) for _ in range(3)]
        return cls(np.zeros(rows, dtype=bool), np.zeros(rows, dtype=np.int64), *empty)


@dataclass
class Visits:
    """Days of orders with the usual gap then known, by (customer, day), to be sorted before use."""

    customer: list[int]
    day: list[int]
    gap: list[float]


class Shop:
    """One shop in a folder of its own."""

    def __init__(self, folder: Path, kind: str, facts: Facts, lasts: str = "30d") -> None:
        self.kind = kind
        self.facts = facts
        self.folder = folder
        playbooks = folder / "playbooks"
        playbooks.mkdir(parents=True)
        (playbooks / "catalog.yaml").write_text(CATALOG.format(kind=kind, lasts=lasts))
        (playbooks / "refill.yaml").write_text(PLAYBOOK)
        config = folder / "config.yaml"
        config.write_text(f"database: {{url: 'sqlite:///{folder}/smr.db'}}\nshop: {{zone: UTC}}\n")
        self.settings: Settings = load_settings(config)
        self.library: Library = load_library(playbooks, self.settings)
        self.database: Database = open_database(f"sqlite:///{folder}/smr.db")
        upgrade(self.database)
        self._products()
        self.upto = int(facts.day.min())

    def _products(self) -> None:
        product, first = np.unique(self.facts.columns["product_id"], return_index=True)
        units = [self.facts.units.get(str(name), 1.0) for name in product]
        columns = {"product_id": product, "category": self.facts.columns["category"][first], "units": units}
        self._import("products", columns, 0)

    def _import(self, kind: str, columns: dict[str, Any], day: int) -> None:
        path = self.folder / f"{kind}.parquet"
        pq.write_table(pa.table({name: pa.array(list(column)) for name, column in columns.items()}), path)
        now = datetime.fromtimestamp(day * clock.DAY, UTC)
        import_files(self.database, self.settings, kind, [str(path)], now=now)

    def take_in(self, before: int) -> None:
        """Import what was bought from where the shop is to the day before that one."""
        lines = np.flatnonzero(self.facts.of_days(self.upto, before - 1))
        self.upto = before
        if not len(lines):
            return
        facts = self.facts
        days = np.datetime_as_string(facts.day[lines].astype("datetime64[D]"))
        columns = {
            "customer_id": facts.columns["customer_id"][lines],
            "order_id": facts.columns["order_id"][lines],
            "product_id": facts.columns["product_id"][lines],
            "line_no": [int(one) + 1 for one in lines],
            "quantity": facts.quantity[lines],
            "purchased_at": days.tolist(),
        }
        self._import("purchases", columns, before)

    def learn(self, day: int) -> None:
        """A run in the morning of the day."""
        self.take_in(day)
        now = datetime.fromtimestamp(day * clock.DAY, UTC)
        pipeline.run(self.database, self.library, self.settings, now=now)

    def next_day(self, day: int) -> None:
        """What a run does for those who bought the day before, with nothing new learned."""
        self.take_in(day)
        with self.database.write() as connection:
            due.refresh(connection, self.library, now=day * clock.DAY, run_id=1, low=0, high=4095)

    def walk(self, bought: Bought, window: Window, end: int) -> tuple[Told, Scores]:
        """Through the days of a window: what supplies said of its purchases, and the daily chances."""
        told, visits = Told.nothing(len(bought.pair)), Visits([], [], [])
        where = {
            (int(pair), int(day)): row
            for row, (pair, day) in enumerate(zip(bought.pair, bought.day, strict=True))
        }
        names = {name: number for number, name in enumerate(bought.customers)}
        lines = {name: number for number, name in enumerate(bought.keys)}
        owners = list(zip(bought.customer_of.tolist(), bought.key_of.tolist(), strict=True))
        pairs = {both: pair for pair, both in enumerate(owners)}
        self.learn(window.start)
        self._note(told, visits, where, names, lines, pairs, None)
        for day in range(window.start + 1, end + 1):
            self.next_day(day)
            self._note(told, visits, where, names, lines, pairs, day - 1)
        return told, self._scores(bought, window, told, visits)

    def _note(
        self,
        told: Told,
        visits: Visits,
        where: dict[tuple[int, int], int],
        names: dict[str, int],
        lines: dict[str, int],
        pairs: dict[tuple[int, int], int],
        since: int | None,
    ) -> None:
        at = sa.type_coerce(supplies.c.last_purchased_at, sa.BigInteger)
        columns = [
            supplies.c.customer_id,
            supplies.c.line,
            at,
            sa.type_coerce(supplies.c.starts_at, sa.BigInteger),
        ]
        columns += [supplies.c.location, supplies.c.steepness, supplies.c.follows]
        asked = sa.select(*columns).where(supplies.c.location.is_not(None))
        of_visits = sa.select(
            rhythms.c.customer_id,
            sa.type_coerce(rhythms.c.starts_at, sa.BigInteger),
            rhythms.c.weight,
            rhythms.c.log_gap,
        ).where(rhythms.c.kind == VISIT)
        if since is not None:
            asked = asked.where(at >= since * clock.DAY)
            of_visits = of_visits.where(
                sa.type_coerce(rhythms.c.starts_at, sa.BigInteger) >= since * clock.DAY
            )
        with self.database.read() as connection:
            for customer, line, last, begins, location, steepness, follows in connection.execute(asked):
                pair = pairs.get((names[customer], lines[line]))
                row = None if pair is None else where.get((pair, last // clock.DAY))
                if row is not None:
                    told.known[row], told.begins[row] = True, begins // clock.DAY
                    told.location[row], told.steepness[row], told.follows[row] = location, steepness, follows
            for customer, last, weight, gap in connection.execute(of_visits):
                visits.customer.append(names[customer])
                visits.day.append(last // clock.DAY)
                visits.gap.append(float(np.exp(gap / weight)) if weight else np.nan)

    def _scores(self, bought: Bought, window: Window, told: Told, visits: Visits) -> Scores:
        """The chance of a purchase within a week, for every day of every cycle."""
        cycle, day = window.days()
        row = window.row[cycle]
        known = told.known[row]
        cycle, day, row = cycle[known], day[known], row[known]
        silent = np.maximum(day - told.begins[row], 1).astype(np.float64)
        before, after = (_bought_by(silent + by, told, row) for by in (-0.5, 7.5))
        follows = told.follows[row]
        chance = follows * (after - before) / (1 - follows * before)
        chance *= self._visit_factors()[_late(bought.customer_of[bought.pair[row]], day, visits)]
        return Scores(cycle, day, chance)

    def _visit_factors(self) -> Floats:
        with self.database.read() as connection:
            found = connection.execute(
                sa.select(odds.c.share)
                .where(odds.c.kind == self.kind, odds.c.what == "visit")
                .order_by(odds.c.step)
            )
            return np.asarray(list(found.scalars()))

    def exponents(self) -> dict[str, float]:
        """The learned exponent of each line."""
        with self.database.read() as connection:
            found = sa.select(learned.c.line, learned.c.exponent).where(
                learned.c.kind == self.kind, learned.c.level == self.kind
            )
            return {row.line: row.exponent for row in connection.execute(found)}


def _bought_by(days: Floats, told: Told, row: Ints) -> Floats:
    found: Floats = 1 / (
        1 + np.exp(np.clip(-told.steepness[row] * (np.log(days) - told.location[row]), -60, 60))
    )
    return found


def _late(customer: Ints, day: Ints, visits: Visits) -> Ints:
    """The step of lateness of customers on days, by their last order before the day."""
    order = np.lexsort((visits.day, visits.customer))
    code = (np.asarray(visits.customer) * (1 << 20) + np.asarray(visits.day))[order]
    place = np.searchsorted(code, customer * (1 << 20) + day) - 1
    gap = np.asarray(visits.gap)[order][place]
    ratio = (day - (code[place] & ((1 << 20) - 1))) / gap
    return np.where(np.isnan(ratio), len(CUTS) + 1, np.searchsorted(np.asarray(CUTS), ratio, side="right"))


def dates(told: Told, bought: Bought, horizon: int) -> tuple[Floats, Floats]:
    """The expected gap of each purchase: plainly, and given that the next one comes within the horizon."""
    shift = told.begins - bought.day
    plainly = np.exp(told.location) + shift
    share = 1 / (1 + np.exp(-told.steepness * (np.log(horizon) - told.location))) / 2
    within = np.exp(told.location + np.log(share / (1 - share)) / told.steepness) + shift
    return plainly, within
