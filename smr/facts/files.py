"""Files → imports: which reader a file takes, and one import per file."""

from __future__ import annotations

import codecs
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, cast

from smr.chat import Listener
from smr.database import Database
from smr.errors import OperatorError, did_you_mean
from smr.facts.blocks import check_file, open_bytes
from smr.facts.chunks import Reader, file_fault
from smr.facts.csv_file import CsvFile
from smr.facts.given import Steps
from smr.facts.importing import Source, import_from
from smr.facts.jsonl_file import JsonLines
from smr.facts.layout import kind_named
from smr.facts.parquet_file import ParquetFile
from smr.facts.report import ImportReport, Progress, quiet
from smr.settings import Settings

FORMATS = ("csv", "jsonl", "parquet")
SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def import_files(
    database: Database,
    settings: Settings,
    kind: str,
    paths: Sequence[Path | str],
    *,
    now: datetime,
    progress: Progress = quiet,
    format_: str | None = None,
    listener: Listener | None = None,
    steps: Steps | None = None,
) -> ImportReport:
    """Import files of one kind of fact, one after the other, each whole or (mostly bad) not at all.

    `format_` is csv, jsonl or parquet; without it a file's suffix tells. `listener` listens to
    chat; `steps` are those that candidates may be of. A file that cannot be imported is named in the report
    and keeps none of the others out. Raises OperatorError or FaultsError where none could be imported.
    """
    kind_named(kind)
    files = [Path(path) for path in paths]
    formats = [_format(path, format_) for path in files]
    for path in files:
        if str(path) != "-":
            check_file(path)
    encoding = _encoding(settings)
    mappings = {str(name): columns for name, columns in settings.imports.columns.items()}
    reports, refused = [], []
    for path, form in zip(files, formats, strict=True):
        try:
            with _open(path, form, encoding) as reader:
                source = Source(kind, reader.name, reader, mappings.get(kind, {}))
                reports.append(
                    import_from(
                        database, settings, source, now=now, progress=progress, listener=listener, steps=steps
                    )
                )
        except OperatorError as error:
            if len(files) == 1:
                raise
            refused.append(str(error))
    if refused and not reports:
        raise OperatorError("\n".join(refused))
    return ImportReport(kind, tuple(reports), tuple(refused))


def _format(path: Path, stated: str | None) -> str:
    if stated is not None:
        if stated not in FORMATS:
            raise OperatorError(f"--format: there is no format {stated!r}; {did_you_mean(stated, FORMATS)}")
        return stated
    if str(path) == "-":
        raise OperatorError("standard input has no suffix: say --format csv, jsonl or parquet")
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    found = SUFFIXES.get(suffixes[-1]) if suffixes else None
    if found is None:
        fix = "say --format csv, jsonl or parquet; save a spreadsheet as CSV"
        raise file_fault(path, "format", "the suffix tells no format", fix)
    return found


def _encoding(settings: Settings) -> str:
    encoding = settings.imports.encoding
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        what = f"import.encoding: there is no encoding {encoding!r}; write such as gb18030"
        raise OperatorError(what) from None
    if name.startswith(("utf-16", "utf-32", "utf-7")):
        raise OperatorError(f"import.encoding: {name} cannot be read line by line; save the file as UTF-8")
    return "utf-8" if name == "utf-8-sig" else name


@contextmanager
def _open(path: Path, form: str, encoding: str) -> Iterator[Reader]:
    name = "stdin" if str(path) == "-" else str(path)
    with open_bytes(path) as stream:
        if form == "parquet":
            with _seekable(stream) as file:
                yield ParquetFile(name, file)
        else:
            total = path.stat().st_size if path.is_file() else None
            reader = CsvFile if form == "csv" else JsonLines
            yield reader(name, stream, encoding, total)


@contextmanager
def _seekable(stream: BinaryIO) -> Iterator[BinaryIO]:
    """Parquet is read from its end: a pipe goes to a temporary file first."""
    if stream.seekable():
        yield stream
        return
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(stream, file)
        file.seek(0)
        yield cast("BinaryIO", file)
