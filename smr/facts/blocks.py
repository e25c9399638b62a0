"""Bytes of a file → whole lines of text, a block at a time, with flat memory whatever the file holds.

In: a binary stream. Out: `Block`s of lines without their ends, and what could not become a line:
bytes that are not in the stated encoding, lines longer than any row. Unpacks gzip by its first bytes.
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from smr.facts.chunks import LONGEST_SHOWN, Rejection, file_fault

BLOCK = 1 << 19
LONGEST_LINE = 1 << 20
ENDLESS = 1 << 26
UTF8_MARK = b"\xef\xbb\xbf"
GZIP_MARK = b"\x1f\x8b"
OTHER_MARKS = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"PK\x03\x04": "a ZIP or Excel file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF",
}


@dataclass(frozen=True)
class Block:
    """Lines that follow each other; `first` is the number of the first one.

    A line that was refused stands as None. `done` counts the bytes of the file read so far.
    """

    first: int
    lines: list[str | None]
    done: int
    whole: bool
    refused: list[Rejection] = field(default_factory=list)


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """The file, or standard input for `-`; refuses what is not a file."""
    if str(path) == "-":
        yield cast("BinaryIO", sys.stdin.buffer)
        return
    check_file(path)
    try:
        with path.open("rb") as stream:
            yield stream
    except PermissionError:
        raise file_fault(path, "not_readable", "the file may not be read", "check its permissions") from None


def check_file(path: Path) -> None:
    """Refuse what is missing, a folder or a device."""
    if path.is_dir():
        raise file_fault(path, "not_a_file", "this is a folder", f"name its files: {path}/*.csv")
    if path.is_char_device() or path.is_block_device():
        raise file_fault(path, "not_a_file", "this is a device", "name a file, or - for standard input")
    if not path.exists():
        raise file_fault(path, "no_such_file", "there is no such file")


class Lines:
    """A stream as blocks of decoded lines."""

    def __init__(self, name: str, stream: BinaryIO, encoding: str) -> None:
        self.name = name
        self._raw = _Counted(stream)
        self._encoding = encoding
        self._ahead = self._begin()

    def _begin(self) -> bytes:
        """The first bytes, unpacked where the file is packed, without a byte order mark."""
        start = self._raw.read(BLOCK)
        self._stream: Any = self._raw
        if start.startswith(GZIP_MARK):
            packed = cast("IO[bytes]", _Rejoined(start, self._raw))
            self._stream = gzip.GzipFile(fileobj=packed, mode="rb")
            start = self._read()
        for mark, what in OTHER_MARKS.items():
            if start.startswith(mark):
                what = f"this is {what}, not text"
                raise file_fault(self.name, "encoding", what, "save it as CSV in UTF-8")
        if not start.strip():
            raise file_fault(self.name, "empty_file", "the file is empty")
        return start.removeprefix(UTF8_MARK)

    def _read(self) -> bytes:
        try:
            return bytes(self._stream.read(BLOCK))
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            what = f"the packed file is damaged ({error})"
            raise file_fault(self.name, "gzip", what, "pack it again") from None

    def blocks(self) -> Iterator[Block]:
        """All lines, in blocks."""
        first, rest = 1, b""
        piece = self._ahead
        while piece:
            cut = piece.rfind(b"\n") + 1
            if cut:
                block = self._block(first, rest + piece[:cut])
                yield block
                first += len(block.lines)
                rest = piece[cut:]
            else:
                rest += piece
            if len(rest) > LONGEST_LINE:
                block, piece = self._skip(first, rest)
                yield block
                first, rest = first + 1, b""
                if piece:
                    continue
            piece = self._read()
        if rest:
            yield self._block(first, rest)

    def _block(self, first: int, piece: bytes) -> Block:
        try:
            text = piece.decode(self._encoding)
        except UnicodeDecodeError:
            return self._line_by_line(first, piece)
        if "\r" in text:
            text = text.replace("\r\n", "\n").removesuffix("\r")
        lines = text.removesuffix("\n").split("\n")
        return Block(first, cast("list[str | None]", lines), self._raw.count, whole=True)

    def _line_by_line(self, first: int, piece: bytes) -> Block:
        lines: list[str | None] = []
        refused = []
        for number, line in enumerate(piece.removesuffix(b"\n").split(b"\n"), first):
            try:
                lines.append(line.removesuffix(b"\r").decode(self._encoding))
            except UnicodeDecodeError as error:
                lines.append(None)
                refused.append(self._undecoded(number, line, error))
        return Block(first, lines, self._raw.count, whole=False, refused=refused)

    def _undecoded(self, number: int, line: bytes, error: UnicodeDecodeError) -> Rejection:
        found = f"byte 0x{error.object[error.start]:02x} at {error.start + 1} is not {self._encoding}"
        advice = "; if the file is in GBK, set import.encoding: gb18030" if self._encoding == "utf-8" else ""
        content = line[:LONGEST_SHOWN].decode(self._encoding, "backslashreplace")
        return Rejection(number, "encoding", found + advice, content[:LONGEST_SHOWN])

    def _skip(self, number: int, line: bytes) -> tuple[Block, bytes]:
        """Give up a line that is longer than any row; what follows its end is kept."""
        shown = line[:LONGEST_SHOWN].decode(self._encoding, "backslashreplace")[:LONGEST_SHOWN]
        size = len(line)
        while piece := self._read():
            end = piece.find(b"\n")
            if end >= 0:
                break
            size += len(piece)
            if size > ENDLESS:
                fix = "is this a text file?"
                raise file_fault(self.name, "endless_line", "the line does not end", fix, line=number)
        rest = piece[end + 1 :] if piece else b""
        refused = Rejection(number, "too_long", f"the line is longer than {LONGEST_LINE} bytes", shown)
        return Block(number, [None], self._raw.count, whole=False, refused=[refused]), rest


class _Counted(io.RawIOBase):
    """A stream that knows how much of it has been read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        self.count += len(piece)
        return piece


class _Rejoined(io.RawIOBase):
    """A stream whose first bytes were read already."""

    def __init__(self, start: bytes, stream: io.RawIOBase) -> None:
        self._start = start
        self._stream = stream

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._start:
            piece, self._start = self._start[:size], self._start[size:]
            return piece
        return self._stream.read(size) or b""
