"""CSV → chunks. A broken row costs itself and nothing else.

Trap: a quote that is never closed makes the standard reader swallow every later row in silence. Here a row
is first read as one line; only an open quote takes in further lines, and when that does not come to a good
end within bounds, the first line alone is refused and reading goes on with the second.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import BinaryIO

from smr.facts.blocks import Lines
from smr.facts.chunks import LONGEST_SHOWN, Chunk, Rejection, file_fault

LONGEST_FIELD = 131_072
MOST_LINES = 1_000
DELIMITERS = ",;\t|"


class CsvFile:
    """An open CSV file: its header has been read and checked."""

    open_ended = False

    def __init__(self, name: str, stream: BinaryIO, encoding: str, total: int | None) -> None:
        self.name = name
        self.total = total
        self._blocks = Lines(name, stream, encoding).blocks()
        self._first = next(self._blocks)
        self._delimiter = ","
        self.header = self._read_header()

    def _read_header(self) -> tuple[str, ...]:
        line = self._first.lines[0]
        if line is None:
            why = self._first.refused[0]
            raise file_fault(self.name, why.code, why.reason, line=1)
        if "\r" in line:
            fix = "save the file with LF or CR LF"
            raise file_fault(self.name, "line_ends", "the lines end in CR alone", fix)
        self._delimiter = max(DELIMITERS, key=line.count) if "," not in line else ","
        try:
            names = next(csv.reader([line], strict=True, delimiter=self._delimiter), [])
        except csv.Error as error:
            raise file_fault(self.name, "header", f"the header cannot be read: {error}", line=1) from None
        header = tuple(name.strip() for name in names)
        twice = sorted({name for name in header if name and header.count(name) > 1})
        if twice:
            what = f"column {twice[0]!r} is there twice"
            raise file_fault(self.name, "duplicate_header", what, "give each column its own name", line=1)
        return header

    def chunks(self, wanted: frozenset[str]) -> Iterator[Chunk]:
        """The rows of each block, and what is left of an open row at the end."""
        first = 2
        held: list[str | None] = []
        for block in chain([self._first], self._blocks):
            lines = block.lines[1:] if block is self._first else block.lines
            parsed = _Rows(self._delimiter, len(self.header), first)
            parsed.take([*held, *lines], whole=block.whole and not held, final=False)
            held = parsed.held
            first = parsed.next_line
            yield self._chunk(parsed, block.done, block.refused)
        if held:
            parsed = _Rows(self._delimiter, len(self.header), first)
            parsed.take(held, whole=False, final=True)
            yield self._chunk(parsed, self.total or 0, [])

    def _chunk(self, parsed: _Rows, done: int, refused: Sequence[Rejection]) -> Chunk:
        rows, place = parsed.rows, {name: at for at, name in enumerate(self.header)}
        return Chunk(
            self.header,
            parsed.lines,
            lambda name: list(map(itemgetter(place[name]), rows)),
            lambda at: parsed.contents[at][:LONGEST_SHOWN],
            done,
            [*refused, *parsed.refused],
        )


@dataclass
class _Rows:
    """Lines taken apart into rows of the right width."""

    delimiter: str
    width: int
    next_line: int
    rows: list[list[str]] = field(default_factory=list)
    lines: Sequence[int] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    refused: list[Rejection] = field(default_factory=list)
    held: list[str | None] = field(default_factory=list)

    def take(self, lines: list[str | None], *, whole: bool, final: bool) -> None:
        """Read these lines; `whole` says that none was refused, `final` that none follows."""
        if not (whole and self._at_once(lines)):
            self._one_by_one(lines, final=final)

    def _at_once(self, lines: list[str | None]) -> bool:
        """The usual case: every line is one row of the right width."""
        try:
            rows = list(csv.reader(lines, strict=True, delimiter=self.delimiter))  # type: ignore[arg-type]
        except csv.Error:
            return False
        if len(rows) != len(lines) or {*map(len, rows)} - {self.width}:
            return False
        self.rows = rows
        self.lines = range(self.next_line, self.next_line + len(rows))
        self.contents = lines  # type: ignore[assignment]
        self.next_line += len(rows)
        return True

    def _one_by_one(self, lines: list[str | None], *, final: bool) -> None:
        self.lines = numbers = []
        at = 0
        while at < len(lines):
            line = lines[at]
            taken = 1
            if line:
                row, taken = self._row(lines, at, final)
                if taken == 0:
                    self.held = lines[at:]
                    return
                if row is not None:
                    self.rows.append(row)
                    numbers.append(self.next_line)
                    self.contents.append("\n".join(map(str, lines[at : at + taken])))
            at += taken
            self.next_line += taken

    def _row(self, lines: list[str | None], at: int, final: bool) -> tuple[list[str] | None, int]:
        """The row that begins at this line, and how many lines it takes; 0 where more must be read first."""
        line = lines[at] or ""
        try:
            row = next(csv.reader([line], strict=True, delimiter=self.delimiter))
        except csv.Error as error:
            if "unexpected end" not in str(error):
                return self._refuse(line, *_csv_fault(error))
            return self._open_row(lines, at, final)
        return self._fitting(row, line, 1)

    def _open_row(self, lines: list[str | None], at: int, final: bool) -> tuple[list[str] | None, int]:
        """A row with an open quote: take in lines until it closes."""
        first = lines[at] or ""
        text = [first]
        size = len(first)
        for line in lines[at + 1 :]:
            if line is None or len(text) >= MOST_LINES or size > LONGEST_FIELD:
                break
            text.append(line)
            size += len(line)
            if '"' not in line:
                continue
            try:
                rows = list(csv.reader(["\n".join(text)], strict=True, delimiter=self.delimiter))
            except csv.Error as error:
                if "unexpected end" in str(error):
                    continue
                break
            if len(rows) == 1 and len(rows[0]) == self.width:
                return rows[0], len(text)
            break
        else:
            if not final and len(text) < MOST_LINES and size <= LONGEST_FIELD:
                return None, 0
        reason = "a quote is opened and not closed; this line alone is left out"
        return self._refuse(first, "unclosed_quote", reason)

    def _fitting(self, row: list[str], line: str, taken: int) -> tuple[list[str] | None, int]:
        if len(row) == self.width:
            return row, taken
        code = "too_few_fields" if len(row) < self.width else "too_many_fields"
        return self._refuse(line, code, f"{len(row)} fields where the header has {self.width}")

    def _refuse(self, line: str, code: str, reason: str) -> tuple[None, int]:
        self.refused.append(Rejection(self.next_line, code, reason, line[:LONGEST_SHOWN]))
        return None, 1


def _csv_fault(error: csv.Error) -> tuple[str, str]:
    text = str(error)
    if "field limit" in text:
        return "too_long", f"a field is longer than {LONGEST_FIELD} characters"
    if "new-line" in text:
        return "bad_text", "a carriage return stands inside the line"
    return "quote", f"a quote is in the wrong place ({text})"
