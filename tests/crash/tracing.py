"""Faults at the border between a process and its machine, by strace: a call to the kernel kills, or fails."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable

CALLS = "pwrite64,fdatasync,fsync,write,sendto,recvfrom,connect"
"""What a worker does to its disk, its database and its channels."""
FAULTS = ("signal=SIGKILL", "error=ENOSPC", "error=EIO")


def why_not() -> str | None:
    """Why there is no tracing here; None where there is."""
    if shutil.which("strace") is None:
        return "there is no strace here"
    tried = subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "strace may not look at processes here"


def traced(fork: Callable[[], int], fault: str, when: int) -> tuple[int, subprocess.Popen[str]]:
    """Start a worker that stops itself first, and have its `when`-th call go wrong; its id, and its tracer.

    Where a kill is asked for, any of CALLS is; a failing disk fails only what writes to it.
    """
    calls = CALLS if fault == "signal=SIGKILL" else "pwrite64,fdatasync,fsync"
    pid = fork()
    os.waitpid(pid, os.WUNTRACED)
    command = ["strace", "-f", "-o", os.devnull, "-e", f"trace={calls}"]
    tracer = subprocess.Popen(
        [*command, "-e", f"inject={calls}:{fault}:when={when}", "-p", str(pid)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tracer.stderr is not None
    tracer.stderr.readline()  # it is attached
    os.kill(pid, signal.SIGCONT)
    return pid, tracer
