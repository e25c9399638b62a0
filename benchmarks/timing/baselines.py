"""What others do, on the same purchases: fixed cycles, personal medians, BG/NBD, Amazon's "Buy It Again".

Statistics of lines and of the shop are frozen at the window's start; a pair's own history runs on.
"""

from __future__ import annotations

import warnings
from bisect import insort

import numpy as np
import numpy.typing as npt
from lifetimes import BetaGeoFitter

from benchmarks.timing.purchases import Bought, Floats, Ints
from benchmarks.timing.task import QUIET, WITHIN, Scores, Window

LOOK_BACK = 730
CONFIDENCE_LEANS = 3.0
LEAST_GAPS = 5
MOST_FITTED = 15_000
STRIDE = 4
"""Days between which the chance of BG/NBD is interpolated, as it changes slowly."""


def fixed_cycle(bought: Bought, start: int, category: Ints, longest: int = 10**6) -> Floats:
    """The median gap of the category (the shop's, where it has few), for every purchase."""
    closed = (bought.next_day < start) & (bought.next_day >= start - LOOK_BACK) & (bought.gap <= longest)
    gap, of = bought.gap[closed], category[bought.key_of[bought.pair[closed]]]
    order = np.argsort(of, kind="stable")
    cycle = np.full(int(category.max()) + 1, np.median(gap))
    for number, gaps in zip(*_groups(of[order], gap[order]), strict=True):
        if len(gaps) >= LEAST_GAPS:
            cycle[number] = np.median(gaps)
    found: Floats = cycle[category[bought.key_of[bought.pair]]]
    return found


def _groups(of: Ints, values: Ints) -> tuple[Ints, list[Ints]]:
    numbers, begins = np.unique(of, return_index=True)
    return numbers, np.split(values, begins[1:])


def personal_median(bought: Bought, otherwise: Floats) -> Floats:
    """The median of the pair's gaps so far; before the first gap, something else."""
    found = otherwise.copy()
    gaps: list[int] = []
    for row in range(1, len(bought.pair)):
        if bought.nth[row] == 0:
            gaps = []
            continue
        insort(gaps, int(bought.gap[row - 1]))
        middle = len(gaps) // 2
        found[row] = gaps[middle] if len(gaps) % 2 else (gaps[middle - 1] + gaps[middle]) / 2
    return found


def dated(window: Window, days: Floats, confidence: Floats | None = None) -> Scores:
    """One reminder per cycle, so many days after its purchase, ranked by confidence where there is one."""
    row = window.row
    day = bought_day(window.bought, row) + np.maximum(np.round(days[row]).astype(np.int64), QUIET)
    sent = (day >= window.first) & (day <= window.last)
    cycle = np.flatnonzero(sent)
    score = np.zeros(len(cycle)) if confidence is None else confidence[row[cycle]]
    return Scores(cycle, day[cycle], score)


def bought_day(bought: Bought, row: Ints) -> Ints:
    """The days of purchases."""
    return bought.day[row]


def learnt_confidence(bought: Bought, start: int, days: Floats) -> Floats:
    """How often such a date was a hit: of the pair so far, leaning on its line, which leans on the shop."""
    due = np.maximum(np.round(days), QUIET)
    tried = bought.gap >= due
    hit = tried & (bought.gap <= due + WITHIN)
    settled = bought.day + due + WITHIN < start
    key = bought.key_of[bought.pair]
    trials = np.bincount(key[settled & tried], minlength=len(bought.keys)).astype(np.float64)
    hits = np.bincount(key[settled & hit], minlength=len(bought.keys)).astype(np.float64)
    shop = hits.sum() / max(trials.sum(), 1)
    of_line = (hits + 10 * shop) / (trials + 10)
    own_trials, own_hits = _before(bought, tried), _before(bought, hit)
    found: Floats = (own_hits + CONFIDENCE_LEANS * of_line[key]) / (own_trials + CONFIDENCE_LEANS)
    return found


