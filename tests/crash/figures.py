"""The figures that the project set itself for faults, beside what a run of the harness has reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from tests.crash import tracing
from tests.crash.parts import EACH, POINTS, Part


@dataclass(frozen=True)
class Figure:
    """One line: the least, the aim for a release, what was reached, and whether that is enough."""

    name: str
    least: str
    aim: str
    reached: str
    good: bool


def figures(parts: Sequence[Part]) -> list[Figure]:
    """All that this harness measures. What it has not done is not good."""
    of: dict[str, list[Part]] = {}
    for part in parts:
        of.setdefault(part.kind, []).append(part)

    def least(kind: str) -> int:
        return min((part.done for part in of.get(kind, ())), default=0)

    def kills(kind: str) -> int:
        return sum(part.kills for part in of.get(kind, ()))

    whole = [part for part in parts if part.kind != "control"]
    calm = [part for part in whole if part.kind.startswith("together")]
    rows = {kind: least(kind) for kind in ("together_3", "together_8")}
    unknown_calm = sum(part.total("unknown") for part in calm)
    stirred = [part for part in whole if part.kills and part not in calm]
    per_kill = max((part.total("unknown") / part.kills for part in stirred), default=0)
    slowest = max((part.slowest for part in of.get("restarts", ())), default=0)
    bases = len(of.get("points", ()))
    runs = least("points") // len(POINTS)
    seconds = sum(part.seconds for part in of.get("moments", ()))
    wrong = sum(part.wrong for part in of.get("power_cuts", ()))
    unflagged = sum(part.total("unflagged") for part in whole)
    left_alone = tracing.why_not()
    return [
        Figure(
            "named crash points x runs x databases",
            "16 x 10 x 2",
            "16 x 200 x 3",
            f"{len(POINTS)} of delivery x {runs} x {bases}: {kills('points'):,} kills (*)",
            runs >= 10 and bases >= 2,
        ),
        Figure(
            "calls to the kernel that kill or fail",
            "200",
            "3 x 600",
            f"{bases} x {least('syscalls'):,}" if left_alone is None else f"left alone: {left_alone}",
            left_alone is not None or sum(part.done for part in of.get("syscalls", ())) >= 200,
        ),
        Figure(
            "kills at any moment",
            "2 min",
            "2 h",
            f"{kills('moments'):,} kills in {seconds / 60:.1f} min",
            seconds >= 120,
        ),
        Figure(
            "cuts of the log of writes, always a prefix",
            "400",
            "20,000",
            f"{least('power_cuts'):,}, {wrong} not a prefix",
            least("power_cuts") >= 400 and not wrong,
        ),
        Figure("SIGSTOP past the lease", "20", "500", f"{least('sleepers'):,}", least("sleepers") >= 20),
        Figure(
            "database restarts under load",
            "3",
            "100, back in 5 s",
            f"{least('restarts'):,}, all settled in {slowest:.1f} s at most",
            least("restarts") >= 3,
        ),
        Figure(
            "workers at once x rows",
            "3 x 5,000",
            "8 x 100,000",
            f"3 x {rows['together_3']:,}" + (f", 8 x {rows['together_8']:,}" if rows["together_8"] else ""),
            rows["together_3"] >= 5_000,
        ),
        Figure(
            "unknown without a kill",
            "0",
            "0 in 1 M",
            f"{unknown_calm} in {sum(part.total('messages') for part in calm):,}",
            not unknown_calm,
        ),
        Figure(
            "held as unknown per kill",
            "what flies",
            "the same",
            f"{per_kill:.1f} of {EACH} that may",
            per_kill <= EACH,
        ),
        Figure("duplicates outside unknown", "0", "0", f"{unflagged}", not unflagged),
    ]


NOTE = (
    "(*) The points of deciding, learning, importing and migrating are killed by the tests "
    "(tests/acceptance, tests/pipeline, tests/facts, tests/database). docs/reference/faults.md names the "
    "tests of all other faults."
)


def table(found: Sequence[Figure]) -> Table:
    """For people."""
    shown = Table(title="Figures", box=None)
    for name in ("", "the least", "for a release", "reached", ""):
        shown.add_column(name)
    for one in found:
        shown.add_row(one.name, one.least, one.aim, one.reached, "" if one.good else "below the least")
    return shown
