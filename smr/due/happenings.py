"""Triggers that wait for something to happen to a customer: where it is written down, and when it was.

Each gives SELECTs with the customer, the anchor and its instant, in the slice `:low`..`:high` and the window
`:since`..`:until`, and the instant the steps count from. Whoever came into a segment because it was written
down anew has not done anything: such comings are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.conditions import Who
from smr.conditions.model import Goods
from smr.conditions.purchases import NOW, kept, of_goods
from smr.events import SPOKEN
from smr.playbook.model import (
    GaveBack,
    Happening,
    Interacted,
    OnProduct,
    ProductNews,
    SegmentChange,
    SegmentChanged,
    Silent,
    StageChange,
    StageChanged,
    TagAdded,
)
from smr.tables import (
    buyers,
    interactions,
    members,
    mentions,
    named,
    product_changes,
    products,
    purchases,
    refunds,
    sortings,
    stages,
    tags,
    visitors,
)

LOW = sa.bindparam("low", type_=sa.Integer)
HIGH = sa.bindparam("high", type_=sa.Integer)
SINCE = sa.bindparam("since", type_=sa.BigInteger)
UNTIL = sa.bindparam("until", type_=sa.BigInteger)

Happened = tuple[Any, ColumnElement[Any]]
"""A source of candidates, and the instant its steps count from."""


def happenings(trigger: Any) -> Iterator[Happened]:
    """Where what a trigger waits for is written down."""
    match trigger:
        case SegmentChanged(segment=wanted):
            yield _segment(wanted)
        case StageChanged(stage=wanted):
            yield _stage(wanted)
        case TagAdded(tag=names):
            yield _tag(names)
        case Interacted(interaction=wanted):
            yield _interaction(wanted)
        case GaveBack(refund=goods):
            yield _refund(goods)
        case OnProduct(product=wanted):
            yield _product(wanted)
        case Silent(silence=wanted):
            yield from _silence(wanted.for_)


def _seconds(column: Any) -> ColumnElement[Any]:
    return sa.type_coerce(column, sa.BigInteger)


def _anchor(name: ColumnElement[Any], at: ColumnElement[Any]) -> ColumnElement[Any]:
    return (name + "@" + sa.cast(at, sa.Text)).label("anchor")


def _in_window(source: Any, at: ColumnElement[Any]) -> ColumnElement[bool]:
    return sa.and_(source.c.bucket.between(LOW, HIGH), at > SINCE, at <= UNTIL)


def _given(select: sa.Select[Any]) -> Happened:
    found = select.subquery("happened")
    return found, found.c.anchor_at


def _not_by_definition(what: ColumnElement[Any], at: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether it did not come from the definition being written down anew at that very instant."""
    anew = sa.select(sa.literal(1)).where(sortings.c.what == what, sortings.c.now_at == at)
    return sa.not_(anew.correlate_except(sortings).exists())


def _segment(wanted: SegmentChange) -> Happened:
    row = named(members, "stay")
    names = wanted.entered or wanted.left or ()
    at = _seconds(row.c.entered_at if wanted.entered else row.c.left_at)
    select = sa.select(row.c.bucket, row.c.customer_id, _anchor(row.c.segment, at), at.label("anchor_at"))
    by_itself = _not_by_definition(sa.literal("segment:", sa.Text) + row.c.segment, at)
    return _given(select.where(row.c.segment.in_(names), _in_window(row, at), by_itself))


def _stage(wanted: StageChange) -> Happened:
    row = named(stages, "step_up")
    at = _seconds(row.c.entered_at)
    where = [row.c.ladder == wanted.ladder, row.c.stage.in_(wanted.to), _in_window(row, at)]
    where.append(_not_by_definition(sa.literal(f"ladder:{wanted.ladder}", sa.Text), at))
    if wanted.from_ is not None:
        before = named(stages, "step_before")
        left = sa.and_(Who.of(row).owns(before), before.c.ladder == row.c.ladder, before.c.left_at == at)
        came_from = sa.select(sa.literal(1)).where(left, before.c.stage.in_(wanted.from_))
        where.append(came_from.correlate(row).exists())
    columns = (row.c.bucket, row.c.customer_id, _anchor(row.c.stage, at), at.label("anchor_at"))
    return _given(sa.select(*columns).where(*where))


def _tag(names: tuple[str, ...]) -> Happened:
    """One per tag and instant, whatever its sources."""
    row = named(tags, "set_tag")
    at = _seconds(row.c.set_at)
    by_itself = sa.or_(
        row.c.source != "rule", _not_by_definition(sa.literal("tag:", sa.Text) + row.c.tag, at)
    )
    select = (
        sa.select(row.c.bucket, row.c.customer_id, _anchor(row.c.tag, at), at.label("anchor_at"))
        .where(row.c.tag.in_(names), _in_window(row, at), by_itself)
        .distinct()
    )
    return _given(select)


def _interaction(wanted: Happening) -> Happened:
    """Whoever did it in the window did something in it: visitors lead to them."""
    deed = named(interactions, "happening")
    at = _seconds(deed.c.happened_at)
    kinds = [str(kind) for kind in (wanted.what or SPOKEN)]
    where = [
        visitors.c.bucket.between(LOW, HIGH),
        _seconds(visitors.c.last_interacted_at) > SINCE,
        at > SINCE,
        at <= UNTIL,
        deed.c.kind.in_(kinds),
    ]
    if wanted.channel is not None:
        where.append(deed.c.channel.in_(wanted.channel))
    if wanted.topic is not None:
        said = named(mentions, "spoken_of")
        same = sa.and_(Who.of(deed).owns(said), said.c.interaction_id == deed.c.interaction_id)
        spoken = sa.select(sa.literal(1)).where(same, said.c.topic.in_(wanted.topic))
        where.append(spoken.correlate(deed).exists())
    columns = (
        deed.c.bucket,
        deed.c.customer_id,
        deed.c.interaction_id.label("anchor"),
        at.label("anchor_at"),
    )
    joined = visitors.join(deed, Who.of(visitors).owns(deed))
    return _given(sa.select(*columns).select_from(joined).where(*where))


