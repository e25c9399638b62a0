"""The two ways rows go in: facts are added, records (customers, products) are kept up to date.

Each knows its readers, stages a batch in temporary tables, and merges what was staged slice by slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.engine import Connection

from smr.chat import Listener
from smr.crash_points import reached
from smr.database import Session
from smr.database.turns import store_facts
from smr.facts.batch import Batch, Readable
from smr.facts.chunks import Rejection
from smr.facts.hearing import Hearing
from smr.facts.layout import Layout
from smr.facts.merge import Merge, order_rows, see_products, staged_products, staged_table
from smr.facts.shapes import Shape
from smr.facts.staging import create, putter, slices
from smr.tables import interactions, purchases

MOST_SEEN = 50_000

Stage = Callable[[Batch, Layout], None]


@dataclass
class Merged:
    """What became of the rows of one slice; `done` of `total` rows are merged."""

    new: int
    completed: int
    unchanged: int
    differing: list[Rejection]
    done: int = 0
    total: int = 0


class Intake(Protocol):
    """How one kind goes in."""

    def readers(self, layout: Layout) -> Mapping[str, Readable]:
        """What reads each column."""

    def stage(self, connection: Connection) -> Stage:
        """What puts a batch into the temporary tables."""

    def merge(self, session: Session, import_id: int) -> Iterator[Merged]:
        """Merge what was staged; one result per slice, after its commit."""


class FactIntake:
    """Purchases, refunds, consents, interactions."""

    def __init__(self, shape: Shape, session: Session, listener: Listener | None = None) -> None:
        self._shape = shape
        self._hearing: Hearing | None = None
        if shape.table is interactions and listener is not None:
            self._hearing = Hearing(session, listener)
        self._staged = staged_table(shape)
        self._seen: set[tuple[str, str | None]] = set()
        create(session, self._staged, staged_products)

    def readers(self, layout: Layout) -> Mapping[str, Readable]:
        """What reads each column."""
        return self._shape.readers(layout)

    def stage(self, connection: Connection) -> Stage:
        """Facts as rows of their table; the products of purchases beside them."""
        put_products = putter(connection, staged_products)

        def stage(batch: Batch, layout: Layout) -> None:
            if not len(batch):
                return
            self._shape.derive(batch, layout)
            if not len(batch):
                return
            names, rows = self._shape.rows(batch)
            putter(connection, self._staged, names)(rows)
            if self._shape.table is purchases:
                put_products(self._new_products(batch))
            if self._hearing is not None:
                self._hearing.listen(connection, batch)

        return stage

    def _new_products(self, batch: Batch) -> list[tuple[str, str | None]]:
        found = {*zip(batch["product_id"], batch["category"], strict=True)} - self._seen
        if len(self._seen) > MOST_SEEN:
            self._seen.clear()
        self._seen |= found
        return sorted(found, key=str)

    def merge(self, session: Session, import_id: int) -> Iterator[Merged]:
        """Products first, then the facts customer by customer."""
        ordered = order_rows(session, self._shape, self._staged)
        reached("import_staged")
        if self._shape.table is purchases:
            with session.write() as connection:
                see_products(connection, import_id)
        hearing = None if self._hearing is None else self._hearing.of(ordered)
        merge = Merge(self._shape, ordered, import_id, session.dialect, hearing)
        pieces = slices(session, ordered)
        for piece in pieces:
            with session.write() as connection:
                store_facts(connection)
                merged = merge.slice(connection, piece)
                reached("import_slice")
            reached("import_slice_committed")
            yield Merged(*merged, done=piece.last, total=pieces[-1].last)
