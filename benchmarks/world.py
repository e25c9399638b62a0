"""A made-up shop: skewed like real ones, the same for the same seed.

Out: customers in the order of their keys (bucket, customer_id), each with their purchase lines; and one day's
new lines. 500 products in 20 categories are bought by a Zipf law; a fifth of the customers bought once; two
fifths of the others stopped coming at some time. Times are whole seconds.

Trap: everything is drawn from one stream, so a changed draw changes every later customer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import cached_property
from hashlib import sha256
from random import Random

from smr.tables import dice_of

DAY = 86_400
SHOP_ZONE = timezone(timedelta(hours=8))
OPENED = int(datetime(2024, 11, 22, tzinfo=SHOP_ZONE).timestamp())
TODAY = int(datetime(2026, 11, 22, tzinfo=SHOP_ZONE).timestamp())
"""The day whose new lines are imported begins here; all other purchases are before."""
RUN_AT = datetime(2026, 11, 23, 1, tzinfo=UTC)
"""When the measured run takes place: 09:00 in the shop, the morning after."""

CATEGORIES = (
    "洁面", "面霜", "爽肤水", "精华", "面膜", "防晒", "洗发水", "护发素", "沐浴露", "牙膏",
    "猫粮", "狗粮", "猫砂", "奶粉", "纸尿裤", "湿巾", "咖啡", "茶叶", "洗衣液", "维生素",
)  # fmt: skip
LASTS_DAYS = (45, 40, 50, 35, 28, 60, 42, 48, 30, 26, 24, 27, 21, 22, 20, 25, 23, 55, 38, 33)
PER_CATEGORY = 25
NAMES = ("小林", "Ana", "阿杰", "Ben", "晓雯", "Cleo", "老周", "Dana", "佳怡", "Eli")
QUANTITIES = (1, 1, 1, 1, 1, 1, 2, 1, 1, 3)

Line = tuple[str, str, int, int, int, int]
"""order_id, product_id, line_no, purchased_at, quantity, amount (minor units)."""


@dataclass(frozen=True)
class Product:
    """A product of the shop; its price in minor units."""

    product_id: str
    name: str
    category: str
    price: int


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer's key and what the shop knows of them."""

    bucket: int
    customer_id: str
    dice: int
    name: str
    has_address: bool


@dataclass(frozen=True)
class NewLine:
    """One line of the day's import."""

    customer_id: str
    line: Line


@dataclass(frozen=True)
class World:
    """A shop of about that size; `lines` is met within one in a hundred."""

    customers: int
    lines: int
    seed: int = 20261123

    @cached_property
    def products(self) -> tuple[Product, ...]:
        """All products, 25 in each category, the most bought first."""
        draw = Random(self.seed)
        return tuple(
            Product(f"P{c:02d}{n:02d}", f"{category}{n + 1}号", category, 100 * draw.randint(9, 299) + 90)
            for c, category in enumerate(CATEGORIES)
            for n in range(PER_CATEGORY)
        )

    @cached_property
    def keys(self) -> list[tuple[int, str]]:
        """(bucket, customer_id) of all customers, in order."""
        return sorted(_key(number) for number in range(self.customers))

    def shoppers(self) -> Iterator[tuple[Customer, list[Line]]]:
        """Every customer with their lines before TODAY, in the order of the tables' keys."""
        draw = Random(self.seed + 1)
        habits = _Habits(self.products, draw)
        more = self._orders_per_regular()
        order = 0
        for bucket, customer_id in self.keys:
            lines = habits.history(order, more)
            order += 1 + (int(lines[-1][0]) - order if lines else 0)
            name = NAMES[int(draw.random() * len(NAMES))]
            yield Customer(bucket, customer_id, dice_of(customer_id), name, draw.random() < 0.97), lines

    def history(self) -> list[NewLine]:
        """All lines before TODAY, oldest first, as a shop would export them; held in memory."""
        found = [NewLine(customer.customer_id, line) for customer, lines in self.shoppers() for line in lines]
        found.sort(key=lambda new: (new.line[3], new.line[0]))
        return found

    def day(self, count: int, begins: int = TODAY) -> list[NewLine]:
        """About `count` lines bought in the day that begins then, oldest first; one order in twenty is a new
        customer's."""
        draw = Random(self.seed + 2)
        habits = _Habits(self.products, draw)
        found: list[NewLine] = []
        newcomer = self.customers
        order = 500_000_000
        while len(found) < count:
            order += 1
            if draw.random() < 0.05:
                newcomer += 1
                customer_id = _key(newcomer)[1]
            else:
                customer_id = self.keys[int(draw.random() * self.customers)][1]
            at = begins + int(draw.random() * DAY)
            found += [NewLine(customer_id, line) for line in habits.order(order, at, habits.favourites())]
        found.sort(key=lambda new: (new.line[3], new.line[0]))
        return found

    def _orders_per_regular(self) -> float:
        """Orders a customer who came back has on average, so that the shop has its number of lines."""
        per_customer = self.lines / self.customers / _LINES_PER_ORDER
        return max(2.0, (per_customer - _ONE_TIME) / (1 - _ONE_TIME))


