"""Running a command to its end as its own process: how long it took, and how much memory at most.

Memory is VmHWM, read by the process itself just before it ends; ru_maxrss would inherit the peak of whoever
started it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

SMR = """\
import atexit, os, sys
def tell():
    with open("/proc/self/status") as status, open(os.environ["SMR_BENCHMARK_PEAK"], "w") as told:
        told.write(next((line.split()[1] for line in status if line.startswith("VmHWM")), "0"))
if os.path.exists("/proc/self/status"):
    atexit.register(tell)
from smr.cli.app import main
sys.argv[0] = "smr"
main()
"""
"""What the installed command does, and then the peak of memory, in KiB, into a file."""

ALLOWED = {0}


@dataclass(frozen=True)
class Ran:
    """One process that ended.

    Wall seconds from its start to its end, processor seconds it used itself (a server's are not among them),
    its peak of memory in MB, and what it printed.
    """

    seconds: float
    cpu: float
    peak_mb: float
    printed: str

    @property
    def times(self) -> str:
        """Both times, for a note."""
        return f"{self.seconds:.2f} s, {self.cpu:.2f} s of processor time"


def python(arguments: Sequence[str]) -> Ran:
    """Run this Python with those arguments."""
    return _run([sys.executable, *arguments], _environ())


def smr(url: str, *arguments: str) -> Ran:
    """Run `smr` with those arguments on the database of that URL."""
    environ = {**_environ(), "SMR_DATABASE_URL": url}
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "peak")
        environ["SMR_BENCHMARK_PEAK"] = str(told)
        ran = _run([sys.executable, "-c", SMR, *arguments], environ)
        peak = int(told.read_text() or 0) / 1024 if told.exists() else 0.0
    return replace(ran, peak_mb=peak)


def _environ() -> dict[str, str]:
    """As a user has it: where Python was told not to keep what it compiled, each start would compile smr."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _run(command: list[str], environ: dict[str, str]) -> Ran:
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    seconds, after = time.perf_counter() - started, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    if done.returncode not in ALLOWED:
        shown = " ".join(command[1:] if command[1] != "-c" else ["smr", *command[3:]])
        raise RuntimeError(
            f"{shown}: exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        )
    return Ran(seconds, cpu, 0.0, done.stdout)


def typical(runs: Sequence[Ran]) -> Ran:
    """Of several runs, the one with the median time, with the largest peak of all."""
    ran = sorted(runs, key=lambda one: one.seconds)
    middle = ran[len(ran) // 2]
    return replace(middle, peak_mb=max(one.peak_mb for one in ran))


def middle(values: Sequence[float]) -> float:
    """The median."""
    return median(values)
