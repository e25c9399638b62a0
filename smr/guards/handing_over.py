"""Price decides the hand: what is too dear or too delicate for a robot goes to a person.

Judged after everything else, holdout included: what is handed over is what would have been sent. A round
(playbook and anchor) is one case, and from then on the robot keeps out of it, whatever became of the case.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.conditions import NOW, condition_sql
from smr.conditions.written import written
from smr.currency import decimals
from smr.database import insert_missing
from smr.events import Reason
from smr.guards.frequency_cap import HIGH, LOW, RUN
from smr.guards.verdict import Bench, customer_of
from smr.playbook.model import HandOver, Playbook
from smr.settings import Settings
from smr.tables import OPEN, candidates, customers, handovers, named, products, purchases

CAUSE = "playbook"
"""The cause of a case that a playbook's rule opens."""

COLUMNS = (
    *("bucket", "customer_id", "cause", "case_id", "opened_at"),
    *("playbook", "step", "anchor", "staff_id", "reason"),
)


def handed_over(candidate: Any, bench: Bench) -> ColumnElement[bool] | None:
    """Right before sending: the round was handed to a person meanwhile."""
    if not (bench.sending and bench.playbook.hand_over):
        return None
    return _is_case(candidate)


def goes_to_a_person(candidate: Any, playbook: Playbook, settings: Settings) -> ColumnElement[bool] | None:
    """Whether a rule holds, or the round is with a person already; None where the playbook has no rule."""
    if not playbook.hand_over:
        return None
    rules = (_holds(candidate, rule, settings) for rule in playbook.hand_over)
    return sa.or_(_is_case(candidate), *rules)


def settled() -> Any:
    """What was handed over is not judged again."""
    handed = candidates.c.reason == str(Reason.HANDED_OVER)
    mine = sa.and_(OPEN, candidates.c.bucket.between(LOW, HIGH), candidates.c.run_id == RUN)
    return sa.update(candidates).values(queued_at=NOW).where(mine, handed)


def _holds(candidate: Any, rule: HandOver, settings: Settings) -> ColumnElement[bool]:
    said: list[ColumnElement[bool]] = []
    if rule.price_from is not None:
        least = int(-(-rule.price_from * 10 ** decimals(settings.shop.currency) // 1))
        said.append(sa.func.coalesce(_price(candidate, settings) >= least, sa.false()))
    if rule.when is not None:
        said.append(condition_sql(rule.when, customer_of(candidate), settings))
    return sa.and_(*said)


def _price(candidate: Any, settings: Settings) -> ColumnElement[Any]:
    """What one piece costs now, in the shop's money; where nobody knows, what was paid for one."""
    product, line = named(products, "priced"), named(purchases, "paid")
    shop = settings.shop.currency
    now = (
        sa.select(product.c.price)
        .where(product.c.product_id == sa.func.coalesce(candidate.c.offer_id, candidate.c.product_id))
        .where(sa.func.coalesce(product.c.currency, shop) == shop)
        .correlate_except(product)
        .scalar_subquery()
    )
    paid = (
        sa.select(sa.func.sum(line.c.amount) / sa.func.sum(line.c.quantity))
        .where(
            customer_of(candidate).owns(line),
            line.c.order_id == candidate.c.order_id,
            line.c.product_id == candidate.c.product_id,
            sa.func.coalesce(line.c.currency, shop) == shop,
        )
        .correlate_except(line)
        .scalar_subquery()
    )
    return sa.func.coalesce(now, paid)


def _is_case(candidate: Any) -> ColumnElement[bool]:
    case = named(handovers, "case_of")
    same = (case.c.cause == CAUSE, case.c.case_id == _case_id(candidate))
    return (
        sa.select(sa.literal(1))
        .select_from(case)
        .where(customer_of(candidate).owns(case), *same)
        .correlate_except(case)
        .exists()
    )


def _case_id(candidate: Any) -> Any:
    return candidate.c.playbook + sa.literal("/", sa.Text) + candidate.c.anchor


def case_of_each(dialect: str, playbook: Playbook, settings: Settings) -> Any:
    """Opens a case for each round of a playbook that the run handed over, in the slice."""
    row, person = named(candidates, "handed"), named(customers, "owned_by")
    why = [
        (_holds(row, rule, settings), sa.literal(written(rule)[1:-1], sa.Text)) for rule in playbook.hand_over
    ]
    select = (
        sa.select(
            row.c.bucket,
            row.c.customer_id,
            sa.literal(CAUSE, sa.Text),
            _case_id(row),
            NOW,
            row.c.playbook,
            row.c.step,
            row.c.anchor,
            person.c.staff_id,
            sa.case(*why, else_=sa.null()),
        )
        .select_from(row.join(person, customer_of(row).owns(person)))
        .where(
            row.c.playbook == playbook.name,
            row.c.bucket.between(LOW, HIGH),
            row.c.run_id == RUN,
            row.c.queued_at.is_(None),
            row.c.reason == str(Reason.HANDED_OVER),
        )
        # Of several steps that are due at once the earliest stands in the case.
        .order_by(row.c.bucket, row.c.customer_id, row.c.anchor, row.c.due_at, row.c.step)
    )
    return insert_missing(dialect, handovers, columns=COLUMNS, select=select)
