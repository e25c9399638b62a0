"""Processes for tests that kill: forked from one in which everything is loaded, else like any other.

    worker = start(deliver, url, crash="before_send:1")
    assert worker.wait() == -signal.SIGKILL

An interpreter that starts anew takes a second of processor time before it does anything; a fork takes none,
so that a test can afford to kill at every point. What starts is a process of its own, with its own
connections and its own memory, that dies of a real signal.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

LOADED = (
    "pytest",
    "hypothesis",
    "smr.pipeline",
    "smr.delivery",
    "smr.facts",
    "smr.channels.file.channel",
    "smr.channels.webhook.channel",
    "smr.database.migrate",
    "smr.cli.app",
    "smr.cli.run",
    "smr.cli.deliver",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.dialects.postgresql.psycopg",
    "tests.worlds",
    "tests.library",
    "tests.outbox.rows",
)
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(LOADED))


class Worker:
    """A process that was started, and what it says."""

    def __init__(self, process: ForkServerProcess, said: Path) -> None:
        self._process = process
        self._said = said
        weakref.finalize(self, shutil.rmtree, said, ignore_errors=True)

    @property
    def pid(self) -> int:
        """Its number, for signals."""
        assert self._process.pid is not None
        return self._process.pid

    def wait(self, seconds: float = 120) -> int:
        """Wait for its end; minus the signal that killed it, or its exit code."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            self.kill()
            raise AssertionError(f"does not end: {self.errors}")
        return self._process.exitcode

    def kill(self) -> None:
        """End it where it still lives."""
        self._process.kill()
        self._process.join()

    def finished(self) -> str:
        """Wait for it to end well; what it printed."""
        assert self.wait() == 0, self.errors
        return self.printed

    @property
    def printed(self) -> str:
        """What it wrote to stdout."""
        return (self._said / "stdout").read_text(encoding="utf-8")

    @property
    def errors(self) -> str:
        """What it wrote to stderr."""
        return (self._said / "stderr").read_text(encoding="utf-8")


def start(work: Callable[..., object], *given: Any, crash: str = "", **environ: str) -> Worker:
    """Have a process do this work; `crash` names the point at which it is to die."""
    said = Path(tempfile.mkdtemp(prefix="smr-worker-"))
    for name in ("stdout", "stderr"):
        (said / name).touch()
    if crash:
        environ["SMR_TEST_CRASH"] = crash
    process = _context.Process(target=_working, args=(said, environ, work, given))
    process.start()
    return Worker(process, said)


def smr(*words: str, crash: str = "", **environ: str) -> Worker:
    """Have a process do what the command line `smr WORDS` does."""
    return start(_command, *words, crash=crash, **environ)


def _command(*words: str) -> None:
    from smr.cli.app import main

    sys.argv = ["smr", *words]
    main()


def _working(
    said: Path, environ: dict[str, str], work: Callable[..., object], given: tuple[Any, ...]
) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(said / name, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.environ.update(environ)
    work(*given)
