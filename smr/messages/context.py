"""The names a template may use: one list for rendering, for checking, and for the docs.

`NAMES` says of each name what it is, for which triggers it exists, whether it may be missing, an example, and
how long it gets. `<any>` and `<ladder>` in a path stand for one further name. Nothing else is known to a
template: no row, no object, only plain values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

from smr.errors import did_you_mean
from smr.messages.values import money
from smr.playbook.model import TRIGGERS

EVERY = frozenset(TRIGGERS)
BOUGHT = frozenset({"runs_out", "purchase"})
ABOUT = BOUGHT | {"product"}
"""Triggers with a product, whether or not it was bought."""
DATED = frozenset({"runs_out", "date", "festival"})


@dataclass(frozen=True)
class Name:
    """One name: what it is, and what to expect of it.

    `longest` is in characters, for the worst case; `missing` tells that some customers have none.
    """

    path: str
    says: str
    chinese: str
    sample: Any
    longest: int
    missing: bool = False
    triggers: frozenset[str] = EVERY
    varies: bool = True


_known = Name
_maybe = partial(Name, missing=True)
_bought = partial(Name, triggers=BOUGHT)
_maybe_bought = partial(Name, triggers=BOUGHT, missing=True)
_about = partial(Name, triggers=ABOUT)
_maybe_about = partial(Name, triggers=ABOUT, missing=True)
_dated = partial(Name, triggers=DATED)
_same = partial(Name, varies=False)

_ORDER = [{"name": "氨基酸洁面", "quantity": 2}, {"name": "保湿面霜", "quantity": 1}]

_BESIDE = [
    {
        "product": {"id": "SKU-902", "name": "保湿面霜", "category": "面霜", "price": money(12900, "CNY")},
        "purchase": {"date": date(2026, 10, 2), "quantity": 1, "order_id": "A20261002-1"},
        "due": {"date": date(2026, 11, 28), "days": 5, "in_words": "5天后"},
        "offer": {"id": "SKU-902", "name": "保湿面霜", "is_substitute": False},
    }
]

NAMES: tuple[Name, ...] = (
    _known("customer.id", "the customer's id", "客户编号", "c1024", 40),
    _maybe("customer.name", "the customer's name", "客户姓名", "小林", 20),
    _maybe("customer.gender", "as imported", "性别", "female", 10),
    _maybe("customer.birthday", "a date", "生日", date(1992, 5, 1), 10),
    _maybe(
        "customer.lunar_birthday",
        "the birthday in the lunar calendar, as a text",
        "农历生日",
        "八月十五",
        6,
    ),
    _maybe("customer.locale", "language and country, such as zh or en-GB", "语言", "zh", 8),
    _maybe("customer.zone", "the customer's time zone", "时区", "Asia/Shanghai", 30),
    _maybe("customer.staff", "the name of the staff who owns the customer", "导购姓名", "王店长", 20),
    _maybe("customer.store", "the name of the customer's store", "门店", "南京西路店", 40),
    _known("customer.tags", "a list of the customer's tags", "标签", ["敏感肌", "会员"], 60),
    _maybe("customer.attributes.<any>", "an attribute as imported", "自定义属性", "油性", 40),
    _maybe("customer.stage.<ladder>", "the stage on a ladder", "所处阶段", "成熟期", 20),
    _about("product.id", "the product's id", "商品编号", "SKU-881", 40),
    _about("product.name", "the product's name", "商品名", "氨基酸洁面", 60),
    _maybe_about("product.category", "its category", "类目", "洁面", 20),
    _maybe_about("product.price", "its price now, as money", "现价", money(8900, "CNY"), 12),
    Name(
        "product.price_before",
        "its price before it dropped, as money",
        "降价前的价",
        money(9900, "CNY"),
        12,
        missing=True,
        triggers=frozenset({"product"}),
    ),
    _about(
        "offer.id",
        "what is offered: the product, or a substitute while it is out of stock",
        "推荐商品编号",
        "SKU-881",
        40,
    ),
    _about("offer.name", "its name", "推荐商品名", "氨基酸洁面", 60),
    _maybe_about("offer.price", "its price now, as money", "推荐商品现价", money(8900, "CNY"), 12),
    _about("offer.is_substitute", "whether it is a substitute", "是否替代品", True, 5),
    _bought("purchase.date", "the day it was bought", "购买日期", date(2026, 10, 20), 10),
    _bought("purchase.quantity", "how many were bought", "购买数量", 2, 6),
    _maybe_bought("purchase.price", "the price of one, as money", "成交单价", money(7900, "CNY"), 12),
    _maybe_bought("purchase.amount", "the price of all, as money", "成交金额", money(15800, "CNY"), 12),
    _bought("purchase.order_id", "the order's number", "订单号", "A20261020-7", 40),
    _bought("purchase.products", "a list: name and quantity of all in the order", "同单商品", _ORDER, 120),
    _dated(
        "due.date",
        "the day it runs out, or of the date or festival",
        "到期日",
        date(2026, 11, 26),
        10,
    ),
    _dated("due.days", "days from today to it; below 0: past", "距到期天数", 3, 4),
    _dated("due.in_words", "the same in words: tomorrow, in 3 days", "距今多久", "3天后", 13),
    Name(
        "bundle",
        "a list: the other products of a bundle, each with product, purchase, due and offer",
        "合并提醒的其他商品",
        _BESIDE,
        120,
        triggers=frozenset({"runs_out"}),
    ),
    Name("festival.name", "the festival", "节日", "中秋", 20, triggers=frozenset({"festival"}), varies=False),
    _known("reorder.url", "the link to buy again", "复购链接", "https://shop.example/r/SKU-881", 120),
    _same("shop.name", "the shop's name", "店名", "示例小店", 20),
    _maybe("staff.name", "the same as customer.staff", "导购姓名", "王店长", 20),
    _same("playbook.title", "the playbook's title", "剧本名称", "洁面到期补货", 40),
    _same("playbook.name", "the playbook's name", "剧本标识", "cleanser-refill", 40),
    _same("step.name", "the step's name", "步骤名", "heads_up", 40),
    _known("message.id", "the message's id", "消息编号", "0f3" + "a" * 29, 32),
    _known("language", "zh or en: the customer's, else the shop's", "语言", "zh", 2),
    _same("today", "the shop's day today", "今天", date(2026, 11, 23), 10),
)
"""Every name a playbook's templates may use."""

