"""The file channel: a folder per channel, a pair of files per local day.

In: a batch of messages. Out: all accepted once they are on the disk; refused one by one where a text
cannot be written; ChannelError when the folder cannot be used. It dedupes on the message id and can be
asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from smr import clock
from smr.channels.file import record
from smr.channels.file.journal import Journal
from smr.channels.protocol import Accepted, Outgoing, Refused, Result, Traits, UnknownPolicy
from smr.channels.traits import as_set
from smr.errors import ChannelError, Refusal
from smr.settings import Settings

MAX_BATCH = 1000


class FileChannel:
    """Writes messages to files of one folder; see the room's charter for the files."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        own = Traits(
            personal=settings.is_personal(name),
            dedupes=True,
            can_ask=True,
            staff_confirms=False,
            max_batch=MAX_BATCH,
            max_length=None,
            unknown_policy=UnknownPolicy.ASK,
        )
        # The journal of a day has one writer.
        self.traits = replace(as_set(own, name, settings.channel(name)), parallel=1)
        self._zone = settings.shop.tz
        self._root = settings.files.folder
        self._journals: dict[Path, Journal] = {}

    @property
    def place(self) -> str:
        """The folder of this channel's files."""
        return str(self._root / folder_name(self.name))

    def send(self, batch: Sequence[Outgoing]) -> list[Result]:
        """Append these messages to the files of their day; returns when they are on the disk."""
        lines = [self._line(message) for message in batch]
        days: dict[str, dict[str, bytes]] = {}
        for message, line in zip(batch, lines, strict=True):
            if isinstance(line, bytes):
                days.setdefault(self._day(message), {})[message.message_id] = line
        for day, of_day in days.items():
            self._journal(day).append(of_day)
        return [Accepted() if isinstance(line, bytes) else line for line in lines]

    def ask(self, message_ids: Sequence[str]) -> dict[str, bool]:
        """Whether each of these messages stands in the files, of whatever day; the newest are read first."""
        missing = set(message_ids)
        for path in sorted(self._folder().glob("*.jsonl"), reverse=True):
            if missing:
                missing -= Journal(path).find(missing)
        return {message_id: message_id not in missing for message_id in message_ids}

    def _line(self, message: Outgoing) -> bytes | Refused:
        longest = self.traits.max_length
        if longest is not None and len(message.text) > longest:
            detail = f"the text has {len(message.text)} characters, the channel takes {longest}"
            return Refused(Refusal.REJECTED, permanent=True, detail=detail)
        try:
            return record.line(self.name, message)
        except (TypeError, ValueError):
            return Refused(
                Refusal.REJECTED, permanent=True, detail="the message holds what cannot be written"
            )

    def _day(self, message: Outgoing) -> str:
        return clock.local_day(message.sent_at, self._zone).isoformat()

    def _journal(self, day: str) -> Journal:
        path = self._folder() / f"{day}.jsonl"
        if path not in self._journals:
            self._journals[path] = Journal(path)
        return self._journals[path]

    def _folder(self) -> Path:
        """The channel's folder, made if need be; never outside of the configured one."""
        root = self._root
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = root.resolve() / folder_name(self.name)
            folder.mkdir(exist_ok=True, mode=0o700)
            inside = folder.resolve().is_relative_to(root.resolve())
        except OSError as error:
            detail = f"files.folder: {root} cannot be used ({error.strerror})"
            raise ChannelError(Refusal.UNAVAILABLE, detail, permanent=False) from None
        if not inside:
            detail = f"files.folder: {folder} leads out of {root}; it is not written to"
            raise ChannelError(Refusal.UNAUTHORIZED, detail, permanent=True)
        return folder


def folder_name(channel: str) -> str:
    """A channel's name as the name of a folder: letters of any script, digits, - and _.

    A name that has other characters gets a hash, so that no two channels share a folder.
    """
    plain = re.sub(r"[^\w-]", "_", channel)[:80]
    return plain if plain == channel else f"{plain}-{sha256(channel.encode()).hexdigest()[:8]}"
