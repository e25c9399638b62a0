"""How long a refused message waits before it is tried again."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

FIRST = 60
LONGEST = 3600
MOST_REFUSALS = 8
"""After so many refusals for its own sake a message has failed."""
SPREAD = 0.25
"""A wait is up to so much shorter or longer, so that what failed together does not come back together."""


def pause_after(refusals: int, *, key: str, asked: float = 0) -> timedelta:
    """The wait after so many refusals: doubling from a minute to an hour, and at least what the provider
    asked for.

    What a provider asks for is believed up to a day. The spread is drawn from the key, so that nothing is
    left to chance.
    """
    own = min(FIRST * 2 ** max(refusals - 1, 0), LONGEST) * (1 + SPREAD * _draw(f"{key}:{refusals}"))
    return timedelta(seconds=round(max(own, min(max(asked, 0), 86_400))))


def _draw(key: str) -> float:
    """A number from -1 to 1, always the same for a key."""
    return int.from_bytes(sha256(key.encode()).digest()[:4]) / 0x7FFF_FFFF - 1
