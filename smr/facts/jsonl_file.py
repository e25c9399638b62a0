"""JSON lines → chunks: one object per line, its names as columns.

Trap: the standard parser takes NaN and Infinity, keeps the last of two equal names, and fails with its own
errors on deep nesting and on numbers of thousands of digits. Numbers stay as they were written.
`attributes`, `address` and `consent` may be objects of their own: {"address": {"sms": "…"}}.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, BinaryIO

from smr.facts.blocks import Block, Lines
from smr.facts.cells import Nested, Numeral, Truth
from smr.facts.chunks import LONGEST_SHOWN, Chunk, Rejection, file_fault

FAMILIES = frozenset({"attributes", "address", "consent"})


class _TwiceError(ValueError):
    """A name stands twice in one object."""


class JsonLines:
    """An open file of JSON lines; its header is what the first block names."""

    open_ended = True

    def __init__(self, name: str, stream: BinaryIO, encoding: str, total: int | None) -> None:
        self.name = name
        self.total = total
        self._blocks = Lines(name, stream, encoding).blocks()
        self._first = next(self._blocks)
        objects = _Objects(self._first)
        self.header = objects.header
        if not objects.rows and objects.refused:
            first = objects.refused[0]
            raise file_fault(name, first.code, first.reason, "write one {…} per line", line=first.line)

    def chunks(self, wanted: frozenset[str]) -> Iterator[Chunk]:
        """The objects of each block."""
        for block in chain([self._first], self._blocks):
            objects = _Objects(block)
            yield Chunk(
                objects.header,
                objects.lines,
                objects.column,
                objects.content,
                block.done,
                [*block.refused, *objects.refused],
            )


@dataclass
class _Objects:
    """The objects of one block."""

    block: Block
    rows: list[dict[str, str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    refused: list[Rejection] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number, line in enumerate(self.block.lines, self.block.first):
            if line is None or not line.strip():
                continue
            try:
                self.rows.append(read_object(line))
                self.lines.append(number)
            except _TwiceError as error:
                self._refuse(number, line, "duplicate_json_key", str(error))
            except RecursionError:
                self._refuse(number, line, "json", "this is nested too deeply")
            except ValueError as error:
                self._refuse(number, line, "json", _reason(error))

    def _refuse(self, number: int, line: str, code: str, reason: str) -> None:
        self.refused.append(Rejection(number, code, reason, line[:LONGEST_SHOWN]))

    @property
    def header(self) -> tuple[str, ...]:
        """All names of these objects."""
        return tuple(dict.fromkeys(chain.from_iterable(self.rows)))

    def column(self, name: str) -> Sequence[str]:
        """The cells of one name, empty where an object lacks it."""
        return [row.get(name, "") for row in self.rows]

    def content(self, at: int) -> str:
        """The line itself."""
        return str(self.block.lines[self.lines[at] - self.block.first])[:LONGEST_SHOWN]


def read_object(line: str) -> dict[str, str]:
    """One JSON object as cells; ValueError or RecursionError where it is none."""
    found = _DECODER.decode(line.strip())
    if not isinstance(found, _Pairs):
        raise ValueError("this is not an object; write one {…} per line")
    row: dict[str, str] = {}
    for name, value in found:
        if name in FAMILIES and isinstance(value, _Pairs):
            row.update((f"{name}.{inner}", cell(part)) for inner, part in value)
        else:
            row[name] = cell(value)
    return row


def cell(value: Any) -> str:
    """A JSON value as a cell."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return Truth("true" if value else "false")
    return Nested("{…}" if isinstance(value, _Pairs) else "[…]")


class _Pairs(list[tuple[str, Any]]):
    """An object's names and values, each name once."""


def _pairs(found: list[tuple[str, Any]]) -> _Pairs:
    if len(dict(found)) != len(found):
        names = [name for name, _ in found]
        twice = next(name for name in names if names.count(name) > 1)
        raise _TwiceError(f"the name {twice[:60]!r} stands twice")
    return _Pairs(found)


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"this is not JSON: {error.msg} at character {error.colno}"
    return str(error)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=Numeral, parse_float=Numeral, parse_constant=Numeral
)
