"""Talking to people on stderr, giving facts on stdout, showing progress on long work."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

talk = Console(stderr=True, highlight=False, soft_wrap=True)
"""For people: progress, warnings, errors."""

facts = Console(highlight=False, soft_wrap=True)
"""For results, as tables and text."""


def give_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date | Path):
        return str(value)
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def width_of(text: str) -> int:
    """How wide a text is on a screen: Chinese characters take two places."""
    return sum(2 if ord(letter) > 0x2E80 else 1 for letter in text)


class Bar:
    """A progress bar that can be told how far the work is; it does nothing where stderr is not a terminal."""

    def __init__(self, progress: Progress | None, task: Any) -> None:
        self._progress = progress
        self._task = task

    def __call__(self, done: int, total: int | None = None, what: str | None = None) -> None:
        """Set how much is done, of how much, and what is being done."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done, total=total, description=what)


@contextmanager
def bar(what: str) -> Iterator[Bar]:
    """Show a progress bar while the block runs; off when stderr is not a terminal."""
    if not talk.is_terminal:
        yield Bar(None, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=talk, transient=True) as progress:
        yield Bar(progress, progress.add_task(what, total=None))
