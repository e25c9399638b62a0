"""One day's pair of files: appended to under a lock, whole lines only, each message once.

In: lines and their message ids. Out: they are on the disk. The JSONL file is the record. Whoever appends
first mends what a crash left: half a line at the end is cut off, and the text for people is written anew
where it does not end with the record's last message. Several processes may append at once: each holds
the file's lock while it reads what the others have added and writes its own.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from smr.channels.file import record
from smr.crash_points import reached
from smr.errors import ChannelError, Refusal

TAIL = 4096
PRIVATE = 0o600
_OPEN = os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Journal:
    """The files of one channel and day. Remembers how far it has read, and the ids found there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = path.with_suffix(".txt")
        self._ids: set[str] = set()
        self._last_id: str | None = None
        self._end = 0
        self._inode = 0
        self._text_lags = False

    def append(self, lines: Mapping[str, bytes]) -> None:
        """Write those lines whose message id is not in the file yet; returns when they are on the disk.

        Raises ChannelError: UNAVAILABLE when nothing was written, IN_DOUBT when that is not certain.
        """
        with self._locked() as file:
            self._catch_up(file)
            fresh = {message_id: line for message_id, line in lines.items() if message_id not in self._ids}
            if not fresh:
                return
            self._write(file, b"".join(fresh.values()))
            self._ids.update(fresh)
            self._last_id = next(reversed(fresh))
            self._write_text(list(fresh.values()))

    def find(self, message_ids: Collection[str]) -> set[str]:
        """Which of these ids are in the file. Raises ChannelError where it cannot be read."""
        with self._locked() as file:
            self._catch_up(file)
        return self._ids.intersection(message_ids)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The record's file descriptor, locked until the block ends."""
        try:
            new = not self._path.exists()
            file = os.open(self._path, os.O_RDWR | _OPEN, PRIVATE)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                if new:
                    _sync_folders(self._path)
                yield file
            finally:
                os.close(file)
        except OSError as error:
            detail = f"{self._path} cannot be written ({error.strerror})"
            raise ChannelError(Refusal.UNAVAILABLE, detail, permanent=False) from None

    def _catch_up(self, file: int) -> None:
        """Read what others have added, cut off what a crash left unfinished, see that the text agrees."""
        state = os.fstat(file)
        if state.st_ino != self._inode or state.st_size < self._end:
            self._ids, self._end, self._last_id, self._inode = set(), 0, None, state.st_ino
        if state.st_size > self._end:
            self._read_on(file)
            if self._end < state.st_size:
                os.ftruncate(file, self._end)
                os.fsync(file)
            self._text_lags = _last_text_id(self._text) != self._last_id
        if self._text_lags:
            self._write_text_anew(file)

    def _read_on(self, file: int) -> None:
        """Take up the ids of whole lines; the end is after the last of them."""
        with os.fdopen(os.dup(file), "rb") as reader:
            reader.seek(self._end)
            position, size = self._end, os.fstat(file).st_size
            for line in reader:
                position += len(line)
                message_id = record.line_id(line)
                if message_id is not None and (position < size or _fields(line)):
                    self._ids.add(message_id)
                    self._end, self._last_id = position, message_id

    def _write(self, file: int, content: bytes) -> None:
        """Append and wait for the disk; on an error take back what was written of it."""
        half = len(content) // 2
        try:
            _write_all(file, content[:half])
            reached("file_half_written")
            _write_all(file, content[half:])
            os.fsync(file)
        except OSError:
            _take_back(file, self._end)
            raise
        self._end += len(content)
        reached("after_write")

    def _write_text(self, lines: Sequence[bytes]) -> None:
        """Append for people; the record is written already, so a failure here is mended the next time."""
        try:
            file = os.open(self._text, os.O_WRONLY | _OPEN, PRIVATE)
            try:
                _write_all(file, b"".join(record.entry(json.loads(line)) for line in lines))
            finally:
                os.close(file)
        except OSError:
            self._text_lags = True

    def _write_text_anew(self, file: int) -> None:
        anew = self._text.with_suffix(".txt.new")
        with os.fdopen(os.dup(file), "rb") as reader, open(anew, "wb", opener=_private) as writer:
            reader.seek(0)
            writer.writelines(record.entry(fields) for fields in map(_fields, reader) if fields)
            writer.flush()
            os.fsync(writer.fileno())
        anew.replace(self._text)
        self._text_lags = False


def _fields(line: bytes) -> dict[str, object] | None:
    """A line's fields; None where it is not a whole line of JSON."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and line.endswith(b"\n") else None


def _last_text_id(path: Path) -> str | None:
    try:
        with path.open("rb") as reader:
            reader.seek(max(os.fstat(reader.fileno()).st_size - TAIL, 0))
            return record.last_entry_id(reader.read())
    except FileNotFoundError:
        return None


def _take_back(file: int, start: int) -> None:
    """Cut off what was just written; raises ChannelError where that fails too, for then nobody knows."""
    try:
        os.ftruncate(file, start)
        os.fsync(file)
    except OSError as error:
        detail = f"writing failed, and so did taking it back ({error.strerror})"
        raise ChannelError(Refusal.IN_DOUBT, detail, permanent=False) from None


def _write_all(file: int, content: bytes) -> None:
    """`os.write` may take less than it is given."""
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, PRIVATE)


def _sync_folders(path: Path) -> None:
    """Have the names of a new file and of its folder reach the disk."""
    for folder in (path.parent, path.parent.parent):
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
