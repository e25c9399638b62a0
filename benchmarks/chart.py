"""The judged figures of the performance page as a picture: how many times better than wanted each one is.

    python -m benchmarks.chart

In: the tables of docs/reference/performance.md. Out: docs/reference/performance.svg. A bar that ends right of
the line reaches what is wanted; each mark on the axis is twice the one before.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "performance.md"
PICTURE = PAGE.with_suffix(".svg")
MARKS = (0.5, 1, 2, 4, 8, 16, 32)
LABELS, SCALE, ROW, TOP = 330, 70, 22, 46
GOOD, MISSED, QUIET = "#2f7d5b", "#b3412f", "#8a8f98"


@dataclass(frozen=True)
class Bar:
    """One judged figure; `times` as good as wanted."""

    name: str
    reached: str
    wanted: str
    times: float


def main() -> None:
    """Draw the page's figures."""
    PICTURE.write_text(drawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def drawn(page: str) -> str:
    """The picture of a page's tables."""
    panels = list(bars(page))
    height = sum(TOP + ROW * len(found) for _, found in panels) + 30
    width = LABELS + int(SCALE * math.log2(MARKS[-1] / MARKS[0])) + 170
    inside = "\n".join(_panels(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'font-family="system-ui, sans-serif" font-size="13" role="img" '
        f'aria-label="How many times better than wanted each figure is">\n'
        f'<rect width="{width}" height="{height}" fill="#fff"/>\n{inside}\n</svg>\n'
    )


def bars(page: str) -> Iterator[tuple[str, list[Bar]]]:
    """The judged rows of each database's table."""
    for part in re.split(r"^### ", page, flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        found = [bar for line in text.splitlines() if (bar := _bar(line)) is not None]
        if found:
            yield title, found


def _bar(line: str) -> Bar | None:
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    if len(cells) != 5 or cells[3] not in {"pass", "MISS"}:
        return None
    name, reached, wanted = cells[:3]
    is_least, bound, found = wanted.startswith("≥"), _number(wanted), _number(reached)
    return Bar(name, reached, wanted, found / bound if is_least else bound / found)


def _number(text: str) -> float:
    found = re.search(r"[\d,]+(?:\.\d+)?", text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    return float(found[0].replace(",", ""))


def _panels(panels: list[tuple[str, list[Bar]]]) -> Iterator[str]:
    y = 0
    for title, found in panels:
        bottom = y + TOP + ROW * len(found)
        yield f'<text x="12" y="{y + 28}" font-size="16" font-weight="600">{escape(title)}</text>'
        for mark in MARKS:
            x, color = _x(mark), "#333" if mark == 1 else "#e3e5e8"
            yield f'<line x1="{x}" y1="{y + TOP - 6}" x2="{x}" y2="{bottom - 4}" stroke="{color}"/>'
            label = "as wanted" if mark == 1 else f"{mark:g}×"
            yield _text(x, y + TOP - 12, label, QUIET, "middle")
        for number, bar in enumerate(found):
            yield from _row(bar, y + TOP + ROW * number)
        y = bottom


def _row(bar: Bar, y: int) -> Iterator[str]:
    start, end = sorted((_x(1), _x(min(max(bar.times, MARKS[0]), MARKS[-1]))))
    color = GOOD if bar.times >= 1 else MISSED
    yield _text(LABELS - 10, y + 14, bar.name, "#222", "end")
    yield f'<rect x="{start}" y="{y + 3}" width="{max(end - start, 1)}" height="{ROW - 8}" fill="{color}"/>'
    yield _text(end + 8, y + 14, f"{bar.reached} (wanted {bar.wanted})", QUIET, "start")


def _x(times: float) -> int:
    return LABELS + round(SCALE * math.log2(times / MARKS[0]))


def _text(x: int, y: int, text: str, color: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" fill="{color}" text-anchor="{anchor}">{escape(text)}</text>'


if __name__ == "__main__":
    main()
