"""`python -m benchmarks.timing`: when will they run out? smr beside what others do."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import baselines
from benchmarks.timing.generated import generate
from benchmarks.timing.purchases import (
    FOLDER,
    SOURCES,
    Bought,
    Floats,
    Ints,
    Source,
    arrange,
    collapse,
    day_number,
    read,
)
from benchmarks.timing.shop import Facts, Shop, dates
from benchmarks.timing.task import DateError, Judged, date_error, judge, window

SMR = "smr"
TO_REACH = {
    "coop100_a category": 0.605,
    "coop100_a product": 0.495,
    "online_retail_a category": 0.285,
    "online_retail_a product": 0.175,
    "grocery_orders category": 0.66,
    "cdnow category": 0.225,
}
"""Precision of smr at 0.25 R."""


@dataclass(frozen=True)
class Result:
    """One method on one source: means over its cutoffs; what the method does not say is empty."""

    source: str
    method: str
    decision: Judged | None
    date: DateError | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 where smr reaches every figure, else 1."""
    parser = argparse.ArgumentParser(prog="benchmarks.timing", description=__doc__)
    parser.add_argument("--only", action="append", help="only sources whose name has this in it")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    asked = parser.parse_args(arguments)
    chosen = [one for one in SOURCES if _wanted(one.name, asked.only)]
    missing = sorted({one.file for one in chosen if not one.path.is_file()})
    started = time.perf_counter()
    results: list[Result] = []
    for source in chosen:
        if source.file in missing:
            continue
        results += _measured(source)
        _say(source.name, started)
    exponents: dict[str, float] = {}
    if _wanted("generated", asked.only):
        found, exponents = _generated()
        results += found
        _say("generated", started)
    if missing:
        print(f"left out, as {FOLDER} has no {', '.join(missing)}", file=sys.stderr)
    if asked.json:
        print(json.dumps({"results": [asdict(one) for one in results], "exponents": exponents}, indent=2))
    else:
        _print(results, exponents)
    return 0 if all(_reached(one) for one in results) else 1


def _wanted(name: str, only: list[str] | None) -> bool:
    return only is None or any(part in name for part in only)


def _say(what: str, started: float) -> None:
    print(f"{what}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


def _measured(source: Source) -> list[Result]:
    columns = read(source)
    bought = collapse(columns, source.kind, count_products=source.count_products)
    facts = _facts(columns, source)
    category = _categories(bought, columns, source)
    found: dict[str, list[tuple[Judged | None, DateError | None]]] = {}
    shop: Shop | None = None
    with tempfile.TemporaryDirectory() as folder:
        for number, cutoff in enumerate(source.cutoffs):
            start = day_number(cutoff)
            if shop is None or shop.upto > start:
                shop = Shop(Path(folder) / str(number), source.kind, facts)
            for method, decision, date in _methods(bought, start, source.horizon, category, shop):
                found.setdefault(method, []).append((decision, date))
    return [_mean(source.name, method, parts) for method, parts in found.items()]


def _methods(
    bought: Bought, start: int, horizon: int, category: Ints, shop: Shop
) -> Iterator[tuple[str, Judged | None, DateError | None]]:
    asked = window(bought, start, horizon)

    def off(days: Floats) -> DateError:
        return date_error(bought, start, horizon, days)

    cycle = baselines.fixed_cycle(bought, start, category)
    sure = baselines.learnt_confidence(bought, start, cycle)
    yield "fixed cycle, all sent", judge(asked, baselines.dated(asked, cycle)), off(cycle)
    yield "fixed cycle, learnt confidence", judge(asked, baselines.dated(asked, cycle, sure)), None
    short = baselines.fixed_cycle(bought, start, category, horizon)
    yield "fixed cycle of gaps within the horizon", None, off(short)
    own = baselines.personal_median(bought, cycle)
    sure = baselines.learnt_confidence(bought, start, own)
    yield "personal median", judge(asked, baselines.dated(asked, own, sure)), off(own)
    yield "BG/NBD (lifetimes)", judge(asked, baselines.bg_nbd(asked)), None
    yield "Amazon, modified Poisson-gamma", judge(asked, baselines.buy_it_again(asked)), None
    told, scores = shop.walk(bought, asked, start + horizon)
    plainly, within = dates(told, bought, horizon)
    yield SMR, judge(asked, scores), off(np.where(told.known, plainly, cycle))
    yield "smr, given it comes within the horizon", None, off(np.where(told.known, within, cycle))


def _facts(columns: dict[str, Any], source: Source) -> Facts:
    day = np.asarray([day_number(text) for text in columns["purchased_at"]], dtype=np.int64)
    quantity = np.asarray(columns["quantity"], dtype=np.float64)
    rows = np.arange(len(day))
    if source.count_products:
        seen = [columns["customer_id"], columns["product_id"], day.astype(str)]
        _, rows = np.unique(np.rec.fromarrays(seen), return_index=True)
        quantity = np.ones(len(day))
    return Facts(columns, day, quantity, {}).picked(rows)


def _categories(bought: Bought, columns: dict[str, Any], source: Source) -> Ints:
    """The number of each key's category."""
    if source.kind == "category":
        return np.arange(len(bought.keys))
    numbers = np.unique(columns["category"], return_inverse=True)[1]
    of = dict(zip(columns["product_id"].tolist(), numbers.tolist(), strict=True))
    return np.asarray([of[key] for key in bought.keys], dtype=np.int64)


def _generated() -> tuple[list[Result], dict[str, float]]:
    """People whose consumption is known: date error, and the exponent of quantity that is found."""
    made = generate()
    columns = {
        "customer_id": np.asarray([f"c{one.customer}" for one in made]),
        "product_id": np.asarray([f"line {one.line} × {one.pack:g}" for one in made]),
        "category": np.asarray([f"line {one.line}" for one in made]),
        "order_id": np.asarray([f"{one.customer}/{one.day}" for one in made]),
    }
    day = np.asarray([one.day for one in made], dtype=np.int64)
    packs = np.asarray([float(one.packs) for one in made])
    units = {f"line {one.line} × {one.pack:g}": one.pack for one in made}
    facts = Facts(columns, day, packs, units)
    pack = np.asarray([one.pack for one in made])
    customers, customer = np.unique(columns["customer_id"], return_inverse=True)
    keys, key = np.unique(columns["category"], return_inverse=True)
    bought = arrange(customer, key, day, packs * pack, tuple(map(str, keys)), tuple(map(str, customers)))
    start, horizon = int(day.min()) + 840, 120
    category = np.arange(len(keys))
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder) / "shop", "category", facts, lasts="20d")
        found = list(_methods(bought, start, horizon, category, shop))
        exponents = shop.exponents()
    unit = 20.0 * bought.quantity
    found.append(("quantity × the operator's 20 days", None, date_error(bought, start, horizon, unit)))
    return [_mean("generated", method, [(decision, date)]) for method, decision, date in found], exponents


