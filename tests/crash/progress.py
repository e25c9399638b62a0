"""How far the harness is: lines that say what is done, and how long the rest will take."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

EVERY = 20.0
"""Seconds between two lines of the same part."""


@dataclass
class Progress:
    """What one database's share of the harness expects to take, in seconds, and has taken."""

    name: str
    expected: float = 0
    began: float = field(default_factory=time.monotonic)
    _ended: float = 0
    _said: float = 0

    def part(self, what: str, done: int, total: int, seconds: float) -> None:
        """So much of a part is done, which is expected to take so many seconds in all."""
        now = time.monotonic()
        if done < total and now - self._said < EVERY:
            return
        self._said = now
        if done >= total:
            self._ended += seconds
        spent = self._ended + (seconds * done / total if done < total else 0)
        gone = now - self.began
        left = gone * (self.expected - spent) / spent if spent else self.expected
        sys.stderr.write(
            f"{self.name}: {what}, {done:,} of {total:,}; {minutes(gone)} gone, "
            f"about {minutes(max(left, 0))} to go\n"
        )
        sys.stderr.flush()


def minutes(seconds: float) -> str:
    """A span, for people."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
