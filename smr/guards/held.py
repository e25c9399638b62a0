"""What the contact policy held back is noted with the candidate: when first, and by which rules so far."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr.conditions import NOW, Who
from smr.database.given import PLACE, bound, given, matches, places, within
from smr.events import POLICY, Reason
from smr.tables import candidates, messages

RULES = [str(reason) for reason in POLICY]


def noted(held: ColumnElement[bool], rule: Any) -> dict[str, Any]:
    """What an update of candidates sets where `held` holds, for a rule of the policy in SQL."""
    c = candidates.c
    first = sa.and_(held, c.held_at.is_(None))
    known = c.held_by.contains(rule)
    return {
        "held_at": sa.case((first, NOW), else_=sa.type_coerce(c.held_at, sa.BigInteger)),
        "held_by": sa.case(
            (sa.not_(held), c.held_by), (first, rule), (known, c.held_by), else_=c.held_by + " " + rule
        ),
    }


def is_held(candidate: Any) -> ColumnElement[bool]:
    """Whether a candidate's reason is a rule of the policy."""
    return sa.func.coalesce(candidate.c.reason.in_(RULES), sa.false())


class Waits(Protocol):
    """Why a message is not sent now, and until when."""

    @property
    def reason(self) -> Reason:
        """Why."""

    @property
    def until(self) -> datetime | None:
        """Until when; None where for good."""


def note_held(connection: Connection, verdicts: Mapping[str, Waits], *, now: int) -> None:
    """Note of messages that wait on in the outbox which rule holds them."""
    by_rule: dict[Reason, list[str]] = defaultdict(list)
    for message_id, verdict in verdicts.items():
        if verdict.until is not None and verdict.reason in POLICY:
            by_rule[verdict.reason].append(message_id)
    for reason, ids in by_rule.items():
        rule = sa.literal(str(reason), sa.Text)
        updated = sa.update(candidates).values(noted(sa.true(), rule)).where(*_given(connection.dialect.name))
        connection.execute(updated, {"now": now, **bound(connection, PLACE, places(ids))})


def _given(dialect: str) -> list[ColumnElement[bool]]:
    """Whether a candidate is that of one of the given messages."""
    wanted = given(dialect, PLACE)
    same = [messages.c[name] == candidates.c[name] for name in ("playbook", "step", "anchor")]
    return [
        Who.of(candidates).owns(messages),
        *same,
        matches(messages, wanted, PLACE),
        within(dialect, messages),
    ]
