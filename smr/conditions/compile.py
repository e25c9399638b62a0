"""Conditions to SQL: one expression per condition, about one customer.

Every subquery is correlated on bucket and customer; every fact later than NOW is invisible.
A leaf also has a value (a count, a sum, a time …) that explaining shows beside the verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import singledispatch
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.conditions import model as m
from smr.conditions.contact import may_reach
from smr.conditions.measures import measure_of
from smr.conditions.purchases import NOW, Who, kept_quantity, of_goods, purchased, refunded_amount
from smr.conditions.scores import scores_hold, scores_told
from smr.currency import decimals
from smr.events import COUNTED
from smr.settings import Settings
from smr.tables import (
    customers,
    interactions,
    members,
    mentions,
    messages,
    named,
    refunds,
    stages,
    supplies,
    tags,
)

CustomerColumns = {
    "id": customers.c.customer_id,
    "name": customers.c.name,
    "gender": customers.c.gender,
    "birthday": customers.c.birthday,
    "lunar_birthday": customers.c.lunar_birthday,
    "zone": customers.c.zone,
    "locale": customers.c.locale,
    "staff": customers.c.staff_id,
    "store": customers.c.store_id,
}


def condition_sql(condition: m.Part, who: Who, settings: Settings) -> ColumnElement[bool]:
    """Whether the condition holds for the customer, as SQL. Never NULL."""
    if isinstance(condition, m.All):
        return sa.and_(*(condition_sql(part, who, settings) for part in condition.all))
    if isinstance(condition, m.AnyOf):
        return sa.or_(*(condition_sql(part, who, settings) for part in condition.any))
    if isinstance(condition, m.Not):
        return sa.not_(condition_sql(condition.not_, who, settings))
    if isinstance(condition, m.Everyone):
        return sa.true()
    if isinstance(condition, m.Reachable):
        return sa.or_(*(may_reach(who, channel, "marketing", settings) for channel in condition.reachable))
    if isinstance(condition, m.Consent):
        return may_reach(who, condition.consent.channel, condition.consent.purpose, settings, address=False)
    return holds(condition, who, settings)


def leaf_value(condition: m.Part, who: Who, settings: Settings) -> ColumnElement[Any] | None:
    """What explaining shows of the customer beside a leaf's verdict; None where the verdict says it all."""
    known = value.dispatch(type(condition)) is not value.dispatch(object)
    return value(condition, who, settings) if known else None


@singledispatch
def holds(condition: m.Part, who: Who, settings: Settings) -> ColumnElement[bool]:
    """Whether a leaf holds."""
    raise NotImplementedError(type(condition).__name__)


@singledispatch
def value(condition: m.Part, who: Who, settings: Settings) -> ColumnElement[Any]:
    """A leaf's value for the customer."""
    raise NotImplementedError(type(condition).__name__)


def bounded(measure: ColumnElement[Any], least: Any, most: Any) -> ColumnElement[bool]:
    """Whether a measure lies within bounds, both included."""
    bounds = []
    if least is not None:
        bounds.append(measure >= least)
    if most is not None:
        bounds.append(measure <= most)
    return sa.and_(*bounds)


def _at_hand(condition: m.Part, who: Who) -> ColumnElement[Any] | None:
    """The column that has a leaf's measure already."""
    return None if who.known is None else who.known.get(measure_of(condition))


def _figure(condition: m.Part, who: Who, settings: Settings) -> ColumnElement[Any]:
    """A leaf's value, read off where it is at hand; whoever has no row there bought and did nothing."""
    known = _at_hand(condition, who)
    if known is None:
        return value(condition, who, settings)
    is_time = isinstance(condition, m.FirstPurchase | m.LastPurchase)
    return known if is_time else sa.func.coalesce(known, 0)


# Purchases


@value.register
def _(condition: m.Orders, who: Who, settings: Settings) -> ColumnElement[Any]:
    line, where = purchased(who, condition.orders, condition.orders.within)
    return sa.select(sa.func.count(line.c.order_id.distinct())).where(*where).scalar_subquery()


@holds.register
def _(condition: m.Orders, who: Who, settings: Settings) -> ColumnElement[bool]:
    bounds = condition.orders
    return bounded(_figure(condition, who, settings), _number(bounds.at_least), _number(bounds.at_most))


@value.register
def _(condition: m.Spend, who: Who, settings: Settings) -> ColumnElement[Any]:
    line, where = purchased(who, condition.spend, condition.spend.within)
    where.append(sa.or_(line.c.currency.is_(None), line.c.currency == settings.shop.currency))
    total = sa.func.sum(line.c.amount - refunded_amount(line))
    return sa.select(sa.func.coalesce(sa.cast(total, sa.BigInteger), 0)).where(*where).scalar_subquery()


