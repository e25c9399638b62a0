"""Conditions as SQL agree with a plain reading of the facts, on random worlds and both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from smr import clock, segments
from smr.conditions import Who, condition_sql
from smr.conditions.model import Condition
from smr.database import Database
from smr.settings import Settings
from smr.tables import MEASURES, customers, members, metadata
from tests.examples import many
from tests.library import library
from tests.worlds import NOW, Purchase, World, mentions_of, put, random_worlds

SHOP = Settings()
PARSER: TypeAdapter[Any] = TypeAdapter(Condition)

spans = st.sampled_from([1, 7, 30, 90, 200])
GOODS: list[dict[str, Any]] = [
    {},
    {},
    {"category": "洁面"},
    {"product": ["P1", "P3"]},
    {"category": "猫粮", "product": "P4"},
]
goods = st.sampled_from(GOODS)


@st.composite
def bounded(draw: st.DrawFn, most: int) -> dict[str, Any]:
    least = draw(st.integers(0, most))
    choices: list[dict[str, int]] = [
        {"at_least": least},
        {"at_most": least},
        {"at_least": least, "at_most": least + 2},
    ]
    bounds = draw(st.sampled_from(choices))
    span = {"within": f"{draw(spans)}d"} if draw(st.booleans()) else {}
    return {**draw(goods), **span, **{name: str(bound) for name, bound in bounds.items()}}


@st.composite
def ago(draw: st.DrawFn) -> dict[str, Any]:
    return {**draw(goods), draw(st.sampled_from(["more_than", "less_than"])): f"{draw(spans)}d"}


leaves = st.one_of(
    st.builds(lambda bounds: {"orders": bounds}, bounded(4)),
    st.builds(lambda bounds: {"spend": bounds}, bounded(600)),
    st.builds(lambda bounds: {"quantity": bounds}, bounded(6)),
    st.builds(lambda span: {"first_purchase": span}, ago()),
    st.builds(lambda span: {"last_purchase": span}, ago()),
    st.builds(lambda which, days: {"bought": {**which, "within": f"{days}d"}}, goods, spans),
    st.builds(lambda which, days: {"refunded": {**which, "within": f"{days}d"}}, goods, spans),
    st.sampled_from(
        [
            {"tag": "vip"},
            {"tag": ["vip", "投诉中"]},
            {"customer": {"field": "gender", "is": "f"}},
            {"customer": {"field": "gender", "is_not": "f"}},
            {"customer": {"field": "gender", "known": "false"}},
            {"customer": {"field": "zone", "none_of": ["Asia/Tokyo"]}},
            {"reachable": "wecom"},
            {"reachable": ["wecom", "sms"]},
            {"consent": {"channel": "sms"}},
            {"everyone": "true"},
        ]
    ),
    st.builds(
        lambda topic, days, often: {"chat": {"topic": topic, "within": f"{days}d", **often}},
        st.sampled_from(["皮肤问题", ["皮肤问题", "询价", "母婴"]]),
        spans,
        st.sampled_from([{}, {"at_least": "2"}, {"at_most": "1"}]),
    ),
    st.builds(
        lambda what, days, often: {"did": {"what": what, "within": f"{days}d", **often}},
        st.sampled_from(["click", ["moments_like", "click", "answer"]]),
        spans,
        st.sampled_from([{}, {"at_least": "2"}, {"at_most": "0"}, {"channel": "sms"}]),
    ),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=4,
)


def kept_lines(world: World, customer: str, wanted: dict[str, Any]) -> Iterator[tuple[Purchase, float]]:
    """The customer's sales of these goods, in the span, of which something was kept, and how much."""
    category = {product.product_id: product.category for product in world.products}
    named = "category" in wanted or "product" in wanted
    for line in world.purchases:
        kept = line.quantity - sum(quantity for quantity, _ in taken_back(world, line))
        if (
            line.customer_id != customer
            or line.kind in ("sample", "gift")
            or kept <= 0
            or line.purchased_at > NOW
        ):
            continue
        if "within" in wanted and line.purchased_at <= NOW - days(wanted["within"]):
            continue
        of = category[line.product_id] in names(wanted.get("category")) or line.product_id in names(
            wanted.get("product")
        )
        if of or not named:
            yield line, kept


def taken_back(world: World, line: Purchase) -> Iterator[tuple[float, int]]:
    """Each refund of a line: pieces and money."""
    for back in world.refunds:
        place = (back.customer_id, back.order_id, back.product_id, back.line_no)
        if (
            place == (line.customer_id, line.order_id, line.product_id, line.line_no)
            and back.refunded_at <= NOW
        ):
            quantity = line.quantity if back.quantity is None else back.quantity
            yield quantity, round((line.amount or 0) * quantity / line.quantity)


