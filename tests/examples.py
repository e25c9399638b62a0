"""How many random examples a property is tried on.

Each states what suits a change; SMR_TEST_EXAMPLES=10 (`make test-long`) has all of them tried ten times as
often. Examples differ from run to run, so that what is tried grows with every run.
"""

from __future__ import annotations

import os

TIMES = float(os.environ.get("SMR_TEST_EXAMPLES", "1"))


def many(number: int) -> int:
    """So many, times what is asked for."""
    return max(1, round(number * TIMES))
