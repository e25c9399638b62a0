"""What was reached beside what is wanted, as a table for people or as plain values for `--json`."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Figure:
    """One figure. `bound` is the least (`side` least) or the most (`most`) that is wanted; none: told only.

    `only_full` marks what means little at reduced scale, where starting Python is most of the time; it is
    then shown and not judged.
    """

    name: str
    reached: float
    unit: str = ""
    bound: float | None = None
    side: Literal["least", "most"] = "least"
    only_full: bool = False
    note: str = ""

    @property
    def good(self) -> bool | None:
        """Whether it is reached; None where nothing is wanted."""
        if self.bound is None:
            return None
        return self.reached >= self.bound if self.side == "least" else self.reached <= self.bound

    @property
    def wanted(self) -> str:
        """What is wanted, as text."""
        if self.bound is None:
            return ""
        return f"{'≥' if self.side == 'least' else '≤'} {number(self.bound)}{self.unit}"


def number(value: float) -> str:
    """A number in about three digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def verdict(figure: Figure, full: bool) -> str:
    """`pass`, `MISS`, or why it is not judged."""
    if figure.good is None:
        return ""
    if figure.only_full and not full:
        return "(judged at full scale)"
    return "pass" if figure.good else "MISS"


def table(kind: str, figures: Sequence[Figure], full: bool) -> str:
    """The figures of one database as a Markdown table."""
    rows = [("figure", "reached", "wanted", "", "how")]
    rows += [
        (one.name, number(one.reached) + one.unit, one.wanted, verdict(one, full), one.note)
        for one in figures
    ]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return f"## {kind}\n\n" + "\n".join(lines) + "\n"


def plain(figures: Sequence[Figure], full: bool) -> list[dict[str, Any]]:
    """The figures as plain values."""
    return [{**asdict(one), "verdict": verdict(one, full)} for one in figures]


def machine() -> str:
    """The machine and the versions that the figures belong to, in one line."""
    cores = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", cores.read_text()) if cores.exists() else []
    processor = f"{len(names)} × {names[0]}" if names else platform.processor()
    packages = ", ".join(f"{name} {version(name)}" for name in ("SQLAlchemy", "psycopg", "Jinja2", "pyarrow"))
    return f"{processor}, {platform.system()}, Python {platform.python_version()}, {packages}"
