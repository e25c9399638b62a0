"""What conditions measure of a customer: a count, a sum or a time, without the bounds it is held against.

In: leaves. Out: their measures, many of which are the same, and SELECTs that give all of them for many
customers at once. Where a statement has them at hand (`Who.known`), no leaf needs a subquery of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause

from smr.conditions import model as m
from smr.conditions.purchases import NOW, has_refunds, kept, kept_quantity, of_goods, refunded_amount
from smr.database.unindexed import unindexed
from smr.settings import Settings
from smr.tables import interactions, named, purchases


class Measure(NamedTuple):
    """One figure of a customer; of purchases of `goods`, or of the `deeds` of these kinds and channels.

    `within` is how far back it looks; empty: at all there is.
    """

    what: Literal["orders", "spend", "quantity", "first", "last", "deeds"]
    goods: m.Goods | None = None
    within: int | None = None
    kinds: tuple[str, ...] = ()
    channels: tuple[str, ...] | None = None


def measure_of(leaf: m.Part) -> Measure | None:
    """What a leaf measures; None where it asks for something else."""
    match leaf:
        case m.Orders(orders=wanted):
            return Measure("orders", _goods(wanted), wanted.within)
        case m.Spend(spend=wanted):
            return Measure("spend", _goods(wanted), wanted.within)
        case m.Quantity(quantity=wanted):
            return Measure("quantity", _goods(wanted), wanted.within)
        case m.Bought(bought=wanted):
            return Measure("last", _goods(wanted))
        case m.FirstPurchase(first_purchase=wanted):
            return Measure("first", _goods(wanted))
        case m.LastPurchase(last_purchase=wanted):
            return Measure("last", _goods(wanted))
        case m.Did(did=wanted):
            return Measure("deeds", None, wanted.within, tuple(map(str, wanted.what)), wanted.channel)
        case _:
            return None


def _goods(wanted: m.Goods) -> m.Goods:
    return m.Goods.model_construct(category=wanted.category, product=wanted.product, role=wanted.role)


def measured(
    people: FromClause, among: ColumnElement[bool], measures: Sequence[Measure], settings: Settings
) -> list[tuple[tuple[Measure, ...], sa.Select[Any]]]:
    """SELECTs of bucket, customer and the figures of these measures, for the people `among` them.

    Whoever bought, or did, nothing has no row.
    """
    found = []
    bought = tuple(one for one in measures if one.what != "deeds")
    if bought:
        found.append((bought, _of_purchases(people, among, bought, settings)))
    did = tuple(one for one in measures if one.what == "deeds")
    if did:
        found.append((did, _of_deeds(people, among, did)))
    return found


def _of_purchases(
    people: FromClause, among: ColumnElement[bool], measures: Sequence[Measure], settings: Settings
) -> sa.Select[Any]:
    line = named(purchases, "measured")
    return (
        sa.select(people.c.bucket, people.c.customer_id, *(_figure(one, line, settings) for one in measures))
        .select_from(people.join(line, _of(people, line)))
        .where(among, kept(line))
        .group_by(people.c.bucket, people.c.customer_id)
    )


def _of(people: FromClause, table: FromClause) -> ColumnElement[bool]:
    """Rows of these people, who may be few: SQLite has to begin with them, and look their rows up."""
    same_bucket = table.c.bucket == unindexed(people.c.bucket)
    return sa.and_(same_bucket, table.c.customer_id == unindexed(people.c.customer_id))


def _figure(measure: Measure, line: FromClause, settings: Settings) -> ColumnElement[Any]:
    """What a customer's kept lines come to."""
    assert measure.goods is not None  # noqa: S101 - all but deeds are of goods
    counts = of_goods(line.c.product_id, measure.goods)
    if measure.within is not None:
        counts.append(line.c.purchased_at > NOW - measure.within)
    if measure.what == "spend":
        counts.append(sa.or_(line.c.currency.is_(None), line.c.currency == settings.shop.currency))

    def counted(value: ColumnElement[Any]) -> ColumnElement[Any]:
        return sa.case((sa.and_(*counts), value)) if counts else value

    match measure.what:
        case "orders":
            return sa.func.count(counted(line.c.order_id).distinct())
        case "first":
            return sa.func.min(counted(sa.type_coerce(line.c.purchased_at, sa.BigInteger)))
        case "last":
            return sa.func.max(counted(sa.type_coerce(line.c.purchased_at, sa.BigInteger)))
        case "quantity":
            return sa.func.sum(counted(kept_quantity(line)))
        case _:
            paid = line.c.amount - refunded_amount(line)
            return sa.func.sum(counted(sa.case((sa.not_(has_refunds(line)), line.c.amount), else_=paid)))


def _of_deeds(people: FromClause, among: ColumnElement[bool], measures: Sequence[Measure]) -> sa.Select[Any]:
    deed = named(interactions, "deeds_measured")
    where = [among, deed.c.happened_at <= NOW]
    spans = [one.within for one in measures]
    if None not in spans:
        where.append(deed.c.happened_at > NOW - max(span for span in spans if span is not None))
    return (
        sa.select(people.c.bucket, people.c.customer_id, *(_count(one, deed) for one in measures))
        .select_from(people.join(deed, _of(people, deed)))
        .where(*where)
        .group_by(people.c.bucket, people.c.customer_id)
    )


def _count(measure: Measure, deed: FromClause) -> ColumnElement[Any]:
    counts: list[ColumnElement[bool]] = [deed.c.kind.in_(measure.kinds)]
    if measure.within is not None:
        counts.append(deed.c.happened_at > NOW - measure.within)
    if measure.channels is not None:
        counts.append(deed.c.channel.in_(measure.channels))
    return sa.func.sum(sa.case((sa.and_(*counts), 1), else_=0))


def placed(
    leaves: Iterable[m.Part], columns: Sequence[ColumnElement[Any]]
) -> Mapping[Measure, ColumnElement[Any]]:
    """A column for each measure that leaves take, as far as there are columns."""
    wanted = dict.fromkeys(one for leaf in leaves if (one := measure_of(leaf)) is not None)
    return dict(zip(wanted, columns, strict=False))