_ONE_TIME = 0.2
_LINES_PER_ORDER = 1.75
_BASKETS = (1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 4)  # 1.75 on average
_STAY = 0.4  # of the two years: the mean of how long customers keep coming
_FEWEST = 1.6  # two orders, less what cutting to whole numbers takes away
_POOL = 4096


class _Habits:
    """Draws orders: whole lists of weighted picks are made once, then indexed by one random number."""

    def __init__(self, products: tuple[Product, ...], draw: Random) -> None:
        self._random = draw.random
        self._expovariate = draw.expovariate
        by_category = [products[n : n + PER_CATEGORY] for n in range(0, len(products), PER_CATEGORY)]
        weights = [1 / (n + 1) for n in range(PER_CATEGORY)]
        self._baskets = [draw.choices(group, weights, k=_POOL) for group in by_category]
        zipf = [1 / (n + 1) ** 0.7 for n in range(len(CATEGORIES))]
        self._categories = draw.choices(range(len(CATEGORIES)), zipf, k=_POOL)

    def favourites(self) -> list[int]:
        """One to four categories that a customer keeps buying."""
        random, pool = self._random, self._categories
        return [pool[int(random() * _POOL)] for _ in range(1 + int(random() * 4))]

    def history(self, first_order: int, mean: float) -> list[Line]:
        """All lines of one customer, in the order of time; orders are numbered from `first_order` + 1."""
        random = self._random
        span = TODAY - OPENED
        joined = OPENED + int(random() * span)
        if random() < _ONE_TIME:
            return self.order(first_order + 1, joined, self.favourites())
        stayed = TODAY - joined if random() < 0.6 else int((TODAY - joined) * random())
        usual = (mean - _FEWEST) * stayed / (_STAY * span)
        count = 2 + int(self._expovariate(1 / usual)) if usual > 0 else 2
        times = sorted(joined + int(random() * stayed) for _ in range(count))
        favourites = self.favourites()
        found: list[Line] = []
        for number, at in enumerate(times, first_order + 1):
            found += self.order(number, at, favourites)
        return found

    def order(self, number: int, at: int, favourites: list[int]) -> list[Line]:
        """The lines of one order: they share their time; the same product twice is two numbered lines."""
        random = self._random
        order_id = f"{number:09d}"
        lines: list[Line] = []
        for _ in range(_BASKETS[int(random() * 12)]):
            product = self._baskets[favourites[int(random() * len(favourites))]][int(random() * _POOL)]
            quantity = QUANTITIES[int(random() * 10)]
            line_no = 1 + sum(line[1] == product.product_id for line in lines)
            lines.append((order_id, product.product_id, line_no, at, quantity, product.price * quantity))
        lines.sort()
        return lines


def _key(number: int) -> tuple[int, str]:
    customer_id = f"C{number:08d}"
    return int(sha256(customer_id.encode()).hexdigest()[:3], 16), customer_id
