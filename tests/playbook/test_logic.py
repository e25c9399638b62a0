"""What is told of conditions without looking at anybody is never wrong, on random worlds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import TypeAdapter

from smr.conditions.model import Condition
from smr.playbook.logic import contradiction, implies
from tests.conditions.test_agreement import conditions, reads
from tests.examples import many
from tests.worlds import World, random_worlds

PARSER: TypeAdapter[Any] = TypeAdapter(Condition)


def parsed(condition: dict[str, Any]) -> Any:
    return PARSER.validate_python(condition)


@pytest.mark.parametrize(
    "parts",
    [
        [{"tag": "vip"}, {"not": {"tag": "vip"}}],
        [{"orders": {"at_least": "3"}}, {"orders": {"at_most": "2"}}],
        [{"orders": {"within": "30d", "at_least": "3"}}, {"orders": {"within": "90d", "at_most": "2"}}],
        [{"orders": {"category": "洁面", "at_least": "3"}}, {"orders": {"at_most": "2"}}],
        [{"bought": {"within": "30d"}}, {"orders": {"at_most": "0"}}],
        [{"bought": {"within": "30d"}}, {"not": {"bought": {"within": "90d"}}}],
        [{"last_purchase": {"more_than": "90d"}}, {"last_purchase": {"less_than": "30d"}}],
        [{"stage": {"lifecycle": "新客"}}, {"stage": {"lifecycle": ["老客", "流失"]}}],
        [{"customer": {"field": "gender", "is": "f"}}, {"customer": {"field": "gender", "is": "m"}}],
        [
            {"customer": {"field": "zone", "known": "false"}},
            {"customer": {"field": "zone", "is": "Asia/Tokyo"}},
        ],
        [{"not": {"everyone": "true"}}],
        [
            {"orders": {"at_least": "3"}},
            {"any": [{"orders": {"at_most": "2"}}, {"orders": {"at_most": "1"}}]},
        ],
    ],
)
def test_what_can_never_hold_together_is_seen(parts: list[dict[str, Any]]) -> None:
    assert contradiction(parsed({"all": parts}))
    assert contradiction(*map(parsed, parts))
    assert contradiction(*map(parsed, reversed(parts)))


@pytest.mark.parametrize(
    "parts",
    [
        [{"orders": {"within": "90d", "at_least": "3"}}, {"orders": {"within": "30d", "at_most": "2"}}],
        [{"orders": {"at_least": "3"}}, {"orders": {"category": "洁面", "at_most": "2"}}],
        [{"orders": {"category": "洁面", "at_least": "3"}}, {"orders": {"category": "猫粮", "at_most": "2"}}],
        [{"orders": {"at_least": "3"}}, {"spend": {"at_most": "2"}}],
        [{"last_purchase": {"more_than": "30d"}}, {"last_purchase": {"less_than": "90d"}}],
        [{"last_purchase": {"more_than": "90d"}}, {"first_purchase": {"less_than": "30d"}}],
        [{"tag": ["a", "b"]}, {"not": {"tag": "a"}}],
        [{"stage": {"lifecycle": "新客"}}, {"stage": {"tier": "金卡"}}],
    ],
)
def test_what_may_hold_together_is_left_alone(parts: list[dict[str, Any]]) -> None:
    assert not contradiction(*map(parsed, parts))


def test_a_narrower_condition_follows() -> None:
    def follows(one: dict[str, Any], other: dict[str, Any]) -> bool:
        return implies(parsed(one), parsed(other))

    assert follows({"last_purchase": {"more_than": "180d"}}, {"last_purchase": {"more_than": "90d"}})
    assert not follows({"last_purchase": {"more_than": "90d"}}, {"last_purchase": {"more_than": "180d"}})
    assert follows({"orders": {"within": "30d", "at_least": "3"}}, {"orders": {"at_least": "2"}})
    assert not follows({"orders": {"at_least": "3"}}, {"orders": {"within": "30d", "at_least": "2"}})
    assert follows({"orders": {"at_most": "2"}}, {"orders": {"within": "30d", "at_most": "3"}})
    assert follows({"all": [{"tag": "a"}, {"tag": "b"}]}, {"any": [{"tag": "b"}, {"tag": "c"}]})
    assert not follows({"any": [{"tag": "a"}, {"tag": "b"}]}, {"tag": "a"})


def pool() -> Iterator[dict[str, Any]]:
    """Conditions close enough to each other for many to follow from, or to exclude, one another."""
    for goods in ({}, {"category": "洁面"}):
        for within in ({}, {"within": "30d"}, {"within": "90d"}):
            where = {**goods, **within}
            yield {"bought": where}
            yield {"spend": {**where, "at_least": "100"}}
            yield {"spend": {**where, "at_most": "50"}}
            yield {"orders": {**where, "at_least": "2"}}
            yield {"orders": {**where, "at_least": "1", "at_most": "2"}}
            yield {"quantity": {**where, "at_most": "0"}}
        yield {"last_purchase": {**goods, "more_than": "30d"}}
        yield {"last_purchase": {**goods, "less_than": "30d"}}
        yield {"first_purchase": {**goods, "more_than": "90d"}}
    yield {"any": [{"bought": {"within": "30d"}}, {"orders": {"at_least": "2"}}]}
    yield {"all": [{"bought": {"within": "90d"}}, {"tag": "vip"}]}
    yield {"customer": {"field": "gender", "is": "f"}}
    yield {"customer": {"field": "gender", "known": "false"}}
    yield {"tag": "vip"}


POOL = [*pool(), *({"not": one} for one in pool())]
READ = [parsed(one) for one in POOL]
PAIRS = [(one, other) for one in range(len(POOL)) for other in range(len(POOL)) if one != other]
FOLLOWING = [(one, other) for one, other in PAIRS if implies(READ[one], READ[other])]
EXCLUDING = [(one, other) for one, other in PAIRS if contradiction(READ[one], READ[other])]


def test_there_is_something_to_disprove() -> None:
    assert len(FOLLOWING) > 100
    assert len(EXCLUDING) > 200


@settings(max_examples=many(80), deadline=None)
@given(world=random_worlds())
def test_what_follows_and_what_excludes_is_never_wrong(world: World) -> None:
    for customer in world.customers:
        holds = [reads(world, customer.customer_id, one) for one in POOL]
        assert not [(POOL[one], POOL[other]) for one, other in FOLLOWING if holds[one] and not holds[other]]
        assert not [(POOL[one], POOL[other]) for one, other in EXCLUDING if holds[one] and holds[other]]


@settings(max_examples=many(100), deadline=None)
@given(world=random_worlds(), one=conditions, other=conditions)
def test_nested_conditions_are_read_the_same_way(
    world: World, one: dict[str, Any], other: dict[str, Any]
) -> None:
    first, second = parsed(one), parsed(other)
    for customer in world.customers:
        holds = reads(world, customer.customer_id, one), reads(world, customer.customer_id, other)
        assert holds != (True, False) or not implies(first, second)
        assert holds != (True, True) or not contradiction(first, second)
        assert not holds[0] or not contradiction(first)
