"""Charts as SVG text that stands in an HTML page: no script, no font, no file from elsewhere.

In: plain numbers and texts. Out: SVG. Colours are CSS variables of the page (`--ink`, `--faint`, `--line`,
`--c1`, `--c2`), so that light and dark pages share one drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10

WIDTH, HEIGHT = 640, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 28, 40
MOST_BARS = 120


@dataclass(frozen=True)
class Series:
    """A line: its name, its points from left to right, and which of them (if any) is marked, with a label."""

    name: str
    points: Sequence[tuple[float, float]]
    marked: int | None = None
    label: str = ""


@dataclass(frozen=True)
class Axis:
    """What an axis counts, and whether as per cent."""

    name: str
    percent: bool = False


def lines(series: Sequence[Series], x: Axis, y: Axis) -> str:
    """Lines over a common pair of axes from zero; a marked point is ringed and labelled."""
    shown = [one for one in series if one.points]
    most_x = max((point[0] for one in shown for point in one.points), default=1) or 1
    most_y = max((point[1] for one in shown for point in one.points), default=1) or 1
    frame = _Frame(0, most_x, _above(most_y))
    parts = [frame.grid(x, y)]
    for number, one in enumerate(shown, start=1):
        path = " ".join(f"{frame.x(a):.1f},{frame.y(b):.1f}" for a, b in one.points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="var(--c{number})" stroke-width="2"/>')
        for a, b in one.points:
            told = f"{one.name}: {_number(a, x.percent)} → {_number(b, y.percent)}"
            parts.append(_dot(frame.x(a), frame.y(b), 2, f"var(--c{number})", told))
        if one.marked is not None:
            parts.append(_marked(frame, one, number, y))
    return _svg("".join(parts), f"{y.name} / {x.name}")


def bars(
    heights: Sequence[tuple[str, float]],
    x: Axis,
    y: Axis,
    *,
    ghost: Sequence[tuple[float, float]] = (),
    zero: int | None = None,
) -> str:
    """Bars side by side, each with its label; `ghost` gives each bar a range that is drawn as a whisker.

    `zero` is the number of the bar that stands out.
    """
    shown = list(heights)[:MOST_BARS]
    most = max([value for _, value in shown] + [high for _, high in ghost], default=1) or 1
    frame = _Frame(0, max(len(shown), 1), _above(most))
    width = (WIDTH - LEFT - RIGHT) / max(len(shown), 1)
    parts = [frame.grid(Axis(x.name), y, ticks=False)]
    every = max(1, -(-len(shown) // 10))
    for number, (label, value) in enumerate(shown):
        left = LEFT + number * width
        top = frame.y(value)
        colour = "var(--c2)" if number == zero else "var(--c1)"
        parts.append(
            f'<rect x="{left + width * 0.12:.1f}" y="{top:.1f}" width="{max(width * 0.76, 1):.1f}" '
            f'height="{max(HEIGHT - BOTTOM - top, 0):.1f}" fill="{colour}" rx="1.5">'
            f"<title>{escape(label)}: {_number(value, y.percent)}</title></rect>"
        )
        if number < len(ghost):
            parts.append(_whisker(left + width / 2, frame.y(ghost[number][0]), frame.y(ghost[number][1])))
        if number % every == 0:
            parts.append(_text(left + width / 2, HEIGHT - BOTTOM + 15, label, "middle"))
    return _svg("".join(parts), f"{y.name} / {x.name}")


@dataclass(frozen=True)
class _Frame:
    """Where values lie on the drawing."""

    low_x: float
    high_x: float
    high_y: float

    def x(self, value: float) -> float:
        return LEFT + (value - self.low_x) / (self.high_x - self.low_x) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - value / self.high_y * (HEIGHT - TOP - BOTTOM)

    def grid(self, x: Axis, y: Axis, *, ticks: bool = True) -> str:
        parts = []
        for step in range(5):
            value = self.high_y * step / 4
            at = self.y(value)
            parts.append(
                f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="var(--line)"/>'
            )
            parts.append(_text(LEFT - 6, at + 4, _number(value, y.percent), "end"))
        if ticks:
            for step in range(5):
                value = self.low_x + (self.high_x - self.low_x) * step / 4
                anchor = "end" if step == 4 else "middle"
                parts.append(_text(self.x(value), HEIGHT - BOTTOM + 15, _number(value, x.percent), anchor))
        parts.append(_text(WIDTH - RIGHT, HEIGHT - 6, x.name, "end"))
        parts.append(_text(4, TOP - 14, y.name, "start"))
        return "".join(parts)


def _marked(frame: _Frame, one: Series, number: int, y: Axis) -> str:
    assert one.marked is not None  # noqa: S101
    a, b = one.points[one.marked]
    at_x, at_y = frame.x(a), frame.y(b)
    anchor = "end" if at_x > WIDTH * 0.6 else "start"
    shift = -10 if anchor == "end" else 10
    below = 16 if number == 1 else 30
    return (
        f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="6" fill="var(--ground)" stroke="var(--c{number})" '
        f'stroke-width="2.5"/>'
        + _text(at_x + shift, at_y + below, f"{one.label} {_number(b, y.percent)}", anchor, strong=True)
    )


def _whisker(x: float, low: float, high: float) -> str:
    return (
        f'<path d="M{x - 3:.1f} {low:.1f}h6m-3 0V{high:.1f}m-3 0h6" stroke="var(--ink)" fill="none" '
        'stroke-width="1" opacity="0.65"/>'
    )


def _dot(x: float, y: float, radius: float, colour: str, told: str) -> str:
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius}"'
    return f'<circle {place} fill="{colour}"><title>{escape(told)}</title></circle>'


def _text(x: float, y: float, text: str, anchor: str, *, strong: bool = False) -> str:
    style = ' font-weight="600" class="ink"' if strong else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(text)}</text>'


def _svg(inside: str, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{inside}</svg>"
    )


def _above(most: float) -> float:
    """A round number not below the greatest value, of which a quarter is round, too."""
    power: float = 10.0 ** floor(log10(most))
    for step in (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10):
        if step * power >= most * 0.9999:
            return step * power
    return 10 * power


def _number(value: float, percent: bool) -> str:
    if percent:
        shown = value * 100
        return f"{shown:.0f}%" if shown >= 10 or shown == 0 else f"{shown:.1f}%"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
