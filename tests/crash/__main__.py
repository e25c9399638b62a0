"""python -m tests.crash [--full] [--runs N]: kills, stops, restarts and cuts, and one line of totals.

Each part ends by comparing the ledger with the providers' own logs. The control does the same with the
`sending` record switched off, and must find duplicates; otherwise the harness would not be able to see any.
The databases are done side by side. It says beforehand how long it takes, and every so often how far it is.
"""

from __future__ import annotations

import argparse
import os
import pickle
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.conftest import keep_files_in_memory, start_postgres, stop_postgres
from tests.crash import tracing
from tests.crash.figures import NOTE, figures, table
from tests.crash.parts import SEED, Harness, Part, Task, tasks
from tests.crash.progress import Progress, minutes
from tests.providers.brokers import own_redis
from tests.providers.start import started

LOADED = ("smr.channels.webhook.channel", "smr.channels.file.channel", "psycopg", "smr.guards")
OF_BROKERS = ("smr.channels.broker.channel", "smr.channels.broker.redis_streams")
"""Loaded once, not in each worker."""
DATABASES = ("sqlite", "postgresql")
COLUMNS = ("messages", "lost", "double_rows", "foreign", "unflagged", "again", "unknown")


@contextmanager
def harness(kind: str, progress: Progress) -> Iterator[Harness]:
    """What a kind of database needs: a folder, a server, the providers."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="smr-crash-")))
        folder.chmod(0o755)
        server = None
        if kind == "postgresql":
            place = tempfile.mkdtemp(prefix="smr-pg-")
            server = start_postgres(Path(place))
            stack.callback(stop_postgres, server, place)
            server.psql("ALTER SYSTEM SET fsync = on;")
            server.psql("SELECT pg_reload_conf();")
        broker, why = stack.enter_context(own_redis(folder))
        if broker is None:
            sys.stderr.write(f"{kind}: the broker channel is left out: {why}\n")
        for module in LOADED if broker is None else (*LOADED, *OF_BROKERS):
            import_module(module)
        provider = stack.enter_context(started("webhook", folder / "provider"))
        yield Harness(kind, server, provider, broker, folder, progress)


def do(kind: str, chosen: Sequence[Task]) -> list[Part]:
    """All parts of one kind of database."""
    progress = Progress(kind, sum(task.expected for task in chosen))
    with harness(kind, progress) as at_work:
        return [task.run(at_work) for task in chosen]


def side_by_side(kinds: Sequence[str], chosen: dict[str, list[Task]], folder: Path) -> list[Part] | None:
    """Each kind in a process of its own; None where one of them broke."""
    pids: dict[str, int] = {}
    for kind in kinds:
        pids[kind] = os.fork()
        if not pids[kind]:
            _child(kind, chosen[kind], folder / kind)
    ended = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids.values()]
    if any(ended):
        return None
    return [part for kind in kinds for part in pickle.loads((folder / kind).read_bytes())]  # noqa: S301


def _child(kind: str, chosen: list[Task], file: Path) -> None:
    code = 1
    try:
        file.write_bytes(pickle.dumps(do(kind, chosen)))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> int:
    """Run, print the tables and one line of totals; 0 where all held and the control saw duplicates."""
    asked = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    asked.add_argument("--full", action="store_true", help="all parts, and the figures to be reached")
    asked.add_argument("--runs", type=int, help="runs of each named point; 200 for a release")
    asked.add_argument("--databases", default=",".join(DATABASES))
    given = asked.parse_args()
    runs = given.runs or (50 if given.full else 10)
    kinds = given.databases.split(",")
    every = tasks(runs, full=given.full)
    chosen = {kind: [task for task in every if kind in task.databases] for kind in kinds}
    longest = max(sum(task.expected for task in some) for some in chosen.values())
    sys.stderr.write(f"about {minutes(longest)} on two cores\n")
    if (why := tracing.why_not()) is not None:
        sys.stderr.write(f"calls to the kernel are left alone: {why}\n")
    began = time.monotonic()
    keep_files_in_memory()
    with tempfile.TemporaryDirectory(prefix="smr-crash-") as folder:
        parts = side_by_side(kinds, chosen, Path(folder))
    if parts is None:
        print("the harness itself broke, see above: NOT GOOD")
        return 1
    return told(parts, time.monotonic() - began, whole=given.full)


def told(parts: Sequence[Part], seconds: float, *, whole: bool) -> int:
    """The tables, and the totals; where the `whole` was done, its figures have to reach the least."""
    shown = Table(title="Crashes, held against the providers' own logs", box=None)
    for name in ("", "runs", "kills", *COLUMNS, "wrong", "took"):
        shown.add_column(name, justify="left" if not name else "right")
    for part in parts:
        counts = (part.done, part.kills, *(part.total(name) for name in COLUMNS), part.wrong)
        shown.add_row(part.name, *(f"{count:,}" for count in counts), minutes(part.seconds))
    console = Console(width=160)
    console.print(shown)
    reached = figures(parts)
    if whole:
        console.print(table(reached))
        console.print(NOTE, highlight=False)
    tried = [part for part in parts if part.kind != "control"]
    blind = [part.total("unflagged") for part in parts if part.kind == "control"]
    good = all(part.good for part in tried) and all(blind)
    good &= not whole or all(one.good for one in reached)
    lost, double, unflagged = (
        sum(part.total(name) for part in tried) for name in ("lost", "double_rows", "unflagged")
    )
    print(
        f"{sum(part.kills for part in tried):,} kills and stops in {seconds:.0f} s (seed {SEED}): "
        f"{lost} lost, {double} duplicate rows, {unflagged} second deliveries that were not flagged; "
        f"without the record the same harness finds {sum(blind)}: {'good' if good else 'NOT GOOD'}"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
