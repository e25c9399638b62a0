"""Charts as SVG text that stands in an HTML page: no script, no font, no file from elsewhere.

In: plain numbers and texts. Out: SVG. Colours are CSS variables of the page (`--ink`, `--faint`, `--line`,
`--card`, `--c1`, `--c2`), so that light and dark pages share one drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 640, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 28, 40
MOST_BARS = 120
SMALL_WIDTH, SMALL_HEIGHT = 400, 175
"""Of a curve beside a text, without the rows of its marks."""

ROW = 17
"""Between two lines of text, one over the other."""


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


@dataclass(frozen=True)
class Mark:
    """What is pointed out on a curve, and in what words: a place on the x axis, a level on the y axis.

    `dot` is the height of a ring where the curve passes the place. The places' labels stand over the curve.
    """

    label: str
    x: float | None = None
    level: float | None = None
    dot: float | None = None
    colour: str = "--ink"


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
    return _svg("".join(parts), f"{y.name} / {x.name}", frame)


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
    return _svg("".join(parts), f"{y.name} / {x.name}", frame)


def curve(
    points: Sequence[tuple[float, float]],
    x: Axis,
    y: Axis,
    *,
    marks: Sequence[Mark] = (),
    shaded: tuple[float, str] | None = None,
) -> str:
    """A small picture of one curve from zero, filled beneath, with its marks.

    `shaded` is up to where from zero the ground is darker, and why.
    """
    # From left to right and downwards, so that no line from a label runs through the one beneath.
    placed = sorted((mark for mark in marks if mark.x is not None), key=lambda mark: mark.x or 0)
    top = TOP + ROW * len(placed)
    heights = [b for _, b in points] + [mark.level or 0 for mark in marks] + [mark.dot or 0 for mark in marks]
    frame = _Frame(
        0,
        4 * max(1, ceil(max([a for a, _ in points] + [mark.x or 0 for mark in placed], default=1) / 4)),
        _above(max(heights, default=1) or 1),
        width=SMALL_WIDTH,
        height=SMALL_HEIGHT + ROW * len(placed),
        top=top,
    )
    parts = [frame.grid(x, y)]
    if shaded is not None:
        parts.append(_ground(frame, *shaded))
    path = " ".join(f"{frame.x(a):.1f},{frame.y(b):.1f}" for a, b in points)
    if points:
        first, last = frame.x(points[0][0]), frame.x(points[-1][0])
        under = f"{first:.1f},{frame.floor:.1f} {path} {last:.1f},{frame.floor:.1f}"
        parts.append(f'<polygon points="{under}" fill="var(--c1)" opacity="0.14"/>')
    parts.append(f'<polyline points="{path}" fill="none" stroke="var(--c1)" stroke-width="2"/>')
    parts += [_stem(frame, mark, TOP + ROW * (row + 0.4)) for row, mark in enumerate(placed)]
    parts += [_level(frame, mark, y) for mark in marks if mark.level is not None]
    # Above all lines, so that no line crosses a label.
    parts += [_over(frame, mark, TOP + ROW * (row + 0.4)) for row, mark in enumerate(placed)]
    return _svg("".join(parts), f"{y.name} / {x.name}", frame)


@dataclass(frozen=True)
class _Frame:
    """Where values lie on the drawing."""

    low_x: float
    high_x: float
    high_y: float
    width: int = WIDTH
    height: int = HEIGHT
    top: int = TOP

    @property
    def floor(self) -> float:
        return self.height - BOTTOM

    def x(self, value: float) -> float:
        return LEFT + (value - self.low_x) / (self.high_x - self.low_x) * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return self.floor - value / self.high_y * (self.floor - self.top)

    def grid(self, x: Axis, y: Axis, *, ticks: bool = True) -> str:
        parts, right = [], self.width - RIGHT
        for step in range(5):
            value = self.high_y * step / 4
            at = self.y(value)
            parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}" stroke="var(--line)"/>')
            parts.append(_text(LEFT - 6, at + 4, _number(value, y.percent), "end"))
        if ticks:
            for step in range(5):
                value = self.low_x + (self.high_x - self.low_x) * step / 4
                anchor = "end" if step == 4 else "middle"
                parts.append(_text(self.x(value), self.floor + 15, _number(value, x.percent), anchor))
        parts.append(_text(self.width - RIGHT, self.height - 6, x.name, "end"))
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


def _ground(frame: _Frame, until: float, why: str) -> str:
    left, right = frame.x(0), frame.x(min(until, frame.high_x))
    return (
        f'<rect x="{left:.1f}" y="{frame.top:.1f}" width="{right - left:.1f}" '
        f'height="{frame.floor - frame.top:.1f}" fill="var(--faint)" opacity="0.18"/>'
        + _text(left + 4, (frame.top + frame.floor) / 2, why, "start")
    )


def _level(frame: _Frame, mark: Mark, y: Axis) -> str:
    assert mark.level is not None  # noqa: S101
    at = frame.y(mark.level)
    told = mark.label if mark.x is None else _number(mark.level, y.percent)
    beside = at + 13 if at < frame.top + ROW else at - 4
    return (
        f'<line x1="{LEFT}" x2="{frame.width - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" '
        f'stroke="var({mark.colour})" stroke-width="1.2" stroke-dasharray="2 3"/>'
        + _text(frame.width - RIGHT, beside, told, "end", strong=True)
    )


def _stem(frame: _Frame, mark: Mark, top: float) -> str:
    assert mark.x is not None  # noqa: S101
    at, dashes = frame.x(mark.x), "" if mark.dot is not None else ' stroke-dasharray="5 3"'
    return (
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top:.1f}" y2="{frame.floor:.1f}" '
        f'stroke="var({mark.colour})" stroke-width="1.5"{dashes}/>'
    )


def _over(frame: _Frame, mark: Mark, top: float) -> str:
    assert mark.x is not None  # noqa: S101
    at = frame.x(mark.x)
    anchor, shift = ("start", 6) if at + 6 + _long(mark.label) < frame.width else ("end", -6)
    ring = ""
    if mark.dot is not None:
        ring = (
            f'<circle cx="{at:.1f}" cy="{frame.y(mark.dot):.1f}" r="5" fill="var(--card)" '
            f'stroke="var({mark.colour})" stroke-width="2.5"/>'
        )
    return ring + _text(at + shift, top + 4, mark.label, anchor, strong=True)


def _long(text: str) -> float:
    """About how wide a strong label is."""
    return sum(7.0 if letter < "\u2e80" else 13.0 for letter in text)


def _whisker(x: float, low: float, high: float) -> str:
    return (
        f'<path d="M{x - 3:.1f} {low:.1f}h6m-3 0V{high:.1f}m-3 0h6" stroke="var(--ink)" fill="none" '
        'stroke-width="1" opacity="0.65"/>'
    )


def _dot(x: float, y: float, radius: float, colour: str, told: str) -> str:
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius}"'
    return f'<circle {place} fill="{colour}"><title>{escape(told)}</title></circle>'


def _text(x: float, y: float, text: str, anchor: str, *, strong: bool = False) -> str:
    # The letters' rim is the ground, so that a line behind them does not cross them out.
    style = (
        ' font-weight="600" class="ink" paint-order="stroke" stroke="var(--card)" stroke-width="5"'
        if strong
        else ""
    )
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(text)}</text>'


def _svg(inside: str, title: str, frame: _Frame) -> str:
    return (
        f'<svg viewBox="0 0 {frame.width} {frame.height}" role="img" aria-label="{escape(title)}">'
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
