"""`python -m benchmarks`: measures smr beside its references and prints the figures."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import Figure, machine, plain, table, verdict
from benchmarks.places import Place, PostgresServer, SqliteFiles
from benchmarks.suite import PARTS, Bench, Form, measure
from benchmarks.world import World

KINDS = ("sqlite", "postgresql")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print; 0 where every judged figure is reached, 1 where one is missed or could not be taken.

    A database on which something fails keeps the figures it has, and the next one is measured all the same.
    """
    asked = _parser().parse_args(arguments)
    form = _form(asked)
    full = form.world.lines >= 10_000_000
    started = time.perf_counter()
    found: dict[str, list[Figure]] = {}
    versions, broken = [], False
    with _folder(asked.keep) as folder:
        for kind in asked.database or KINDS:
            place = _place(kind, folder)
            tell, taken = _teller(place.kind, started), found.setdefault(place.kind, [])
            try:
                taken.extend(measure(Bench(place, form, folder), tell))
            except RuntimeError as error:
                broken = True
                tell(f"given up: {error}")
            finally:
                place.close()
            versions.append(place.version)
    about = {
        "measured": datetime.now(UTC).isoformat(timespec="minutes"),
        "customers": form.world.customers,
        "lines": form.world.lines,
        "machine": machine(),
        "databases": ", ".join(versions),
        "minutes": round((time.perf_counter() - started) / 60, 1),
    }
    _print(asked.json, about, found, full)
    missed = [one.name for figures in found.values() for one in figures if verdict(one, full) == "MISS"]
    return 1 if missed or broken else 0


def _print(as_json: bool, about: dict[str, object], found: dict[str, list[Figure]], full: bool) -> None:
    if as_json:
        figures = {kind: plain(some, full) for kind, some in found.items()}
        print(json.dumps({**about, "figures": figures}, ensure_ascii=False, indent=2))
        return
    print(f"{about['customers']:,} customers, {about['lines']:,} purchase lines, {about['minutes']} minutes")
    print(f"{about['machine']}, {about['databases']}\n")
    for kind, some in found.items():
        print(table(kind, some, full))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks", description="Speed, as ratios against references by hand."
    )
    parser.add_argument("--full", action="store_true", help="the same as --scale full")
    parser.add_argument(
        "--scale", choices=("small", "full"), default="small", help="100,000 customers, or a million"
    )
    parser.add_argument("--customers", type=int, help="how many customers instead")
    parser.add_argument("--lines", type=int, help="how many purchase lines; ten per customer where not said")
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part; may be repeated")
    parser.add_argument("--database", action="append", choices=KINDS, help="only this one; may be repeated")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep loaded databases there, for the next time"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of tables")
    return parser


def _form(asked: argparse.Namespace) -> Form:
    full = asked.full or asked.scale == "full"
    customers = asked.customers or (1_000_000 if full else 100_000)
    lines = asked.lines or 10 * customers
    small = World(customers // 10, lines // 10)
    return Form(
        world=World(customers, lines),
        small=small,
        imported=small if full else World(customers // 2, lines // 2),
        repeats=3,
        sample=min(5_000, customers),
        queued=100_000 if full else 20_000,
        parts=tuple(asked.only or PARTS),
    )


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="smr-benchmark-") as folder:
        yield Path(folder)


def _place(kind: str, folder: Path) -> Place:
    return SqliteFiles(folder) if kind == "sqlite" else PostgresServer(folder / "pg")


def _teller(kind: str, started: float) -> Callable[[str], None]:
    def tell(what: str) -> None:
        """Say on stderr what is being measured, with the time since the start."""
        minutes, seconds = divmod(int(time.perf_counter() - started), 60)
        print(f"{minutes:3}:{seconds:02} {kind}: {what}", file=sys.stderr, flush=True)

    return tell


if __name__ == "__main__":
    sys.exit(main())
