"""Ladders that come with smr: lifecycle and tier, with the operator's numbers put in."""

from __future__ import annotations

from typing import Any

from smr import clock
from smr.conditions.model import Ago, All, Bounds, Condition, Did, Doing, LastPurchase, Orders, Spend
from smr.events import NOT_THE_CUSTOMERS, InteractionKind
from smr.playbook.model import Ready, ReadyLifecycle, ReadyTiers, Rung

STAGES = {
    "lifecycle": ("流失期", "休眠期", "成熟期", "成长期", "引入期"),
    "tier": ("铁杆", "付费", "活跃", "新激活", "普通"),
}
"""The stages of each, from top to bottom: the first that holds."""
YEAR = 365 * clock.DAY
_LEFT = (InteractionKind.FRIEND_DELETED, InteractionKind.GROUP_LEFT)
_ACTS = tuple(kind for kind in InteractionKind if kind not in (*NOT_THE_CUSTOMERS, *_LEFT))


def ready_ladders(ready: Ready) -> dict[str, tuple[Rung, ...]]:
    """The ladders that are used, by name."""
    found = {}
    if ready.lifecycle is not None:
        found["lifecycle"] = _rungs("lifecycle", *_lifecycle(ready.lifecycle))
    if ready.tier is not None:
        found["tier"] = _rungs("tier", *_tiers(ready.tier))
    return found


def _rungs(ladder: str, *conditions: Condition | None) -> tuple[Rung, ...]:
    return tuple(
        Rung(stage=stage, where=where) for stage, where in zip(STAGES[ladder], conditions, strict=True)
    )


def _lifecycle(stated: ReadyLifecycle) -> tuple[Condition | None, ...]:
    return (
        LastPurchase(last_purchase=_made(Ago, more_than=stated.lost_after)),
        LastPurchase(last_purchase=_made(Ago, more_than=stated.dormant_after)),
        Orders(orders=_made(Bounds, within=stated.mature_within, at_least=stated.mature_orders)),
        Orders(orders=_made(Bounds, at_least=1)),
        None,
    )


def _tiers(stated: ReadyTiers) -> tuple[Condition | None, ...]:
    active = _made(Doing, what=_ACTS, within=stated.active_within, at_least=stated.active_times)
    fresh = _made(Doing, what=(InteractionKind.FRIEND_ADDED,), within=stated.new_for)
    return (
        All(
            all=(
                Orders(orders=_made(Bounds, within=YEAR, at_least=stated.loyal_orders)),
                Spend(spend=_made(Bounds, within=YEAR, at_least=stated.loyal_spend)),
            )
        ),
        Orders(orders=_made(Bounds, within=YEAR, at_least=1)),
        Did(did=active),
        Did(did=fresh),
        None,
    )


def _made(model: Any, **values: Any) -> Any:
    """A part from values that were read already: spans are seconds here."""
    whole = {name: field.get_default(call_default_factory=True) for name, field in model.model_fields.items()}
    return model.model_construct(**{**whole, **values})
