"""Real purchases as arrays: one row per customer, line and day, and the cycles that they open and close."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq


def _folder() -> Path:
    """`shared/data` beside the repository, or further up; the files are not part of it."""
    beside = [parent / "shared" / "data" for parent in Path(__file__).resolve().parents[3:]]
    return next((folder for folder in beside if folder.is_dir()), beside[0])


FOLDER = _folder()

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
NEVER = np.int64(1 << 40)
EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Source:
    """One file of purchases and how it is asked: which lines, from which days, for how many days on."""

    file: str
    kind: str  # product | category
    cutoffs: tuple[str, ...]
    horizon: int
    customers: int | None = None  # how many are drawn
    seed: int = 7
    count_products: bool = False  # the file has no quantity: distinct products of a category stand for it

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{self.file} {self.kind}"

    @property
    def path(self) -> Path:
        """The file."""
        return FOLDER / f"{self.file}.parquet"


COOP = ("2012-09-01", "2013-03-01", "2013-09-01", "2014-03-01")
RETAIL = ("2011-03-01", "2011-06-01", "2011-09-01")
GROCERY = ("2006-10-01", "2007-03-01", "2007-09-01")
CDNOW = ("1997-10-01", "1998-01-01", "1998-03-15")
SOURCES = (
    Source("coop100_a", "category", COOP, 56, count_products=True),
    Source("coop100_a", "product", COOP, 56),
    Source("online_retail_a", "category", RETAIL, 84),
    Source("online_retail_a", "product", RETAIL, 84, customers=800),
    Source("grocery_orders", "category", GROCERY, 84),
    Source("cdnow", "category", CDNOW, 84, customers=8000),
)


def day_number(text: str) -> int:
    """Days since 1970 of an ISO day."""
    return (date.fromisoformat(text[:10]) - EPOCH).days


@dataclass(frozen=True)
class Bought:
    """Purchases collapsed to (customer, line, day), sorted so; `pair` numbers the customer and line.

    `next_day` is the day of the pair's next purchase (`NEVER` where there is none), `nth` counts from 0,
    and `key_of` and `customer_of` say of each pair whose it is. `visits` are the days on which a customer
    bought anything, as sorted unique pairs of (customer, day).
    """

    pair: Ints
    day: Ints
    quantity: Floats
    next_day: Ints
    nth: Ints
    key_of: Ints
    customer_of: Ints
    visit_customer: Ints
    visit_day: Ints
    keys: tuple[str, ...]
    customers: tuple[str, ...]

    @property
    def gap(self) -> Ints:
        """Days to the pair's next purchase; huge where there is none."""
        return self.next_day - self.day


def read(source: Source) -> dict[str, npt.NDArray[Any]]:
    """The columns of a file as text and numbers, for the customers drawn from it."""
    table = pq.read_table(
        source.path, columns=["customer_id", "product_id", "category", "quantity", "purchased_at", "order_id"]
    )
    columns = {name: np.asarray(table[name].to_numpy(zero_copy_only=False)) for name in table.column_names}
    for name in ("customer_id", "product_id", "category", "purchased_at", "order_id"):
        columns[name] = columns[name].astype(str)
    if source.customers is not None:
        known = np.unique(columns["customer_id"])
        drawn = np.random.default_rng(source.seed).choice(known, source.customers, replace=False)
        chosen = np.isin(columns["customer_id"], drawn)
        columns = {name: column[chosen] for name, column in columns.items()}
    return columns


def collapse(columns: dict[str, npt.NDArray[Any]], kind: str, *, count_products: bool = False) -> Bought:
    """Sum quantities per customer, line and day; see `Bought`."""
    customers, customer = np.unique(columns["customer_id"], return_inverse=True)
    line = columns["product_id" if kind == "product" else "category"]
    keys, key = np.unique(line, return_inverse=True)
    days, place = np.unique(np.asarray(columns["purchased_at"]).astype("U10"), return_inverse=True)
    day = np.asarray([day_number(text) for text in days], dtype=np.int64)[place]
    quantity = np.asarray(columns["quantity"], dtype=np.float64)
    if count_products:
        seen = np.rec.fromarrays(
            [customer, key, day, np.unique(columns["product_id"], return_inverse=True)[1]]
        )
        _, first = np.unique(seen, return_index=True)
        customer, key, day, quantity = customer[first], key[first], day[first], np.ones(len(first))
    return arrange(customer, key, day, quantity, tuple(keys), tuple(customers))


def arrange(
    customer: Ints, key: Ints, day: Ints, quantity: Floats, keys: tuple[str, ...], customers: tuple[str, ...]
) -> Bought:
    """Purchases of any order as `Bought`."""
    code = customer * len(keys) + key
    order = np.lexsort((day, code))
    code, day, quantity, owner = code[order], day[order], quantity[order], customer[order]
    fresh = np.ones(len(code), dtype=bool)
    fresh[1:] = (code[1:] != code[:-1]) | (day[1:] != day[:-1])
    total = np.add.reduceat(quantity, np.flatnonzero(fresh))
    visits = np.unique(np.stack([owner, day]), axis=1)
    code, day = code[fresh], day[fresh]
    pairs, pair = np.unique(code, return_inverse=True)
    last = np.ones(len(pair), dtype=bool)
    last[:-1] = pair[1:] != pair[:-1]
    next_day = np.where(last, NEVER, np.append(day[1:], NEVER))
    begins = np.flatnonzero(np.append(True, pair[1:] != pair[:-1]))
    nth = np.arange(len(pair)) - begins[pair]
    return Bought(
        pair,
        day,
        total,
        next_day,
        nth,
        pairs % len(keys),
        pairs // len(keys),
        visits[0],
        visits[1],
        keys,
        customers,
    )
