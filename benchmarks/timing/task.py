"""The task: who is to be reminded on which day, and how far off is the date.

A cycle opens with a purchase and closes with the pair's next one. A method scores days of open cycles with
what was known before that day; the first day whose score reaches a bar is the day of the one reminder. The
bar is set so that all methods send equally many, then their hits are counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.timing.purchases import Bought, Floats, Ints

QUIET = 10
"""Days after a purchase within which nobody is reminded."""

WITHIN = 7
"""A reminder on day r is a hit where the next purchase falls in [r, r+7]."""

VOLUMES = (0.1, 0.25, 0.5, 1.0)
"""Reminders, as multiples of the repurchases there were."""


@dataclass(frozen=True)
class Window:
    """The cycles open in [start, end): `row` is the opening purchase, [first, last] the days to decide on."""

    bought: Bought
    start: int
    end: int
    row: Ints
    first: Ints
    last: Ints
    repurchases: int

    def days(self) -> tuple[Ints, Ints]:
        """Every day of every cycle on which a reminder may be decided: (cycle, day)."""
        many = self.last - self.first + 1
        cycle = np.repeat(np.arange(len(many)), many)
        begins = np.cumsum(many) - many
        return cycle, np.arange(len(cycle)) - begins[cycle] + self.first[cycle]


@dataclass(frozen=True)
class Scores:
    """What a method says: a score for some days of some cycles; at most one reminder per cycle follows."""

    cycle: Ints
    day: Ints
    score: Floats


@dataclass(frozen=True)
class Judged:
    """Precision at each of `VOLUMES`, average precision, precision of all that can be sent, and how many."""

    precision: tuple[float, ...]
    average: float
    everything: float
    sent: float

    @property
    def reminders_per_hit(self) -> float:
        """At the main volume."""
        return 1 / self.precision[1] if self.precision[1] else float("inf")


@dataclass(frozen=True)
class DateError:
    """Absolute error in days, where the next purchase came within the horizon."""

    mean: float
    median: float
    within_3: float
    within_7: float


def window(bought: Bought, start: int, horizon: int) -> Window:
    """The cycles to decide on in [start, start + horizon)."""
    end = start + horizon
    first = np.maximum(bought.day + QUIET, start)
    last = np.minimum(bought.next_day, end - 1)
    row = np.flatnonzero(first <= last)
    came = (bought.next_day >= start + WITHIN) & (bought.next_day < end) & (bought.gap >= QUIET)
    return Window(bought, start, end, row, first[row], last[row], int(came.sum()))


def judge(asked: Window, scores: Scores) -> Judged:
    """Count hits at each volume."""
    best = np.full(len(asked.row), -np.inf)
    np.maximum.at(best, scores.cycle, scores.score)
    ranked = np.sort(best[np.isfinite(best)])[::-1]
    steps = np.linspace(0.02, 1.0, 50)
    counts = [max(1, round(share * asked.repurchases)) for share in (*VOLUMES, *steps)]
    hits, sent = zip(*(_hits(asked, scores, ranked, count) for count in counts), strict=True)
    precision = np.asarray(hits) / np.maximum(sent, 1)
    recall = np.asarray(hits[len(VOLUMES) :]) / asked.repurchases
    average = float(np.sum(precision[len(VOLUMES) :] * np.diff(recall, prepend=0.0)) / max(recall[-1], 1e-9))
    everything, many = _hits(asked, scores, ranked, len(ranked))
    return Judged(
        tuple(map(float, precision[: len(VOLUMES)])),
        average,
        everything / max(many, 1),
        many / asked.repurchases,
    )


def _hits(asked: Window, scores: Scores, ranked: Floats, count: int) -> tuple[float, float]:
    """Hits and reminders where `count` cycles may be reminded; ties on the bar count in proportion."""
    if not len(ranked):
        return 0.0, 0.0
    count = min(count, len(ranked))
    bar = ranked[count - 1]
    above, on = _sent(asked, scores, scores.score > bar), _sent(asked, scores, scores.score >= bar)
    if on[1] == above[1]:
        return above
    share = (count - above[1]) / (on[1] - above[1])
    return above[0] + share * (on[0] - above[0]), float(count)


def _sent(asked: Window, scores: Scores, passes: npt.NDArray[np.bool_]) -> tuple[float, float]:
    day = np.full(len(asked.row), np.iinfo(np.int64).max)
    np.minimum.at(day, scores.cycle[passes], scores.day[passes])
    sent = day < np.iinfo(np.int64).max
    hit = asked.bought.next_day[asked.row[sent]] <= day[sent] + WITHIN
    return float(hit.sum()), float(sent.sum())


def date_error(bought: Bought, start: int, horizon: int, days: Floats) -> DateError:
    """How far `days` (a gap for each purchase) is off, for purchases of the window that were followed."""
    asked = (bought.day >= start) & (bought.day < start + horizon) & (bought.gap <= horizon)
    off = np.abs(np.round(days[asked]) - bought.gap[asked])
    return DateError(
        float(off.mean()), float(np.median(off)), float((off <= 3).mean()), float((off <= 7).mean())
    )