@holds.register
def _(condition: m.Spend, who: Who, settings: Settings) -> ColumnElement[bool]:
    factor = 10 ** decimals(settings.shop.currency)
    bounds = condition.spend
    least = None if bounds.at_least is None else int(-(-bounds.at_least * factor // 1))
    most = None if bounds.at_most is None else int(bounds.at_most * factor // 1)
    return bounded(_figure(condition, who, settings), least, most)


@value.register
def _(condition: m.Quantity, who: Who, settings: Settings) -> ColumnElement[Any]:
    line, where = purchased(who, condition.quantity, condition.quantity.within)
    total = sa.func.coalesce(sa.func.sum(kept_quantity(line)), 0.0)
    return sa.select(total).where(*where).scalar_subquery()


@holds.register
def _(condition: m.Quantity, who: Who, settings: Settings) -> ColumnElement[bool]:
    bounds = condition.quantity
    return bounded(_figure(condition, who, settings), _number(bounds.at_least), _number(bounds.at_most))


@holds.register
def _(condition: m.Bought, who: Who, settings: Settings) -> ColumnElement[bool]:
    if (known := _at_hand(condition, who)) is not None:
        within = condition.bought.within
        return known.is_not(None) if within is None else sa.func.coalesce(known > NOW - within, sa.false())
    line, where = purchased(who, condition.bought, condition.bought.within)
    return sa.select(sa.literal(1)).select_from(line).where(*where).exists()


@value.register
def _(condition: m.Bought, who: Who, settings: Settings) -> ColumnElement[Any]:
    line, where = purchased(who, condition.bought)
    return sa.select(sa.func.max(line.c.purchased_at)).where(*where).scalar_subquery()


@value.register
def _(condition: m.FirstPurchase, who: Who, settings: Settings) -> ColumnElement[Any]:
    line, where = purchased(who, condition.first_purchase)
    return sa.select(sa.func.min(line.c.purchased_at)).where(*where).scalar_subquery()


@value.register
def _(condition: m.LastPurchase, who: Who, settings: Settings) -> ColumnElement[Any]:
    line, where = purchased(who, condition.last_purchase)
    return sa.select(sa.func.max(line.c.purchased_at)).where(*where).scalar_subquery()


@holds.register
def _(condition: m.FirstPurchase, who: Who, settings: Settings) -> ColumnElement[bool]:
    return _ago(_figure(condition, who, settings), condition.first_purchase)


@holds.register
def _(condition: m.LastPurchase, who: Who, settings: Settings) -> ColumnElement[bool]:
    return _ago(_figure(condition, who, settings), condition.last_purchase)


def _ago(at: ColumnElement[Any], bounds: m.Ago) -> ColumnElement[bool]:
    at = sa.type_coerce(at, sa.BigInteger)
    limits = []
    if bounds.more_than is not None:
        limits.append(at < NOW - bounds.more_than)
    if bounds.less_than is not None:
        limits.append(at > NOW - bounds.less_than)
    return sa.func.coalesce(sa.and_(*limits), sa.false())


@value.register
def _(condition: m.Refunded, who: Who, settings: Settings) -> ColumnElement[Any]:
    back = named(refunds, "returned")
    where = [who.owns(back), back.c.refunded_at <= NOW, *of_goods(back.c.product_id, condition.refunded)]
    return sa.select(sa.func.max(back.c.refunded_at)).where(*where).scalar_subquery()


@holds.register
def _(condition: m.Refunded, who: Who, settings: Settings) -> ColumnElement[bool]:
    back = named(refunds, "returned")
    where = [who.owns(back), back.c.refunded_at <= NOW, *of_goods(back.c.product_id, condition.refunded)]
    if condition.refunded.within is not None:
        where.append(back.c.refunded_at > NOW - condition.refunded.within)
    return sa.select(sa.literal(1)).select_from(back).where(*where).exists()


# Supplies


@value.register
def _(condition: m.Supply, who: Who, settings: Settings) -> ColumnElement[Any]:
    supply, where = _supply(condition, who)
    return sa.select(sa.func.min(supply.c.runs_out_at)).where(*where).scalar_subquery()


@holds.register
def _(condition: m.Supply, who: Who, settings: Settings) -> ColumnElement[bool]:
    supply, where = _supply(condition, who)
    wanted = condition.supply
    if wanted.runs_out_within is not None:
        where += [supply.c.runs_out_at > NOW, supply.c.runs_out_at <= NOW + wanted.runs_out_within]
    if wanted.ran_out_for is not None:
        where.append(supply.c.runs_out_at <= NOW - wanted.ran_out_for)
    return sa.select(sa.literal(1)).select_from(supply).where(*where).exists()


def _supply(condition: m.Supply, who: Who) -> tuple[Any, list[ColumnElement[bool]]]:
    supply = named(supplies, "supply")
    wanted = condition.supply
    kind, lines = ("category", wanted.category) if wanted.category else ("product", wanted.product)
    return supply, [who.owns(supply), supply.c.kind == kind, supply.c.line.in_(lines or ())]


# Who the customer is


@holds.register
def _(condition: m.InSegment, who: Who, settings: Settings) -> ColumnElement[bool]:
    member = named(members, "member")
    return (
        sa.select(sa.literal(1))
        .select_from(member)
        .where(who.owns(member), member.c.segment.in_(condition.segment), member.c.left_at.is_(None))
        .exists()
    )


@holds.register
def _(condition: m.AtStage, who: Who, settings: Settings) -> ColumnElement[bool]:
    return sa.and_(*(_stands(who, ladder, names) for ladder, names in condition.stage.items()))


def _stands(who: Who, ladder: str, names: Sequence[str]) -> ColumnElement[bool]:
    stage = named(stages, "stage")
    where = [who.owns(stage), stage.c.ladder == ladder, stage.c.stage.in_(names), stage.c.left_at.is_(None)]
    return sa.select(sa.literal(1)).select_from(stage).where(*where).exists()


@value.register
def _(condition: m.AtStage, who: Who, settings: Settings) -> ColumnElement[Any]:
    stage = named(stages, "stage")
    where = [who.owns(stage), stage.c.ladder.in_(list(condition.stage)), stage.c.left_at.is_(None)]
    return sa.select(sa.func.max(stage.c.stage)).where(*where).scalar_subquery()


def has_tag(who: Who, names: Sequence[str]) -> ColumnElement[bool]:
    """Whether the customer has one of these tags now."""
    tag = named(tags, "tagged")
    return (
        sa.select(sa.literal(1))
        .select_from(tag)
        .where(
            who.owns(tag),
            tag.c.tag.in_(names),
            tag.c.set_at <= NOW,
            sa.or_(tag.c.expires_at.is_(None), tag.c.expires_at > NOW),
        )
        .exists()
    )


@holds.register
def _(condition: m.HasTag, who: Who, settings: Settings) -> ColumnElement[bool]:
    return has_tag(who, condition.tag)


@holds.register
def _(condition: m.OfStaff, who: Who, settings: Settings) -> ColumnElement[bool]:
    return _customer(who, customers.c.staff_id, lambda column: column.in_(condition.staff))


@holds.register
def _(condition: m.OfStore, who: Who, settings: Settings) -> ColumnElement[bool]:
    return _customer(who, customers.c.store_id, lambda column: column.in_(condition.store))


@value.register
def _(condition: m.CustomerIs, who: Who, settings: Settings) -> ColumnElement[Any]:
    customer = named(customers, "customer")
    return sa.select(_field(customer, condition.customer.field)).where(who.owns(customer)).scalar_subquery()


@holds.register
def _(condition: m.CustomerIs, who: Who, settings: Settings) -> ColumnElement[bool]:
    wanted = condition.customer
    customer = named(customers, "customer")
    found = _field(customer, wanted.field)
    where: list[ColumnElement[bool]] = [who.owns(customer)]
    if wanted.known is False:
        return sa.not_(
            sa.select(sa.literal(1)).select_from(customer).where(*where, found.is_not(None)).exists()
        )
    where.append(found.is_not(None))
    if wanted.is_ is not None:
        where.append(found == wanted.is_)
    if wanted.is_not is not None:
        where.append(found != wanted.is_not)
    if wanted.any_of is not None:
        where.append(found.in_(wanted.any_of))
    if wanted.none_of is not None:
        where.append(found.not_in(wanted.none_of))
    if wanted.at_least is not None or wanted.at_most is not None:
        where.append(bounded(_as_number(found), _number(wanted.at_least), _number(wanted.at_most)))
    return sa.select(sa.literal(1)).select_from(customer).where(*where).exists()


def _field(customer: Any, name: str) -> ColumnElement[Any]:
    if name.startswith("attributes."):
        return customer.c.attributes[name.removeprefix("attributes.")].as_string()  # type: ignore[no-any-return]
    return customer.c[CustomerColumns[name].name]  # type: ignore[no-any-return]


def _as_number(text: ColumnElement[Any]) -> ColumnElement[Any]:
    """Text as a number; NULL where it is none (PostgreSQL would fail the whole statement on a cast)."""
    return sa.case((is_number(text), sa.cast(text, sa.Double)), else_=None)


def is_number(text: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether text is a plain number: only digits after one leading minus and one point are taken out."""
    digits = sa.func.replace(sa.func.ltrim(text, "-"), ".", "")
    return sa.and_(
        sa.func.length(digits) > 0,
        sa.func.length(sa.func.trim(digits, "0123456789")) == 0,
        sa.func.length(text) - sa.func.length(sa.func.replace(text, ".", "")) <= 1,
        sa.func.length(text) - sa.func.length(sa.func.ltrim(text, "-")) <= 1,
        sa.func.length(text) <= 15,
    )


def _customer(who: Who, column: sa.Column[Any], test: Any) -> ColumnElement[bool]:
    customer = named(customers, "customer")
    return (
        sa.select(sa.literal(1))
        .select_from(customer)
        .where(who.owns(customer), test(customer.c[column.name]))
        .exists()
    )


# What the customer said and did


@value.register
def _(condition: m.Chat, who: Who, settings: Settings) -> ColumnElement[Any]:
    wanted = condition.chat
    said = named(mentions, "said_of")
    where = [who.owns(said), said.c.topic.in_(wanted.topic), said.c.happened_at <= NOW]
    if wanted.within is not None:
        where.append(said.c.happened_at > NOW - wanted.within)
    counted = sa.func.count(said.c.interaction_id.distinct())
    return sa.select(counted).where(*where).scalar_subquery()


@holds.register
def _(condition: m.Chat, who: Who, settings: Settings) -> ColumnElement[bool]:
    return _often(value(condition, who, settings), condition.chat.at_least, condition.chat.at_most)


@value.register
def _(condition: m.Did, who: Who, settings: Settings) -> ColumnElement[Any]:
    wanted = condition.did
    deed = named(interactions, "deed")
    where = [who.owns(deed), deed.c.kind.in_([str(kind) for kind in wanted.what]), deed.c.happened_at <= NOW]
    if wanted.within is not None:
        where.append(deed.c.happened_at > NOW - wanted.within)
    if wanted.channel is not None:
        where.append(deed.c.channel.in_(wanted.channel))
    return sa.select(sa.func.count()).select_from(deed).where(*where).scalar_subquery()


@holds.register
def _(condition: m.Did, who: Who, settings: Settings) -> ColumnElement[bool]:
    return _often(_figure(condition, who, settings), condition.did.at_least, condition.did.at_most)


def _often(count: ColumnElement[Any], least: int | None, most: int | None) -> ColumnElement[bool]:
    """Whether a count lies within bounds; at least once where there are none."""
    return bounded(count, 1 if least is None and most is None else least, most)


@value.register
def _(condition: m.Rfm, who: Who, settings: Settings) -> ColumnElement[Any]:
    return scores_told(condition.rfm, who, settings)


@holds.register
def _(condition: m.Rfm, who: Who, settings: Settings) -> ColumnElement[bool]:
    return scores_hold(condition.rfm, who, settings)


# Messages


@value.register
def _(condition: m.Messaged, who: Who, settings: Settings) -> ColumnElement[Any]:
    wanted = condition.messaged
    sent = named(messages, "sent")
    at = sa.func.coalesce(sent.c.sent_at, sent.c.send_after)
    where: list[ColumnElement[bool]] = [who.owns(sent), sent.c.state.in_([str(state) for state in COUNTED])]
    if wanted.within is not None:
        where.append(at > NOW - wanted.within)
    for column, names in (
        (sent.c.playbook, wanted.playbook),
        (sent.c.step, wanted.step),
        (sent.c.channel, wanted.channel),
    ):
        if names is not None:
            where.append(column.in_(names))
    if who.reminder is not None:
        playbook, step, anchor = who.reminder
        itself = sa.and_(sent.c.playbook == playbook, sent.c.step == step, sent.c.anchor == anchor)
        where.append(sa.not_(itself))
    return sa.select(sa.func.count()).select_from(sent).where(*where).scalar_subquery()


@holds.register
def _(condition: m.Messaged, who: Who, settings: Settings) -> ColumnElement[bool]:
    return bounded(value(condition, who, settings), condition.messaged.at_least, condition.messaged.at_most)


def _number(number: Decimal | None) -> int | float | None:
    if number is None:
        return None
    return int(number) if number == int(number) else float(number)


__all__ = ["NOW", "Who", "condition_sql", "has_tag", "leaf_value"]
