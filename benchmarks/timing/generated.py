"""Purchases of people whose consumption is known, to try the law of quantity and the stock at home on.

Each customer uses each line up at a pace of their own, is away now and then, sometimes buys before it is
needed (a multi-buy on offer adds to what is left), and some change their pace for good or go elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.timing.purchases import day_number

START = day_number("2023-01-01")
DAYS = 3 * 365
PACKS = (1.0, 2.0, 4.0)
LINES = 12
OFFERED = 0.1
"""Multi-buys, as a share of purchases (about)."""


@dataclass(frozen=True)
class Purchase:
    """One purchase: so many packs of so many units."""

    customer: int
    line: int
    day: int
    packs: int
    pack: float


def generate(customers: int = 400, seed: int = 20_261_125) -> list[Purchase]:
    """Three years of purchases, the same for the same seed."""
    rng = np.random.default_rng(seed)
    unit_lasts = np.exp(rng.normal(np.log(20), 0.5, LINES))  # days that one unit lasts the usual customer
    made: list[Purchase] = []
    for customer in range(customers):
        pace = np.exp(rng.normal(0, 0.3))
        usual_gap = rng.uniform(1, 4)  # days between visits to the shop
        away = _away(rng)
        for line in rng.choice(LINES, rng.integers(2, 6), replace=False):
            lasts = unit_lasts[line] * pace * np.exp(rng.normal(0, 0.25))
            made += _one(rng, customer, int(line), float(lasts), float(usual_gap), away)
    return made


def _away(rng: np.random.Generator) -> set[int]:
    """Days on which a customer is not at home: nothing is used, nothing bought."""
    days: set[int] = set()
    for _ in range(rng.integers(0, 6)):
        begins = int(rng.integers(0, DAYS))
        days.update(range(begins, begins + int(rng.integers(7, 29))))
    return days


def _one(
    rng: np.random.Generator, customer: int, line: int, lasts: float, usual_gap: float, away: set[int]
) -> list[Purchase]:
    made: list[Purchase] = []
    left = rng.uniform(0, 2)  # units at home
    usual_pack = rng.choice(len(PACKS), p=(0.45, 0.35, 0.2))
    switches = int(rng.integers(200, DAYS)) if rng.random() < 0.25 else DAYS
    leaves = rng.random() < 0.4
    next_visit = rng.uniform(0, usual_gap)
    reserve = rng.uniform(0, 3)  # buys when so many days are left
    for day in range(DAYS):
        if day == switches:
            if leaves:
                break
            lasts *= rng.choice([0.6, 1.7])
        if day in away:
            next_visit = max(next_visit, day + 1)
            continue
        left = max(0.0, left - np.exp(rng.normal(0, 0.2)) / lasts)
        if day < next_visit:
            continue
        next_visit = day + rng.exponential(usual_gap)
        offered = rng.random() < OFFERED * usual_gap / (lasts * PACKS[usual_pack])
        if left * lasts > reserve and not offered:
            continue
        pack = usual_pack if rng.random() < 0.7 else rng.integers(len(PACKS))
        packs = int(rng.integers(2, 4)) if offered else 1
        left += packs * PACKS[pack]
        made.append(Purchase(customer, line, START + day, packs, PACKS[pack]))
    return made
