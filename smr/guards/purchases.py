"""What the customer did with the goods since: bought again, or gave them back."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.conditions import NOW, condition_sql
from smr.conditions.model import Goods
from smr.conditions.purchases import kept, line_products, of_goods, sold
from smr.guards.timeliness import RUN
from smr.guards.verdict import Bench, customer_of
from smr.playbook.model import (
    Playbook,
    Purchased,
    RunsOut,
    Stop,
    StopOnCondition,
    StopOnPurchase,
    StopOnRefund,
    Trigger,
)
from smr.tables import named, purchases, refunds


def refunded(candidate: Any, bench: Bench) -> ColumnElement[bool] | None:
    """Everything of the anchor's order that made it due was given back."""
    if not isinstance(bench.playbook.trigger, RunsOut | Purchased):
        return None
    line, still = named(purchases, "anchored"), named(purchases, "kept")
    # Something is kept nearly always, and then nothing more is asked.
    return sa.and_(
        _decided_earlier(candidate, bench),
        sa.not_(_exists(still, *_of_anchor(candidate, still, bench), kept(still))),
        _exists(line, *_of_anchor(candidate, line, bench), sold(line)),
    )


def bought_already(candidate: Any, bench: Bench) -> ColumnElement[bool] | None:
    """A later purchase of the same line, or of goods named in stop_when."""
    found = []
    if isinstance(bench.playbook.trigger, RunsOut):
        later = _later(
            candidate, lambda line: [line_products(candidate.c.kind, candidate.c.line, line.c.product_id)]
        )
        found.append(sa.and_(_decided_earlier(candidate, bench), later))
    found += [
        _later_goods(candidate, stop.purchase)
        for stop in own_stops(bench.playbook)
        if isinstance(stop, StopOnPurchase)
    ]
    return sa.or_(*found) if found else None


def own_stops(playbook: Playbook) -> tuple[Stop, ...]:
    """What stop_when asks beyond what its trigger implies.

    Of one line that runs out, a later purchase of the same line stops the reminder anyhow.
    """
    implied = _implied(playbook.trigger)
    return tuple(
        stop
        for stop in playbook.stop_when
        if not (isinstance(stop, StopOnPurchase) and stop.purchase == implied)
    )


def _implied(trigger: Trigger) -> Goods | None:
    if not isinstance(trigger, RunsOut):
        return None
    named = (*(trigger.runs_out.category or ()), *(trigger.runs_out.product or ()))
    return trigger.runs_out if len(named) == 1 else None


def _decided_earlier(candidate: Any, bench: Bench) -> ColumnElement[bool]:
    """What this very run found comes from supplies and purchases of this moment: it needs no second look."""
    return sa.true() if bench.given else candidate.c.run_id != RUN


def stopped(candidate: Any, bench: Bench) -> ColumnElement[bool] | None:
    """Any other stop_when condition holds."""
    found: list[ColumnElement[bool]] = []
    for stop in bench.playbook.stop_when:
        if isinstance(stop, StopOnRefund) and stop.refund == "any":
            found.append(_refunded_since(candidate))
        if isinstance(stop, StopOnCondition):
            found.append(condition_sql(stop.where, customer_of(candidate), bench.settings))
    return sa.or_(*found) if found else None


def _of_anchor(candidate: Any, line: Any, bench: Bench) -> list[ColumnElement[bool]]:
    found = [customer_of(candidate).owns(line), line.c.order_id == candidate.c.order_id]
    if isinstance(bench.playbook.trigger, RunsOut):
        return [*found, line_products(candidate.c.kind, candidate.c.line, line.c.product_id)]
    if isinstance(bench.playbook.trigger, Purchased):
        return [*found, *of_goods(line.c.product_id, bench.playbook.trigger.purchase)]
    return found


def _later_goods(candidate: Any, goods: Goods) -> ColumnElement[bool]:
    return _later(candidate, lambda line: of_goods(line.c.product_id, goods))


def _later(candidate: Any, goods_of: Any) -> ColumnElement[bool]:
    """Lines of one order share a timestamp: later is by time, then by order."""
    line = named(purchases, "later")
    order = sa.func.coalesce(candidate.c.order_id, "")
    later = sa.or_(
        line.c.purchased_at > candidate.c.anchor_at,
        sa.and_(line.c.purchased_at == candidate.c.anchor_at, line.c.order_id > order),
    )
    return _exists(line, customer_of(candidate).owns(line), later, kept(line), *goods_of(line))


def _refunded_since(candidate: Any) -> ColumnElement[bool]:
    back = named(refunds, "since")
    return _exists(
        back,
        customer_of(candidate).owns(back),
        back.c.refunded_at > candidate.c.anchor_at,
        back.c.refunded_at <= NOW,
    )


def _exists(source: Any, *where: ColumnElement[bool]) -> ColumnElement[bool]:
    return sa.select(sa.literal(1)).select_from(source).where(*where).exists()
