"""What is kept up to date rather than added to: a newer value wins, an empty cell erases nothing.

In: staged rows, each with what it says as one JSON text. Out: per slice the rows folded together (a customer
may stand twice in a file) and brought in with what the tables hold, only where that changes something.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.crash_points import reached
from smr.database import Key, Session, temporary
from smr.database.turns import store_facts
from smr.facts.batch import Batch, Readable
from smr.facts.intake import Merged, Stage
from smr.facts.layout import Layout
from smr.facts.staging import create, ordered_like, put_in_order, putter, slices, within

RECORDS = 4_000
"""Records merged in one transaction."""

Said = dict[str, Any]


class RecordKind:
    """One kind of record: how a row is read, and how folded rows are brought in.

    `key` names the columns that tell a record from another.
    """

    key: tuple[str, ...]

    def readers(self, layout: Layout) -> Mapping[str, Readable]:
        """What reads each column."""
        raise NotImplementedError

    def derive(self, batch: Batch) -> None:
        """Make columns out of others; rows may drop out."""

    def said(self, batch: Batch) -> Iterable[tuple[tuple[Any, ...], Said]]:
        """Key and sayings of each row."""
        raise NotImplementedError

    def bring_in(
        self, connection: Connection, told: dict[tuple[Any, ...], Said], import_id: int
    ) -> tuple[int, int]:
        """Store these; how many are new, and how many have changed."""
        raise NotImplementedError


class RecordIntake:
    """Customers, products."""

    def __init__(self, kind: RecordKind, session: Session) -> None:
        self._kind = kind
        keys = [sa.Column(name, sa.SmallInteger if name == "bucket" else Key) for name in kind.key]
        self._staged = temporary(
            "staged", sa.Column("line", sa.BigInteger), *keys, sa.Column("said", sa.Text)
        )
        create(session, self._staged)

    def readers(self, layout: Layout) -> Mapping[str, Readable]:
        """What reads each column."""
        return self._kind.readers(layout)

    def stage(self, connection: Connection) -> Stage:
        """Each row as its key and what it says."""
        put = putter(connection, self._staged)

        def stage(batch: Batch, layout: Layout) -> None:
            self._kind.derive(batch)
            told = zip(batch.lines, self._kind.said(batch), strict=True)
            put([(line, *key, json.dumps(said, ensure_ascii=False)) for line, (key, said) in told])

        return stage

    def merge(self, session: Session, import_id: int) -> Iterator[Merged]:
        """Fold and store, slice by slice."""
        ordered = ordered_like(self._staged)
        create(session, ordered)
        order_by: list[Any] = [self._staged.c[name] for name in (*self._kind.key, "line")]
        put_in_order(session, self._staged, ordered, list(self._staged.columns), order_by)
        reached("import_staged")
        pieces = slices(session, ordered, RECORDS)
        select = sa.select(*(ordered.c[name] for name in (*self._kind.key, "said"))).where(within(ordered))
        for piece in pieces:
            with session.write() as connection:
                store_facts(connection)
                rows = connection.execute(select.order_by(ordered.c.position), piece.bounds).all()
                new, changed = self._kind.bring_in(connection, fold(rows), import_id)
                reached("import_slice")
            reached("import_slice_committed")
            yield Merged(new, changed, len(rows) - new - changed, [], piece.last, pieces[-1].last)


def fold(rows: Sequence[Any]) -> dict[tuple[Any, ...], Said]:
    """Rows of equal key as one: of each saying the last one counts."""
    folded = {}
    for key, group in groupby(rows, key=lambda row: tuple(row[:-1])):
        said: Said = {}
        for row in group:
            said = united(said, json.loads(row[-1]))
        folded[key] = said
    return folded


def united(old: Said, new: Said) -> Said:
    """What is said once the newer words are added; mappings are united name by name."""
    result = dict(old)
    for name, value in new.items():
        known = result.get(name)
        result[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    return result


def grown(stored: Mapping[str, Any], said: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The stored values with what is said put over them."""
    return united(dict(stored), {name: said[name] for name in names if name in said})


def attributes_apart(row: Said) -> Said:
    """The same row, its `attributes.NAME` gathered under one name."""
    begin = "attributes."
    attributes = {name.removeprefix(begin): value for name, value in row.items() if name.startswith(begin)}
    rest = {name: value for name, value in row.items() if not name.startswith(begin)}
    return {**rest, "attributes": attributes} if attributes else rest
