"""The operator's side of the benchmark: a shop's configuration and 20 refill playbooks, one for each
category.

Every text has eight variables, one loop and one filter. Whoever ordered at least twice in 180 days is
written to, at most once in seven days over all playbooks. The references get the same rules as `Rules`, as
plain values.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.world import CATEGORIES, DAY, LASTS_DAYS, SHOP_ZONE

SHOP_NAME = "暖心小铺"
REORDER_URL = "https://shop.example/again?p={product_id}&c={customer_id}"
ORDERS_WITHIN = 180 * DAY
CAP_SPAN = 7 * DAY
STEP = "on_due"

TEMPLATE = """\
{{ customer.name }}您好,这里是{{ shop.name }}。您{{ purchase.date | day }}买的\
{{ product.name }}({{ product.category }},\
共{{ purchase.quantity }}件)快用完了,现在回购有三份礼:
{% for gift in ["旅行装", "满减券", "包邮卡"] %}· {{ gift }}
{% endfor %}一键回购:{{ reorder.url }}(会员号 {{ customer.id }})
"""


@dataclass(frozen=True)
class Rules:
    """What the references need to know; times in whole seconds. `due_from` is exclusive, `due_before` too."""

    now: int
    due_from: int
    due_before: int
    orders_since: int
    capped_since: int
    useful_for: int
    step: str
    shop: str
    reorder_url: str
    template: str
    playbooks: list[tuple[str, str, int]]  # name, category, priority; in the order of judging


def rules(now: datetime, useful_for: int) -> Rules:
    """The rules of a run at `now` with steps useful for so many seconds."""
    at = int(now.timestamp())
    midnight = now.astimezone(SHOP_ZONE).replace(hour=0, minute=0, second=0)
    return Rules(
        now=at,
        due_from=at - useful_for,
        due_before=int(midnight.timestamp()) + DAY,
        orders_since=at - ORDERS_WITHIN,
        capped_since=at - CAP_SPAN,
        useful_for=useful_for,
        step=STEP,
        shop=SHOP_NAME,
        reorder_url=REORDER_URL,
        template=TEMPLATE,
        playbooks=[(_name(n), category, _priority(n)) for n, category in enumerate(CATEGORIES)],
    )


def write_rules(path: Path, found: Rules) -> Path:
    """The rules as a JSON file, for a reference's process."""
    path.write_text(json.dumps(asdict(found), ensure_ascii=False), encoding="utf-8")
    return path


def read_rules(path: str) -> Rules:
    """The rules from that file."""
    return Rules(**json.loads(Path(path).read_text(encoding="utf-8")))


def write_shop(folder: Path, *, live: bool, useful_for: int) -> Path:
    """The configuration and its playbooks in that folder; the path of the configuration."""
    books = folder / "playbooks"
    books.mkdir(parents=True, exist_ok=True)
    (books / "catalog.yaml").write_text(_catalog(), encoding="utf-8")
    (books / "again.txt").write_text(TEMPLATE, encoding="utf-8")
    for number, category in enumerate(CATEGORIES):
        text = _playbook(number, category, live=live, useful_for=useful_for)
        (books / f"{_name(number)}.yaml").write_text(text, encoding="utf-8")
    config = folder / "config.yaml"
    config.write_text(_config(folder), encoding="utf-8")
    return config


def _name(number: int) -> str:
    return f"refill-{number + 1:02d}"


def _priority(number: int) -> int:
    return 90 - number


def _catalog() -> str:
    spans = zip(CATEGORIES, LASTS_DAYS, strict=True)
    lines = [f"    {category}: {{lasts: {days}d, learn: false}}" for category, days in spans]
    return "track: category\ncycles:\n  categories:\n" + "\n".join(lines) + "\n"


def _playbook(number: int, category: str, *, live: bool, useful_for: int) -> str:
    return f"""\
name: {_name(number)}
title: {category}回购
status: {"live" if live else "draft"}
priority: {_priority(number)}
trigger: {{runs_out: {{category: {category}}}}}
who: {{orders: {{within: {ORDERS_WITHIN // DAY}d, at_least: 2}}}}
steps:
  - name: {STEP}
    send: on due
    via: wecom
    template: again.txt
    useful_for: {useful_for // 60}m
stop_when: [{{purchase: {{category: {category}}}}}]
goal: {{purchase: {{category: {category}}}, within: 14d}}
"""


def _config(folder: Path) -> str:
    return f"""\
shop: {{name: {SHOP_NAME}, zone: Asia/Shanghai, language: zh, reorder_url: "{REORDER_URL}"}}
playbooks: {folder / "playbooks"}
policy: {{caps: [1 per {CAP_SPAN // DAY}d]}}
files: {{folder: {folder / "outbox"}}}
import: {{rejects_folder: {folder / "rejects"}}}
"""