def names(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value or []


def days(text: str) -> timedelta:
    return timedelta(days=int(text.removesuffix("d")))


def within(measure: float, wanted: dict[str, Any]) -> bool:
    return float(wanted.get("at_least", "-inf")) <= measure <= float(wanted.get("at_most", "inf"))


def allowed(world: World, customer: str, channel: str) -> bool:
    said = [one for one in world.consents if one.customer_id == customer and one.channel in (channel, "*")]
    return bool(said) and max(said, key=lambda one: (one.decided_at, not one.granted)).granted


def reads(world: World, customer: str, condition: dict[str, Any]) -> bool:
    """Whether a condition holds for a customer, told plainly."""
    ((kind, wanted),) = condition.items()
    person = next(one for one in world.customers if one.customer_id == customer)
    match kind:
        case "all":
            return all(reads(world, customer, part) for part in wanted)
        case "any":
            return any(reads(world, customer, part) for part in wanted)
        case "not":
            return not reads(world, customer, wanted)
        case "orders":
            return within(len({line.order_id for line, _ in kept_lines(world, customer, wanted)}), wanted)
        case "quantity":
            return within(sum(kept for _, kept in kept_lines(world, customer, wanted)), wanted)
        case "spend":
            lines = [line for line, _ in kept_lines(world, customer, wanted)]
            paid = sum(
                (line.amount or 0) - sum(money for _, money in taken_back(world, line)) for line in lines
            )
            return within(paid / 100, wanted)
        case "first_purchase" | "last_purchase":
            times = [line.purchased_at for line, _ in kept_lines(world, customer, wanted)]
            if not times:
                return False
            at = min(times) if kind == "first_purchase" else max(times)
            return (
                at < NOW - days(wanted["more_than"])
                if "more_than" in wanted
                else at > NOW - days(wanted["less_than"])
            )
        case "bought":
            return any(True for _ in kept_lines(world, customer, wanted))
        case "refunded":
            category = {product.product_id: product.category for product in world.products}
            named = "category" in wanted or "product" in wanted
            return any(
                back.customer_id == customer
                and NOW - days(wanted["within"]) < back.refunded_at <= NOW
                and (
                    not named
                    or category[back.product_id] in names(wanted.get("category"))
                    or back.product_id in names(wanted.get("product"))
                )
                for back in world.refunds
            )
        case "tag":
            return any(
                tag.customer_id == customer
                and tag.tag in names(wanted)
                and tag.set_at <= NOW
                and (tag.expires_at is None or tag.expires_at > NOW)
                for tag in world.tags
            )
        case "customer":
            value = getattr(person, wanted["field"])
            if wanted.get("known") == "false":
                return value is None
            if value is None:
                return False
            return bool(
                value == wanted.get("is", value)
                and value != wanted.get("is_not")
                and value not in wanted.get("none_of", [])
            )
        case "reachable":
            addressed = {one.channel for one in world.addresses if one.customer_id == customer}
            return any(
                channel in addressed and allowed(world, customer, channel) for channel in names(wanted)
            )
        case "consent":
            return allowed(world, customer, wanted["channel"])
        case "chat" | "did":
            return within(len(deeds(world, customer, kind, wanted)), {"at_least": "1"} | often(wanted))
        case _:
            return True


def often(wanted: dict[str, Any]) -> dict[str, Any]:
    """The bounds, if there are any: without one, at least once."""
    bounds = {name: bound for name, bound in wanted.items() if name in ("at_least", "at_most")}
    return {"at_least": "0", **bounds} if bounds else {}


def deeds(world: World, customer: str, kind: str, wanted: dict[str, Any]) -> set[str]:
    """What the customer said of a topic, or did, in the span."""
    return {
        one.interaction_id
        for one in world.interactions
        if one.customer_id == customer
        and NOW - days(wanted["within"]) < one.happened_at <= NOW
        and wanted.get("channel", one.channel) == one.channel
        and (
            any(heard.topic in names(wanted["topic"]) for heard in mentions_of(one))
            if kind == "chat"
            else one.kind in names(wanted["what"])
        )
    }


@settings(max_examples=many(250), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=random_worlds(), condition=conditions)
def test_a_condition_holds_for_whom_the_facts_say(
    database: Database, world: World, condition: dict[str, Any]
) -> None:
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))
    put(database, world)
    question = sa.select(customers.c.customer_id).where(
        condition_sql(PARSER.validate_python(condition), Who.of(customers), SHOP)
    )
    with database.read() as connection:
        found = set(connection.execute(question, {"now": clock.seconds(NOW)}).scalars())
    assert found == {one.customer_id for one in world.customers if reads(world, one.customer_id, condition)}


several = st.lists(conditions, min_size=3, max_size=8) | st.just(
    [{"did": {"what": "click", "within": f"{days}d"}} for days in range(1, len(MEASURES) + 4)]
)
"""The last: more figures to be measured than there are columns for them."""


@settings(max_examples=many(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=random_worlds(), wanted=several)
def test_a_segment_has_whom_the_facts_say(
    database: Database, world: World, wanted: list[dict[str, Any]]
) -> None:
    """Segments read figures that were measured for all definitions at once."""
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))
    put(database, world)
    names = [f"segment-{number}" for number in range(len(wanted))]
    defined = {name: {"where": where} for name, where in zip(names, wanted, strict=True)}
    known = library(segments=json.dumps({"segments": defined}))
    at = clock.seconds(NOW)
    with database.write() as connection:
        segments.begin(connection, known, SHOP, now=at)
        segments.refresh(connection, known, SHOP, now=at, low=0, high=4095)
        found = set(map(tuple, connection.execute(sa.select(members.c.segment, members.c.customer_id))))
    people = [one.customer_id for one in world.customers]
    assert found == {
        (name, person)
        for name, where in zip(names, wanted, strict=True)
        for person in people
        if reads(world, person, where)
    }
