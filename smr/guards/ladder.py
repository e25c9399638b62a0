"""The next channel of a step, for a message that cannot arrive on the one it was queued for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.conditions import Who
from smr.conditions.contact import may_reach
from smr.discretion import naming
from smr.playbook.model import Library, Playbook
from smr.settings import Settings
from smr.tables import addresses, messages, named


class Rung(NamedTuple):
    """A channel, and the customer's address on it."""

    channel: str
    address: str


def next_rungs(
    connection: Connection, library: Library, settings: Settings, *, now: datetime, message_ids: Sequence[str]
) -> Mapping[str, Rung]:
    """By message id, the first channel after its present one in the step's `via` that may reach the customer.

    What has no such channel is left out, as is what its playbook no longer sends. A text that names something
    sensitive does not go on to a discreet channel.
    """
    known = {playbook.name: playbook for playbook in library.playbooks}
    alike: dict[tuple[str, str, str, bool], list[str]] = defaultdict(list)
    named = naming(connection, library, settings, _ids(message_ids)) if message_ids else {}
    for playbook, step, channel, message_id in _where_they_are(connection, message_ids):
        alike[playbook, step, channel, message_id in named].append(message_id)
    found: dict[str, Rung] = {}
    for (playbook, step, channel, is_named), ids in alike.items():
        later = _later(known.get(playbook), step, channel)
        later = tuple(name for name in later if not (is_named and settings.is_discreet(name)))
        if later:
            statement = _statement(ids, later, known[playbook].purpose, settings)
            rows = connection.execute(statement, {"now": clock.seconds(now)})
            found |= {row[0]: Rung(row[1], row[2]) for row in rows if row[1] is not None}
    return found


def _ids(message_ids: Sequence[str]) -> sa.ColumnElement[bool]:
    buckets = sorted({int(message_id[:3], 16) for message_id in message_ids})
    return sa.and_(messages.c.bucket.in_(buckets), messages.c.message_id.in_(list(message_ids)))


def _where_they_are(connection: Connection, message_ids: Sequence[str]) -> Sequence[Any]:
    if not message_ids:
        return []
    m = messages.c
    return connection.execute(
        sa.select(m.playbook, m.step, m.channel, m.message_id).where(_ids(message_ids))
    ).all()


def _later(playbook: Playbook | None, step: str, channel: str) -> tuple[str, ...]:
    via = next((one.via for one in playbook.steps if one.name == step), ()) if playbook else ()
    return tuple(via[via.index(channel) + 1 :]) if channel in via else ()


def _statement(
    message_ids: Sequence[str], later: Sequence[str], purpose: str, settings: Settings
) -> sa.Select[Any]:
    who = Who.of(messages)
    may = [(may_reach(who, channel, purpose, settings), channel) for channel in later]
    channel = sa.case(*((condition, sa.literal(name, sa.Text)) for condition, name in may), else_=sa.null())
    address = sa.case(
        *((condition, _address(who, name, settings)) for condition, name in may), else_=sa.null()
    )
    return sa.select(messages.c.message_id, channel, address).where(_ids(message_ids))


def _address(who: Who, channel: str, settings: Settings) -> Any:
    if settings.channel(channel).address == "customer_id":
        return messages.c.customer_id
    there = named(addresses, "there")
    return (
        sa.select(there.c.address)
        .where(who.owns(there), there.c.channel == channel, there.c.undeliverable_since.is_(None))
        .scalar_subquery()
    )
