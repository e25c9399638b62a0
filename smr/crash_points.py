"""Places where a test may have the process die as if by a power cut.

In: `SMR_TEST_CRASH=NAME:N` in the environment. Out: at the N-th time the point NAME is reached, this process
kills itself with SIGKILL: no cleanup, no rollback, no flush. `SMR_TEST_STOP` stops it there with SIGSTOP
instead, until somebody continues it. Without these variables a point does nothing.
"""

from __future__ import annotations

import os
import signal

SIGNALS = {"SMR_TEST_CRASH": signal.SIGKILL, "SMR_TEST_STOP": signal.SIGSTOP}
_hits: dict[str, int] = {}


def reached(name: str) -> None:
    """Tell that the work has come to the point `name`."""
    wanted = {os.environ[variable]: sign for variable, sign in SIGNALS.items() if variable in os.environ}
    if not wanted:
        return
    _hits[name] = _hits.get(name, 0) + 1
    sign = wanted.get(f"{name}:{_hits[name]}")
    if sign is not None:
        os.kill(os.getpid(), sign)
