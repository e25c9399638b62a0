"""Places where a test may have the process die as if by a power cut.

In: `SMR_TEST_CRASH=NAME:N` in the environment. Out: at the N-th time the point NAME is reached, this process
kills itself with SIGKILL: no cleanup, no rollback, no flush. Without the variable a point does nothing.
"""

from __future__ import annotations

import os
import signal

_hits: dict[str, int] = {}


def reached(name: str) -> None:
    """Tell that the work has come to the point `name`."""
    wanted = os.environ.get("SMR_TEST_CRASH")
    if wanted is None:
        return
    _hits[name] = _hits.get(name, 0) + 1
    if wanted == f"{name}:{_hits[name]}":
        os.kill(os.getpid(), signal.SIGKILL)
