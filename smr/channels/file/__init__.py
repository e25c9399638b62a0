"""The embedded channel: messages are appended to files, one pair per channel and day.

`FOLDER/CHANNEL/2026-11-23.jsonl` is for programs and is the record; `2026-11-23.txt` beside it is for people.
Each message id is written once, whatever dies in between.
"""

from typing import Literal

from pydantic import Field

from smr.channel_kinds import Kind
from smr.channels.file.channel import FileChannel
from smr.settings import ChannelSettings


class FileSettings(ChannelSettings):
    """A channel that writes files: it needs nothing of its own."""

    kind: Literal["file"] = Field("file", description="the adapter")


KIND = Kind(settings=FileSettings, open=FileChannel)

__all__ = ["KIND", "FileChannel", "FileSettings"]
