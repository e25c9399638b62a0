"""One customer's timeline: what they did, what smr made of it, what it sent, and what it kept back.

In: a connection, a customer. Out: entries in the order of time, each with a kind and plain words, in
the shop's language. Everything is read from the tables; nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr.messages.values import money
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import (
    bucket_of,
    candidates,
    interactions,
    mentions,
    messages,
    products,
    purchases,
    refunds,
    stages,
    tags,
)
from smr.words import reason_in

KINDS = {
    "en": {
        "bought": "buys",
        "gave_back": "returns",
        "did": "does",
        "said": "says",
        "staff": "staff",
        "heard": "heard",
        "tagged": "tag",
        "stage": "stage",
        "sent": "sent",
        "kept_back": "kept back",
    },
    "zh": {
        "bought": "买",
        "gave_back": "退",
        "did": "做",
        "said": "说",
        "staff": "导购",
        "heard": "听出",
        "tagged": "标签",
        "stage": "阶段",
        "sent": "发",
        "kept_back": "没发",
    },
}
"""What each kind of entry is called."""
DEEDS = {
    "moments_read": ("reads Moments", "看朋友圈"),
    "moments_like": ("likes a post in Moments", "点赞朋友圈"),
    "moments_comment": ("comments in Moments", "评论朋友圈"),
    "click": ("opens a link", "点开链接"),
    "group_joined": ("joins a group", "入群"),
    "group_left": ("leaves a group", "退群"),
    "visit": ("visits the mini-program", "逛小程序"),
    "live": ("watches a live show", "看直播"),
    "friend_added": ("is added as a friend", "加好友"),
    "friend_deleted": ("deletes the shop as a friend", "删好友"),
}
WORTH_TELLING = (
    *("bought_already", "stopped", "refunded", "superseded"),
    *("frequency_cap", "sensitive", "out_of_stock"),
)
"""Reasons of what was kept back that tell something about the customer."""
SENT = ("sent", "delivered", "with_staff")


@dataclass(frozen=True)
class Entry:
    """Something at an instant: its kind, the words, and what stands beside them."""

    at: datetime
    kind: str
    words: str
    beside: str = ""


def timeline(
    connection: Connection, library: Library, settings: Settings, customer: str, *, until: datetime
) -> list[Entry]:
    """Everything about one customer up to an instant, in order."""
    ask = _Ask(connection, library, settings, customer)
    found = [*ask.purchases(), *ask.refunds(), *ask.interactions(), *ask.mentions(), *ask.tags()]
    found += [*ask.stages(), *ask.messages(), *ask.kept_back(until)]
    order = list(KINDS["en"])
    return sorted((one for one in found if one.at <= until), key=lambda one: (one.at, order.index(one.kind)))


@dataclass(frozen=True)
class _Ask:
    connection: Connection
    library: Library
    settings: Settings
    customer: str

    def words(self, english: str, chinese: str) -> str:
        """In the shop's language."""
        return chinese if self.settings.shop.language == "zh" else english

    def rows(self, table: sa.Table, *columns: Any, join: Any = None, where: Any = None) -> Iterator[Any]:
        """The customer's rows of a table."""
        mine = sa.and_(table.c.bucket == bucket_of(self.customer), table.c.customer_id == self.customer)
        select = sa.select(*columns).select_from(table if join is None else join).where(mine)
        yield from self.connection.execute(select if where is None else select.where(where))

    def purchases(self) -> Iterator[Entry]:
        line = purchases.c
        joined = purchases.outerjoin(products, products.c.product_id == line.product_id)
        asked = (
            line.purchased_at,
            line.product_id,
            line.quantity,
            line.amount,
            line.currency,
            products.c.name,
        )
        for at, product_id, quantity, amount, currency, name in self.rows(purchases, *asked, join=joined):
            count = "" if quantity == 1 else f" × {quantity:g}"
            usual = currency or self.settings.shop.currency
            paid = "" if amount is None else f"{money(amount, usual)} {usual}"
            yield Entry(at, "bought", f"{name or product_id}{count}", paid)

    def refunds(self) -> Iterator[Entry]:
        for at, product_id in self.rows(refunds, refunds.c.refunded_at, refunds.c.product_id):
            yield Entry(at, "gave_back", product_id)

    def interactions(self) -> Iterator[Entry]:
        asked = (interactions.c.happened_at, interactions.c.kind, interactions.c.content)
        for at, kind, content in self.rows(interactions, *asked):
            if content:
                yield Entry(at, "staff" if kind == "answer" else "said", content)
            else:
                yield Entry(at, "did", self.words(*DEEDS.get(kind, (kind, kind))))

    def mentions(self) -> Iterator[Entry]:
        for at, topic, word in self.rows(mentions, mentions.c.happened_at, mentions.c.topic, mentions.c.word):
            yield Entry(at, "heard", topic, self.words(f"by the word {word}", f"关键词：{word}"))

    def tags(self) -> Iterator[Entry]:
        zone = self.settings.shop.tz
        for at, tag, until in self.rows(tags, tags.c.set_at, tags.c.tag, tags.c.expires_at):
            day = "" if until is None else f"{until.astimezone(zone):%Y-%m-%d}"
            yield Entry(at, "tagged", tag, self.words(f"until {day}", f"到 {day}") if day else "")

    def stages(self) -> Iterator[Entry]:
        for at, ladder, stage in self.rows(stages, stages.c.entered_at, stages.c.ladder, stages.c.stage):
            yield Entry(at, "stage", stage, ladder)

    def messages(self) -> Iterator[Entry]:
        m = messages.c
        where = sa.and_(m.state.in_(SENT), m.sent_at.is_not(None))
        for at, channel, body, playbook in self.rows(
            messages, m.sent_at, m.channel, m.body, m.playbook, where=where
        ):
            yield Entry(at, "sent", body, f"{channel} · {self.title(playbook)}")

    def kept_back(self, until: datetime) -> Iterator[Entry]:
        c = candidates.c
        where = sa.and_(c.queued_at.is_(None), c.reason.in_(WORTH_TELLING), c.due_at <= until)
        for at, playbook, step, reason in self.rows(
            candidates, c.due_at, c.playbook, c.step, c.reason, where=where
        ):
            why = reason_in(self.settings.shop.language, reason)
            yield Entry(at, "kept_back", f"{self.title(playbook)} / {step}", why)

    def title(self, playbook: str) -> str:
        known = (one.shown for one in self.library.playbooks if one.name == playbook)
        return next(known, playbook)