def _refund(goods: Goods) -> Happened:
    """One per refund, whatever its lines."""
    row = named(refunds, "gave_back")
    at = _seconds(row.c.refunded_at)
    select = (
        sa.select(
            row.c.bucket,
            row.c.customer_id,
            row.c.refund_id.label("anchor"),
            sa.func.min(at).label("anchor_at"),
        )
        .where(_in_window(row, at), *of_goods(row.c.product_id, goods))
        .group_by(row.c.bucket, row.c.customer_id, row.c.refund_id)
    )
    return _given(select)


def product_news(wanted: ProductNews) -> sa.Select[Any]:
    """The changes of products in the window that are such news, and still hold."""
    change, now = named(product_changes, "news"), named(products, "now")
    at = _seconds(change.c.changed_at)
    where = [at > SINCE, at <= UNTIL, at <= NOW, *of_goods(change.c.product_id, wanted)]
    if wanted.what == "back_in_stock":
        where += [change.c.what == "stock", change.c.in_stock.is_(sa.true())]
        where += [change.c.in_stock_before.is_(sa.false()), now.c.in_stock.is_not(sa.false())]
    else:
        # In whole per mille: both sides are integers on every engine.
        left = 1000 - round(1000 * (wanted.by or 0))
        where += [change.c.what == "price", change.c.price < change.c.price_before]
        where += [change.c.price * 1000 <= change.c.price_before * left, now.c.price <= change.c.price]
    joined = change.join(now, now.c.product_id == change.c.product_id)
    return sa.select(change.c.product_id, at.label("changed_at")).select_from(joined).where(*where)


def _product(wanted: ProductNews) -> Happened:
    """One per change and customer, whatever drew them to the product."""
    news = product_news(wanted).subquery("news_of")
    parts = {"bought": _bought_it, "looked": _looked_at_it, "asked": _asked_about_it}
    drawn = sa.union(*(parts[name](news, wanted.within) for name in dict.fromkeys(wanted.interested)))
    found = drawn.subquery("drawn")
    at = found.c.anchor_at
    columns = (found.c.bucket, found.c.customer_id, _anchor(found.c.product_id, at), at, found.c.product_id)
    return _given(sa.select(*columns))


def _bought_it(news: Any, within: int) -> sa.Select[Any]:
    line = named(purchases, "drawn_line")
    at, changed_at = _seconds(line.c.purchased_at), news.c.changed_at
    joined = buyers.join(line, Who.of(buyers).owns(line)).join(news, news.c.product_id == line.c.product_id)
    return _drawn(line, news, joined).where(
        buyers.c.bucket.between(LOW, HIGH),
        _seconds(buyers.c.last_purchased_at) > SINCE - within,
        at > changed_at - within,
        at <= changed_at,
        kept(line),
    )


def _looked_at_it(news: Any, within: int) -> sa.Select[Any]:
    return _did(news, within, spoken=False)


def _asked_about_it(news: Any, within: int) -> sa.Select[Any]:
    return _did(news, within, spoken=True)


def _did(news: Any, within: int, *, spoken: bool) -> sa.Select[Any]:
    deed, kinds = named(interactions, "drawn_deed"), [str(kind) for kind in SPOKEN]
    at, changed_at = _seconds(deed.c.happened_at), news.c.changed_at
    same = news.c.product_id == deed.c.attributes["product_id"].as_string()
    joined = visitors.join(deed, Who.of(visitors).owns(deed)).join(news, same)
    return _drawn(deed, news, joined).where(
        visitors.c.bucket.between(LOW, HIGH),
        _seconds(visitors.c.last_interacted_at) > SINCE - within,
        at > changed_at - within,
        at <= changed_at,
        deed.c.kind.in_(kinds) if spoken else deed.c.kind.not_in(kinds),
    )


def _drawn(row: Any, news: Any, joined: Any) -> sa.Select[Any]:
    columns = (row.c.bucket, row.c.customer_id, news.c.product_id, news.c.changed_at.label("anchor_at"))
    return sa.select(*columns).select_from(joined)


def _silence(span: int) -> Iterator[Happened]:
    """Counted from the last purchase where nothing was done since, else from the last thing done."""
    bought, done = _seconds(buyers.c.last_purchased_at), _seconds(visitors.c.last_interacted_at)
    for table, last, other, rest in (
        (buyers, bought, visitors, sa.or_(done.is_(None), done <= bought)),
        (visitors, done, buyers, sa.or_(bought.is_(None), bought < done)),
    ):
        select = (
            sa.select(
                table.c.bucket,
                table.c.customer_id,
                _anchor(sa.literal("silent", sa.Text), last),
                last.label("anchor_at"),
            )
            .select_from(table.outerjoin(other, Who.of(table).owns(other)))
            .where(table.c.bucket.between(LOW, HIGH), last > SINCE - span, last <= UNTIL - span, rest)
        )
        found = select.subquery("happened")
        yield found, found.c.anchor_at + span
