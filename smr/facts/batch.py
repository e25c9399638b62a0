"""Rows on their way from cells to values: columns side by side, rows drop out when a value is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress, repeat
from typing import Any, Protocol

from smr.facts.cells import Refused
from smr.facts.chunks import Chunk, Rejection
from smr.facts.layout import Layout

CURSOR = "(cursor)"
"""The name under which a batch keeps its rows' cursors."""


class Readable(Protocol):
    """A column that can be read: see smr.facts.cells."""

    name: str
    needed: bool

    @property
    def refused(self) -> bool:
        """Whether the last cells read had one that cannot be taken."""

    def read(self, cells: Sequence[str]) -> list[Any]:
        """The values of these cells."""


class Batch:
    """The rows of one chunk that are still good."""

    def __init__(self, chunk: Chunk) -> None:
        self.lines: Sequence[int] = chunk.lines
        self.values: dict[str, Sequence[Any]] = {}
        self.refused: list[Rejection] = list(chunk.refused)
        self._at: Sequence[int] = range(len(chunk.lines))
        self._content = chunk.content
        if chunk.cursors is not None:
            self.values[CURSOR] = chunk.cursors

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, name: str) -> Sequence[Any]:
        return self.values[name]

    def put(self, name: str, values: Sequence[Any], *, refused: bool) -> None:
        """Add a column made of others; rows with a Refused in it drop out."""
        self.values[name] = values
        if refused:
            self.sift([name])

    def sift(self, names: Iterable[str]) -> None:
        """Drop the rows with a Refused in one of these columns; the first one found is the reason."""
        bad: dict[int, Refused] = {}
        for name in names:
            for at, value in enumerate(self.values[name]):
                if type(value) is Refused:
                    bad.setdefault(at, value)
        for at in sorted(bad):
            why = bad[at]
            content = self._content(self._at[at])
            self.refused.append(Rejection(self.lines[at], why.code, why.reason, content))
        self._keep([at not in bad for at in range(len(self.lines))])

    def _keep(self, good: list[bool]) -> None:
        self.lines = list(compress(self.lines, good))
        self._at = list(compress(self._at, good))
        self.values = {name: list(compress(values, good)) for name, values in self.values.items()}


def read_batch(chunk: Chunk, layout: Layout, readers: Mapping[str, Readable]) -> Batch:
    """Read every column there is a reader for; a column the source lacks is None throughout."""
    batch = Batch(chunk)
    count = len(batch)
    if not count:
        batch.values.update((name, []) for name in readers)
        return batch
    suspects = []
    present = set(chunk.header)
    for name, reader in readers.items():
        theirs = layout.columns.get(name)
        if theirs is None:
            batch.values[name] = list(repeat(None, count))
            continue
        cells = chunk.column(theirs) if theirs in present else list(repeat("", count))
        batch.values[name] = reader.read(cells)
        if reader.refused:
            suspects.append(name)
    if suspects:
        batch.sift(suspects)
    return batch
