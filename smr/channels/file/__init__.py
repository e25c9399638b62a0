"""The embedded channel: messages are appended to files, one pair per channel and day.

`FOLDER/CHANNEL/2026-11-23.jsonl` is for programs and is the record; `2026-11-23.txt` beside it is for people.
Each message id is written once, whatever dies in between.
"""

from smr.channels.file.channel import FileChannel

__all__ = ["FileChannel"]
