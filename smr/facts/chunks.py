"""What every reader gives: some thousand rows at a time, column by column.

A chunk's lines count from 1 in the source (the header of a CSV is line 1; a Parquet row or a selected row
counts itself). Rows that cannot even be taken apart come as rejections and not as rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from smr.errors import Fault, FaultsError

LONGEST_SHOWN = 500
"""How much of a refused row is kept, in characters."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One refused row: its line, a stable code, the reason in words, the row as it was (cut)."""

    line: int
    code: str
    reason: str
    content: str = ""


@dataclass(frozen=True)
class Chunk:
    """Rows that follow each other. `column(name)` gives the cells of one column of the source.

    `done` is how much of the source has been read, in the reader's own measure. `cursors` are the rows'
    values of the column by which a source grows, where it has one.
    """

    header: tuple[str, ...]
    lines: Sequence[int]
    column: Callable[[str], Sequence[str]]
    content: Callable[[int], str]
    done: int
    refused: Sequence[Rejection] = field(default_factory=list)
    cursors: Sequence[Any] | None = None


class Reader(Protocol):
    """A source that has been opened. `total` is the size in the measure of `done`, None where unknown.

    Of an `open_ended` one the header is what its first rows name: later ones may name others, or none do.
    """

    name: str
    header: tuple[str, ...]
    total: int | None
    open_ended: bool

    def chunks(self, wanted: frozenset[str]) -> Iterator[Chunk]:
        """The rows; only the wanted columns need to be there."""


def file_fault(file: Path | str, code: str, what: str, fix: str = "", *, line: int = 0) -> FaultsError:
    """The refusal of a whole file."""
    return FaultsError([Fault(str(file), line, 0, "", code, what, fix)])
