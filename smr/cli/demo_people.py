"""The people of `smr demo --private-domain`: invented customers who buy, chat and read, day by day.

In: a seed. Out: facts of each day, as rows of the files that `smr import` takes. The same seed gives the same
facts, on every machine. How they behave (`HABITS` has the numbers):

* Most are added as friends in the first three weeks; some are old customers with an earlier purchase.
* Each reads Moments on some days, likes a share of what they read, and now and then opens a link.
* Somewhat more than half ever buy. Whoever does keeps to one line; how long one piece lasts differs from
  customer to customer (log-normal around what the catalog says), and who is reminded often buys within days.
* A few write: about prices, presents, their skin; once in a while somebody complains, or asks to be left
  alone.

One of them, 小林, is followed closely: what she does is written down here, but for her second purchase. She
buys again in the morning after a post that fits her was in Moments, if there was one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any

FIRST = date(2026, 3, 2)
"""A Monday; the first day of the story."""
DAYS = 53
HEROINE = "xiaolin"
CLEANSER = "F-1"
Row = dict[str, Any]
Facts = dict[str, list[Row]]
"""Rows by kind of fact."""

PRODUCTS: tuple[tuple[str, str, str, int], ...] = (
    (CLEANSER, "氨基酸温和洁面 150ml", "洁面", 89),
    ("F-2", "控油洁面 120ml", "洁面", 79),
    ("S-1", "神经酰胺修护精华 30ml", "精华", 239),
    ("K-1", "挂耳咖啡 10 片装", "咖啡", 59),
    ("C-1", "全价猫粮 2kg", "猫粮", 129),
)
LASTS = {"洁面": 45, "精华": 60, "咖啡": 15, "猫粮": 24}
"""Days that one piece lasts most customers."""
NAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
GIVEN = (
    "静",
    "敏",
    "佳怡",
    "晓雯",
    "子涵",
    "思琪",
    "雨桐",
    "欣",
    "丽",
    "倩",
    "娜",
    "婷",
    "洁",
    "颖",
    "蕾",
    "瑶",
)
SAID = (
    ("这个多少钱呀，有活动吗", 40),
    ("上次那款还有吗", 25),
    ("想买个送闺蜜的生日礼物", 12),
    ("最近换季脸有点泛红", 10),
    ("收到了，包装很好", 30),
    ("今天好忙", 20),
    ("发错货了，我要投诉", 2),
    ("别再发了，退订", 2),
)
"""What people write, and how often beside the rest."""


@dataclass(frozen=True)
class Habits:
    """How often people do things, by day where nothing else is said."""

    people: int = 80
    old_customers: float = 0.3
    buyers: float = 0.6
    reads: float = 0.25
    likes_of_reads: float = 0.15
    clicks_of_reads: float = 0.06
    writes: float = 0.015
    spread: float = 0.25  # of ln of how long a piece lasts
    heeds: float = 0.5  # who is reminded buys within the three days after
    wecom: float = 0.9
    sms: float = 0.5


HABITS = Habits()


@dataclass(frozen=True)
class Person:
    """One customer: what they keep buying, and how long it lasts them."""

    customer_id: str
    name: str
    friend_on: date
    line: str | None
    product: str
    lasts: int
    wecom: bool
    sms: bool
    birthday: date
    lunar: bool

    @property
    def row(self) -> Row:
        """As the file of customers has it."""
        born = self.birthday
        number = int(self.customer_id[1:]) if self.customer_id[1:].isdigit() else 0
        return {
            "customer_id": self.customer_id,
            "name": self.name,
            "birthday": f"农历{born:%m}-{min(born.day, 29):02}" if self.lunar else born.isoformat(),
            "address.wecom": f"wm_demo_{self.customer_id}",
            "address.sms": f"1990000{number:04}",
            "staff_id": "s1",
            "staff_name": "阿满",
        }

    @property
    def consents(self) -> list[Row]:
        """As the file of consents has them."""
        agreed = [channel for channel, said in (("wecom", self.wecom), ("sms", self.sms)) if said]
        return [
            {
                "customer_id": self.customer_id,
                "channel": channel,
                "granted": "true",
                "decided_at": self.friend_on.isoformat(),
                "purpose": "*",
            }
            for channel in agreed
        ]


@dataclass
class People:
    """Everybody, and what they do each day."""

    seed: int = 7
    habits: Habits = HABITS
    everybody: list[Person] = field(default_factory=list)
    next_buys: dict[str, date] = field(default_factory=dict)
    last_bought: dict[str, date] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.everybody = [_heroine(), *(self._person(number) for number in range(1, self.habits.people + 1))]
        for person in self.everybody[1:]:
            if person.line is not None:
                self.next_buys[person.customer_id] = person.friend_on + timedelta(
                    days=self._lot(person, "first", 9)
                )

    def before(self) -> Facts:
        """What is known before the first day: products, customers, what they agreed to."""
        names = ("product_id", "name", "category", "price")
        return {
            "products": [dict(zip(names, one, strict=True)) for one in PRODUCTS],
            "customers": [person.row for person in self.everybody],
            "consents": [row for person in self.everybody for row in person.consents],
        }

    def day(self, day: date, reminded: Mapping[str, date], read: bool) -> Facts:
        """What happens on a day. `reminded` has the day of each customer's last reminder.

        `read` is whether 小林 saw a post of the shop about what she is running out of, the day before.
        """
        found: Facts = {"purchases": [], "interactions": []}
        for person in self.everybody[1:]:
            self._buy(person, day, reminded, found["purchases"])
            found["interactions"] += self._deeds(person, day)
        for kind, row in _of_heroine(day, read=read):
            found[kind].append(row)
        return {kind: rows for kind, rows in found.items() if rows}

    def _person(self, number: int) -> Person:
        draw = self._draw(f"c{number:03}", "is")
        old = draw.random() < self.habits.old_customers
        line = draw.choice([*LASTS, "洁面"]) if draw.random() < self.habits.buyers else None
        product = draw.choice([one[0] for one in PRODUCTS if one[2] == line]) if line else ""
        return Person(
            f"c{number:03}",
            draw.choice(NAMES) + draw.choice(GIVEN),
            FIRST + timedelta(days=-draw.randint(20, 90) if old else draw.randint(0, 20)),
            line,
            product,
            max(5, round(LASTS.get(line or "", 30) * math.exp(draw.gauss(0, self.habits.spread)))),
            draw.random() < self.habits.wecom,
            draw.random() < self.habits.sms,
            date(1975, 1, 1) + timedelta(days=draw.randint(0, 11_000)),
            draw.random() < 0.2,
        )

    def _buy(self, person: Person, day: date, reminded: Mapping[str, date], rows: list[Row]) -> None:
        """Buys when a piece is used up, or soon after a reminder."""
        wanted = self.next_buys.get(person.customer_id)
        if wanted is None or day < person.friend_on:
            return
        told, last = reminded.get(person.customer_id), self.last_bought.get(person.customer_id, day)
        if told is not None and told >= last and self._heeds(person, told):
            wanted = min(wanted, told + timedelta(days=1 + self._lot(person, str(told), 3)))
        if day < wanted:
            return
        self.next_buys[person.customer_id] = day + timedelta(days=person.lasts)
        self.last_bought[person.customer_id] = day
        price = next(one[3] for one in PRODUCTS if one[0] == person.product)
        rows.append(_purchase(person.customer_id, person.product, price, day, time(12, 15)))

    def _heeds(self, person: Person, told: date) -> bool:
        return self._draw(person.customer_id, f"heeds {told}").random() < self.habits.heeds

    def _deeds(self, person: Person, day: date) -> Iterator[Row]:
        draw, who = self._draw(person.customer_id, str(day)), person.customer_id
        if day == person.friend_on:
            yield _interaction(who, day, time(9, draw.randint(0, 59)), "friend_added")
        if day < person.friend_on:
            return
        if draw.random() < self.habits.reads:
            yield _interaction(who, day, time(20, draw.randint(0, 59)), "moments_read")
            if draw.random() < self.habits.likes_of_reads:
                yield _interaction(who, day, time(21, draw.randint(0, 29)), "moments_like")
            if draw.random() < self.habits.clicks_of_reads:
                yield _interaction(who, day, time(21, draw.randint(30, 59)), "click")
        if draw.random() < self.habits.writes:
            texts, weights = zip(*SAID, strict=True)
            text = draw.choices(texts, weights)[0]
            yield _interaction(who, day, time(19, draw.randint(0, 59)), "chat", text)

    def _lot(self, person: Person, what: str, most: int) -> int:
        return self._draw(person.customer_id, f"lot {what}").randrange(most)

    def _draw(self, who: str, what: str) -> Random:
        """A draw of its own for each customer and occasion: nobody's day depends on another's."""
        return Random(f"{self.seed}/{who}/{what}")  # noqa: S311 - a story, not a secret


def _heroine() -> Person:
    return Person(HEROINE, "小林", FIRST, None, CLEANSER, 45, True, True, date(1994, 6, 8), False)


_DEEDS: tuple[tuple[int, time, str, str], ...] = (
    (0, time(10, 5), "friend_added", ""),
    (6, time(20, 40), "chat", "新洗面奶用着挺舒服，就是最近换季脸有点泛红，会不会过敏呀"),
    (6, time(20, 52), "answer", "先停一停酸类，只用温和洁面加保湿，两三天会好些。"),
    (10, time(21, 10), "moments_read", ""),
    (18, time(20, 35), "moments_read", ""),
    (18, time(20, 36), "moments_like", ""),
    (29, time(20, 50), "moments_read", ""),
)
"""What 小林 does: days after the first, time, kind, words."""


def _of_heroine(day: date, *, read: bool) -> Iterator[tuple[str, Row]]:
    after = (day - FIRST).days
    for when, at, kind, words in _DEEDS:
        if when == after:
            yield "interactions", _interaction(HEROINE, day, at, kind, words)
    if after == 1:
        yield "purchases", _purchase(HEROINE, CLEANSER, 89, day, time(14, 20))
    if read:
        yield "interactions", _interaction(HEROINE, day, time(8, 12), "moments_read")
        yield "purchases", _purchase(HEROINE, CLEANSER, 89, day, time(8, 20))


def _interaction(who: str, day: date, at: time, kind: str, words: str = "") -> Row:
    return {
        "customer_id": who,
        "happened_at": f"{datetime.combine(day, at):%Y-%m-%d %H:%M}",
        "kind": kind,
        "channel": "wecom",
        "content": words,
    }


def _purchase(who: str, product: str, price: int, day: date, at: time) -> Row:
    return {
        "customer_id": who,
        "order_id": f"{day:%m%d}-{who}",
        "product_id": product,
        "quantity": 1,
        "unit_price": price,
        "purchased_at": f"{datetime.combine(day, at):%Y-%m-%d %H:%M}",
    }
