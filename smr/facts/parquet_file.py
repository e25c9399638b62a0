"""Parquet → chunks, a few thousand rows at a time and only the columns that are wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from smr.facts.cells import Numeral, Truth
from smr.facts.chunks import LONGEST_SHOWN, Chunk, file_fault

ROWS = 8_192


class ParquetFile:
    """An open Parquet file."""

    open_ended = False

    def __init__(self, name: str, stream: BinaryIO) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.name = name
        try:
            self._file = pq.ParquetFile(stream, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(name, error) from None
        schema = self._file.schema_arrow
        self.header = tuple(schema.names)
        self.total: int | None = int(self._file.metadata.num_rows)
        self._types = dict(zip(schema.names, schema.types, strict=True))

    def chunks(self, wanted: frozenset[str]) -> Iterator[Chunk]:
        """The rows in batches."""
        import pyarrow as pa

        names = [name for name in self.header if name in wanted]
        done = 0
        try:
            for batch in self._file.iter_batches(ROWS, columns=names, use_threads=False):
                cells = {name: self._cells(name, batch.column(at)) for at, name in enumerate(names)}
                first, done = done + 1, done + batch.num_rows
                yield _chunk(tuple(names), cells, range(first, done + 1), done)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(self.name, error) from None

    def _cells(self, name: str, values: Any) -> Sequence[str]:
        """A column as texts, each of the class its type calls for."""
        import pyarrow as pa
        import pyarrow.compute as pc
        from pyarrow import types

        kind = values.type
        if types.is_dictionary(kind):
            values = values.dictionary_decode()
            kind = values.type
        texts: list[str]
        if types.is_timestamp(kind):
            values = pc.cast(values, pa.timestamp("s", kind.tz), safe=False)
        elif not _plain(kind):
            fix = "use text, number, time or boolean columns"
            raise file_fault(self.name, "column_type", f"column {name!r} is of type {kind}", fix)
        texts = pc.fill_null(pc.cast(values, pa.string()), "").to_pylist()
        if types.is_boolean(kind):
            return [Truth(text) if text else "" for text in texts]
        if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
            return [Numeral(_plain_digits(text)) if text else "" for text in texts]
        return texts


def _plain(kind: Any) -> bool:
    from pyarrow import types

    checks = (types.is_string, types.is_large_string, types.is_integer, types.is_floating, types.is_decimal)
    return any(check(kind) for check in (*checks, types.is_boolean, types.is_date, types.is_null))


def _plain_digits(text: str) -> str:
    """A float without an exponent, as far as it is a number of a size that occurs."""
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    return f"{float(text):.20f}".rstrip("0") if abs(int(exponent)) <= 15 else f"{mantissa}e{exponent}"


def _chunk(names: tuple[str, ...], cells: dict[str, Sequence[str]], lines: range, done: int) -> Chunk:
    def content(at: int) -> str:
        row = {name: cells[name][at] for name in names}
        return json.dumps(row, ensure_ascii=False)[:LONGEST_SHOWN]

    return Chunk(names, lines, cells.__getitem__, content, done)


def _damaged(name: str, error: Exception) -> Exception:
    first = str(error).splitlines()[0][:200] if str(error) else "damaged"
    return file_fault(Path(name), "parquet", f"the Parquet file cannot be read: {first}", "write it again")
