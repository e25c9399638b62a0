"""Further processes of this machine that share a run with the command that starts them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from smr.cli.say import talk
from smr.errors import OperatorError
from smr.sharing import Place

MOST = 64
"""More processes than anybody has use for on one machine; a slip of the finger."""


def place_of(slices: int | None, part: str | None) -> Place | None:
    """Which process of a shared run this is to be, by `--slices N` or `--slice i/n`; None: it is alone."""
    if slices is not None and part is not None:
        raise OperatorError(
            "--slices and --slice: say one of them. --slices N starts all processes here, --slice i/n is one"
        )
    if part is not None:
        return _read(part)
    if slices is None or slices == 1:
        return None
    if not 1 <= slices <= MOST:
        raise OperatorError(f"--slices {slices}: say how many processes, from 1 to {MOST}")
    return Place(1, slices)


def _read(part: str) -> Place:
    number, _, of = part.partition("/")
    if number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of) <= MOST:
        return Place(int(number), int(of))
    raise OperatorError(
        f"--slice {part}: say which process of how many, such as --slice 1/4, the first of four"
    )


class Others:
    """The further processes that this one started; each does `smr run --slice i/n`."""

    def __init__(self) -> None:
        self._started: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []

    def start(self, arguments: Sequence[str], of: int) -> None:
        """Start numbers 2 to `of`, with the command's own arguments."""
        for number in range(2, of + 1):
            said = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
            command = [sys.executable, "-m", "smr", "run", *arguments, "--slice", f"{number}/{of}"]
            self._started.append((self._one(command, said), said))

    @staticmethod
    def _one(command: list[str], said: IO[bytes]) -> subprocess.Popen[bytes]:
        nothing = subprocess.DEVNULL
        return subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=said)  # noqa: S603 - our own

    def break_off(self) -> None:
        """End those that still work: the run is left to the next one."""
        for process, _ in self._started:
            process.terminate()

    def end(self, *, expected: int) -> None:
        """Wait for all, and tell of those that came to grief; `expected` is the exit code of the others."""
        for process, said in self._started:
            code = process.wait()
            said.seek(0)
            words = said.read().decode(errors="replace").strip()
            said.close()
            if code not in {0, expected}:
                ended = f"signal {-code}" if code < 0 else f"exit code {code}"
                warning = (
                    f"warning: a further process ended early ({ended}); the others did its part. {words}"
                )
                talk.print(warning.rstrip(), markup=False, style="yellow")


@contextmanager
def others() -> Iterator[Others]:
    """Those that are started in the block are broken off where it fails."""
    started = Others()
    try:
        yield started
    except BaseException:
        started.break_off()
        raise
