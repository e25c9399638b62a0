"""Conditions, leaf by leaf, with the customer's own values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr.conditions import Who, condition_sql, leaf_value
from smr.conditions import model as m
from smr.conditions.written import written
from smr.currency import decimals
from smr.settings import Settings
from smr.tables import customers


@dataclass(frozen=True)
class Leaf:
    """One condition as the operator wrote it: whether it holds, and the customer's value where there is one.

    `depth` is how deep it stands below `all`, `any` and `not`, which are lines of their own.
    """

    text: str
    holds: bool
    value: Any
    depth: int


def leaves(
    connection: Connection,
    condition: m.Part,
    customer: tuple[int, str],
    settings: Settings,
    bound: dict[str, Any],
) -> list[Leaf]:
    """All parts of a condition, in the order they were written."""
    return list(_walk(connection, condition, customer, settings, bound, 0))


def _walk(
    connection: Connection,
    condition: m.Part,
    customer: tuple[int, str],
    settings: Settings,
    bound: dict[str, Any],
    depth: int,
) -> Iterator[Leaf]:
    holds, value = _ask(connection, condition, customer, settings, bound)
    parts: tuple[m.Part, ...] = ()
    text = written(condition)
    match condition:
        case m.All(all=parts):
            text = "all"
        case m.AnyOf(any=parts):
            text = "any"
        case m.Not(not_=inner):
            parts, text = (inner,), "not"
    yield Leaf(text, holds, value, depth)
    for part in parts:
        yield from _walk(connection, part, customer, settings, bound, depth + 1)


def _ask(
    connection: Connection,
    condition: m.Part,
    customer: tuple[int, str],
    settings: Settings,
    bound: dict[str, Any],
) -> tuple[bool, Any]:
    who = Who.of(customers)
    value = leaf_value(condition, who, settings)
    columns = [condition_sql(condition, who, settings).label("holds")]
    if value is not None:
        columns.append(value.label("value"))
    question = sa.select(*columns).where(
        customers.c.bucket == customer[0], customers.c.customer_id == customer[1]
    )
    row = connection.execute(question, bound).one()
    return bool(row.holds), _plain(condition, row.value, settings) if value is not None else None


def _plain(condition: m.Part, value: Any, settings: Settings) -> Any:
    if isinstance(condition, m.Spend):
        places = decimals(settings.shop.currency)
        return f"{value / 10**places:.{places}f} {settings.shop.currency}"
    if isinstance(value, datetime):
        return value.astimezone(settings.shop.tz).date().isoformat()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