def _mean(source: str, method: str, parts: list[tuple[Judged | None, DateError | None]]) -> Result:
    decisions = [one for one, _ in parts if one is not None]
    errors = [one for _, one in parts if one is not None]
    decision = date = None
    if decisions:
        precision = tuple(float(one) for one in np.mean([one.precision for one in decisions], axis=0))
        rest = np.mean([(one.average, one.everything, one.sent) for one in decisions], axis=0)
        decision = Judged(precision, *map(float, rest))
    if errors:
        date = DateError(*map(float, np.mean([tuple(asdict(one).values()) for one in errors], axis=0)))
    return Result(source, method, decision, date)


def _reached(one: Result) -> bool:
    wanted = TO_REACH.get(one.source)
    return (
        one.method != SMR
        or wanted is None
        or (one.decision is not None and one.decision.precision[1] >= wanted)
    )


def _print(results: list[Result], exponents: dict[str, float]) -> None:
    for source in dict.fromkeys(one.source for one in results):
        wanted = f"   (to reach: smr {TO_REACH[source]:.3f} at 0.25 R)" if source in TO_REACH else ""
        print(f"\n{source}{wanted}")
        print(f"{'':40}   precision at           average   reminders    date error in days   within")
        print(f"{'':40}   0.1 R 0.25 R  0.5 R    1 R  prec.  per hit      mean  median    3 d   7 d")
        for one in (one for one in results if one.source == source):
            print(f"{one.method:40} {_decision(one.decision)}   {_date(one.date)}")
    if exponents:
        values = sorted(exponents.values())
        middle = values[len(values) // 2]
        least, most = values[0], values[-1]
        print(f"\ngenerated: exponent of quantity (true: 1) {least:.2f} to {most:.2f}, median {middle:.2f}")


def _decision(one: Judged | None) -> str:
    if one is None:
        return " " * 46
    return (
        " ".join(f"{share:6.3f}" for share in one.precision)
        + f" {one.average:6.3f} {one.reminders_per_hit:8.2f}   "
    )


def _date(one: DateError | None) -> str:
    return "" if one is None else f"{one.mean:7.2f} {one.median:7.1f}  {one.within_3:.3f} {one.within_7:.3f}"


if __name__ == "__main__":
    sys.exit(main())