BY_PATH = {name.path: name for name in NAMES}
ROOTS = frozenset(name.path.split(".")[0] for name in NAMES)


def find(path: str) -> Name | None:
    """The name that a dotted path stands for; None where there is no such name."""
    found = BY_PATH.get(path)
    if found is not None:
        return found
    parts = path.split(".")
    if parts[:2] == ["customer", "attributes"] and len(parts) >= 3:
        return BY_PATH["customer.attributes.<any>"]
    if parts[:2] == ["customer", "stage"] and len(parts) == 3:
        return BY_PATH["customer.stage.<ladder>"]
    return None


def hint(path: str, ladders: Iterable[str] = ()) -> str:
    """What to write instead of a path that is not known."""
    known = [name.path for name in NAMES if "<" not in name.path]
    known += [f"customer.stage.{ladder}" for ladder in ladders]
    inside = [name for name in known if name.startswith(path + ".")]
    if inside:
        return f"name one of its parts: {', '.join(inside[:12])}"
    parts = path.split(".")
    if parts[0] in ROOTS and len(parts) > 1:
        siblings = [name for name in known if name.startswith(parts[0] + ".")]
        return did_you_mean(path, siblings)
    if path in {name.rpartition(".")[2] for name in known}:
        return f"did you mean {next(name for name in known if name.endswith('.' + path))!r}?"
    return did_you_mean(path, known)


def sample(names: Iterable[str], language: str = "zh") -> dict[str, Any]:
    """Plain example values for these names, for a trial rendering."""
    made: dict[str, Any] = {"language": language, "today": BY_PATH["today"].sample, "currency": "CNY"}
    for path in sorted(names):
        found = find(path)
        if found is not None:
            _put(made, path.split("."), found.sample)
    return made


def _put(made: dict[str, Any], parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        made = made.setdefault(part, {})
        if not isinstance(made, dict):
            return
    made.setdefault(parts[-1], value)