def _before(bought: Bought, counted: npt.NDArray[np.bool_]) -> Floats:
    """How many of a pair's earlier purchases count, for each purchase."""
    total: Ints = np.cumsum(counted) - counted
    begins = np.arange(len(total)) - bought.nth
    found: Floats = (total - total[begins]).astype(np.float64)
    return found


def bg_nbd(window: Window) -> Scores:
    """Expected purchases of the next week by BG/NBD: one model for all pairs, fitted at the start."""
    bought, start = window.bought, window.start
    before = bought.day < start
    last = np.zeros(len(bought.key_of), dtype=np.int64)
    last[bought.pair[before]] = np.flatnonzero(before)
    pairs = np.unique(bought.pair[before])
    if len(pairs) > MOST_FITTED:
        pairs = np.random.default_rng(7).choice(pairs, MOST_FITTED, replace=False)
    row = last[pairs]
    first = bought.day[row - bought.nth[row]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = BetaGeoFitter(penalizer_coef=0.001)
        model.fit(bought.nth[row], bought.day[row] - first, start - first)
        cycle, day = window.days()
        chosen = ((day - window.first[cycle]) % STRIDE == 0) | (day == window.last[cycle])
        at, of = day[chosen], window.row[cycle[chosen]]
        first = bought.day[of - bought.nth[of]]
        expected = model.conditional_expected_number_of_purchases_up_to_time(
            7, bought.nth[of], bought.day[of] - first, at - first
        )
    # Days of one cycle stand in a row, so that places can be interpolated throughout.
    score = np.interp(np.arange(len(day)), np.flatnonzero(chosen), np.nan_to_num(np.asarray(expected)))
    return Scores(cycle, day, score)


def buy_it_again(window: Window) -> Scores:
    """The modified Poisson-gamma model of Amazon's "Buy It Again" (Bhagat and others, KDD 2018).

    Rates have a gamma prior per line; a pair's rate is (k + α) / (t + β), and as long as less than two mean
    gaps went by since the last purchase, t is made longer by twice the distance from the mean gap. The chance
    of a purchase within a week is weighed by the share of the line's customers who bought it again.
    """
    bought, start = window.bought, window.start
    before = bought.day < start
    key = bought.key_of[bought.pair]
    count = len(bought.keys)
    customers = np.bincount(key[before & (bought.nth == 0)], minlength=count)
    again = np.bincount(key[before & (bought.nth == 1)], minlength=count)
    overall = again.sum() / max(customers.sum(), 1)
    repeat = (again + 10 * overall) / (customers + 10)
    alpha, beta = _rates(bought, before, key, count)
    cycle, day = window.days()
    row = window.row[cycle]
    first = bought.day[row - bought.nth[row]]
    of, since = key[row], day - bought.day[row]
    spacing = (bought.day[row] - first) / np.maximum(bought.nth[row], 1)
    mean = np.where(bought.nth[row] > 0, spacing, beta[of] / alpha[of])
    longer = np.where(since < 2 * mean, 2 * np.abs(mean - since), 0)
    rate = (bought.nth[row] + alpha[of]) / (day - first + longer + beta[of])
    return Scores(cycle, day, repeat[of] * (1 - np.exp(-7 * rate)))


def _rates(bought: Bought, before: npt.NDArray[np.bool_], key: Ints, count: int) -> tuple[Floats, Floats]:
    """α and β of each line by moments of its pairs' rates; the shop's, where there are few."""
    gaps = before & (bought.nth > 0)
    pair = bought.pair[gaps]
    first = bought.day[np.flatnonzero(gaps) - bought.nth[gaps]]
    rate_of = np.full(len(bought.key_of), np.nan)
    rate_of[pair] = bought.nth[gaps] / np.maximum(bought.day[gaps] - first, 1)
    known = np.flatnonzero(~np.isnan(rate_of))
    rates, of = rate_of[known], bought.key_of[known]
    many = np.bincount(of, minlength=count)
    mean = (np.bincount(of, rates, minlength=count) + 10 * rates.mean()) / (many + 10)
    square = np.bincount(of, (rates - mean[of]) ** 2, minlength=count)
    variance = (square + 10 * rates.var()) / (many + 10)
    return mean**2 / variance, mean / variance
