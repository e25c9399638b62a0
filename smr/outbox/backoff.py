"""How long a refused message waits before it is tried again."""

from __future__ import annotations

from datetime import timedelta

FIRST = 60
LONGEST = 3600
MOST_ATTEMPTS = 8
"""After so many refused attempts a message has failed."""


def pause_after(attempts: int, *, asked: float = 0) -> timedelta:
    """The wait after so many attempts: doubling from a minute to an hour, and at least what the provider
    asked for.

    What a provider asks for is believed up to a day.
    """
    own = min(FIRST * 2 ** max(attempts - 1, 0), LONGEST)
    return timedelta(seconds=max(own, min(max(asked, 0), 86_400)))
