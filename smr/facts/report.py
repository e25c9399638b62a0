"""What an import did, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Progress(Protocol):
    """Told how far the work is; `smr.cli.say.Bar` is one."""

    def __call__(self, done: int, total: int | None = None, what: str | None = None) -> None:
        """So much is done, of so much, and this is being done."""


def quiet(done: int, total: int | None = None, what: str | None = None) -> None:
    """A Progress that shows nothing."""


@dataclass(frozen=True)
class SourceReport:
    """One file or source. Rows are new, completed (an empty value was filled in), unchanged or refused."""

    source: str
    import_id: int
    rows: int
    new: int
    completed: int
    unchanged: int
    refused: Mapping[str, int]
    rejects_file: Path | None
    ignored_columns: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class ImportReport:
    """All files of one command; `refused_files` says of each that was refused whole why."""

    kind: str
    sources: tuple[SourceReport, ...]
    refused_files: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Rows read, the refused ones included."""
        return sum(source.rows for source in self.sources)

    @property
    def new(self) -> int:
        """Rows stored for the first time."""
        return sum(source.new for source in self.sources)

    @property
    def completed(self) -> int:
        """Rows that were there and have now got a value that was empty, or a newer one."""
        return sum(source.completed for source in self.sources)

    @property
    def unchanged(self) -> int:
        """Rows that were there already."""
        return sum(source.unchanged for source in self.sources)

    @property
    def refused(self) -> dict[str, int]:
        """How many rows were refused, by code."""
        return dict(sorted(sum((Counter(source.refused) for source in self.sources), Counter()).items()))

    @property
    def rejects_files(self) -> tuple[Path, ...]:
        """Where the refused rows stand."""
        return tuple(source.rejects_file for source in self.sources if source.rejects_file)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return sum(source.seconds for source in self.sources)
