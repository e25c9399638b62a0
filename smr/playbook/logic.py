"""What can be told of conditions without looking at a customer: one can never hold, or follows from another.

In: conditions. Out: yes only where it is certain; a no means "cannot tell". Counts over a longer span, or
over more goods, are never smaller; that is all the arithmetic there is here.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import permutations

from smr.conditions.model import (
    Ago,
    All,
    AnyOf,
    AtStage,
    Bought,
    Condition,
    CustomerIs,
    Everyone,
    FirstPurchase,
    Goods,
    LastPurchase,
    Not,
    Orders,
    Quantity,
    Spend,
)

Counted = Orders | Spend | Quantity | Bought
Timed = FirstPurchase | LastPurchase


def parts(condition: Condition | None) -> Iterator[Condition]:
    """The conditions that must all hold for this one to hold."""
    if isinstance(condition, All):
        for inner in condition.all:
            yield from parts(inner)
    elif condition is not None:
        yield condition


def contradiction(*conditions: Condition | None) -> str:
    """Why these can never hold together, in a few words; empty where they may."""
    together = [part for condition in conditions for part in parts(condition)]
    for part in together:
        if isinstance(part, Not) and isinstance(part.not_, Everyone):
            return "not everyone is nobody"
        if isinstance(part, AnyOf) and all(contradiction(*_others(together, part), one) for one in part.any):
            return "none of the alternatives can hold"
    for one, other in permutations(together, 2):
        if isinstance(other, Not) and implies(one, other.not_):
            return f"{_name(one)} is both asked for and excluded"
        why = _clash(one, other)
        if why:
            return why
    return ""


def _others(together: list[Condition], part: Condition) -> list[Condition]:
    """The others; alternatives among them left out, so that this ends."""
    return [one for one in together if one is not part and not isinstance(one, AnyOf)]


def implies(one: Condition, other: Condition) -> bool:
    """Whether everybody of whom `one` holds is surely among those of whom `other` holds."""
    if one == other or isinstance(other, Everyone):
        return True
    if isinstance(other, All):
        return all(implies(one, part) for part in other.all)
    if isinstance(one, AnyOf):
        return all(implies(part, other) for part in one.any)
    if isinstance(one, All) and any(implies(part, other) for part in one.all):
        return True
    if isinstance(other, AnyOf) and any(implies(one, part) for part in other.any):
        return True
    return _implies_plainly(one, other)


def _implies_plainly(one: Condition, other: Condition) -> bool:
    if isinstance(one, Timed) and isinstance(other, Timed) and type(one) is type(other):
        return _ago_within(_ago(one), _ago(other))
    if isinstance(one, AtStage) and isinstance(other, AtStage):
        return all(
            set(one.stage.get(name, ())) <= set(stages) and name in one.stage
            for name, stages in other.stage.items()
        )
    if isinstance(one, Counted) and isinstance(other, Counted) and _unit(one) == _unit(other):
        return _count_within(one, other)
    return False


def _clash(one: Condition, other: Condition) -> str:
    """Why two parts exclude each other; empty where they may not."""
    if isinstance(one, Counted) and isinstance(other, Counted) and _unit(one) == _unit(other):
        least, most = _least(one), _most(other)
        if least is not None and most is not None and least > most and _covers(other, one):
            return f"{_name(one)} must be at least {least} and {_name(other)} at most {most}"
    if isinstance(one, Timed) and isinstance(other, Timed) and type(one) is type(other):
        more, less = _ago(one).more_than, _ago(other).less_than
        if more is not None and less is not None and more >= less and _same_goods(_ago(one), _ago(other)):
            return f"{_name(one)} must be longer ago than it may be"
    if isinstance(one, AtStage) and isinstance(other, AtStage):
        for ladder in one.stage.keys() & other.stage.keys():
            if not set(one.stage[ladder]) & set(other.stage[ladder]):
                return f"nobody is at two stages of {ladder}"
    if isinstance(one, CustomerIs) and isinstance(other, CustomerIs):
        return _field_clash(one, other)
    return ""


def _field_clash(one: CustomerIs, other: CustomerIs) -> str:
    first, second = one.customer, other.customer
    if first.field != second.field:
        return ""
    if first.is_ is not None and second.is_ is not None and first.is_ != second.is_:
        return f"{first.field} cannot be two things"
    if first.at_least is not None and second.at_most is not None and first.at_least > second.at_most:
        return f"{first.field} must be at least {first.at_least} and at most {second.at_most}"
    if first.known is False and second.known is not False:
        return f"{first.field} must be unknown and have a value"
    return ""


def _unit(condition: Counted) -> str:
    """What is counted; to have bought is to have an order."""
    return "orders" if isinstance(condition, Bought) else _name(condition)


def _bounds(condition: Counted) -> Goods:
    return getattr(condition, _name(condition))  # type: ignore[no-any-return]


def _least(condition: Counted) -> Decimal | None:
    if isinstance(condition, Bought):
        return Decimal(1)
    return _bound(condition, "at_least")


def _most(condition: Counted) -> Decimal | None:
    return None if isinstance(condition, Bought) else _bound(condition, "at_most")


def _bound(condition: Counted, bound: str) -> Decimal | None:
    """The stated `at_least` or `at_most` of a counted condition."""
    found: Decimal | None = getattr(_bounds(condition), bound, None)
    return found


def _covers(wider: Counted, narrower: Counted) -> bool:
    """Whether everything the narrower one counts is counted by the wider one, too."""
    outer, inner = _bounds(wider), _bounds(narrower)
    longest, span = getattr(outer, "within", None), getattr(inner, "within", None)
    longer = longest is None or (span is not None and span <= longest)
    return longer and (_same_goods(outer, inner) or outer.category is outer.product is outer.role is None)


def _count_within(one: Counted, other: Counted) -> bool:
    """Whether the bounds of `one` leave no room outside those of `other`."""
    least, most = _least(other), _most(other)
    if least is not None and not ((_least(one) or Decimal(-1)) >= least and _covers(other, one)):
        return False
    limit = _most(one)
    return most is None or (limit is not None and limit <= most and _covers(one, other))


def _ago(condition: Timed) -> Ago:
    return condition.first_purchase if isinstance(condition, FirstPurchase) else condition.last_purchase


def _ago_within(one: Ago, other: Ago) -> bool:
    if not _same_goods(one, other):
        return False
    if other.more_than is not None and (one.more_than is None or one.more_than < other.more_than):
        return False
    return other.less_than is None or (one.less_than is not None and one.less_than <= other.less_than)


def _same_goods(one: Goods, other: Goods) -> bool:
    return (one.category, one.product, one.role) == (other.category, other.product, other.role)


def _name(condition: Condition) -> str:
    """The key an operator wrote."""
    name, info = next(iter(type(condition).model_fields.items()))
    return info.alias or name
