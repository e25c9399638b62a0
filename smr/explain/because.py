"""The fact behind a reason that one word tells: the refusal that counts, the tag of an open complaint."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection

from smr.conditions.contact import ANY
from smr.events import Reason
from smr.playbook.model import Playbook, Step
from smr.settings import Settings
from smr.tables import consents, tags


@dataclass(frozen=True)
class Because:
    """`what` was refused or set (a channel or `*`; a tag), since when, until when, and by what."""

    reason: Reason
    what: str
    since: datetime
    source: str | None
    until: datetime | None = None


def because(
    connection: Connection,
    reason: Reason,
    playbook: Playbook,
    step: Step,
    settings: Settings,
    customer: tuple[int, str],
    now: datetime,
) -> Because | None:
    """The fact behind that reason for this customer; None where the word says it all."""
    if reason is Reason.OPTED_OUT:
        return _refusal(connection, playbook, step, customer, now)
    if reason is Reason.COMPLAINT_OPEN:
        return _complaint(connection, settings, customer, now)
    return None


def _refusal(
    connection: Connection, playbook: Playbook, step: Step, customer: tuple[int, str], now: datetime
) -> Because | None:
    c = consents.c
    bucket, customer_id = customer
    latest = (
        sa.select(c.channel, c.decided_at, c.source)
        .where(c.bucket == bucket, c.customer_id == customer_id, c.granted == sa.false(), c.decided_at <= now)
        .where(c.channel.in_([*step.via, ANY]), c.purpose.in_([playbook.purpose, ANY]))
        .order_by(c.decided_at.desc(), c.channel)
        .limit(1)
    )
    row = connection.execute(latest).one_or_none()
    return None if row is None else Because(Reason.OPTED_OUT, row.channel, row.decided_at, row.source)


def _complaint(
    connection: Connection, settings: Settings, customer: tuple[int, str], now: datetime
) -> Because | None:
    t = tags.c
    bucket, customer_id = customer
    latest = (
        sa.select(t.tag, t.set_at, t.source, t.reason, t.expires_at)
        .where(t.bucket == bucket, t.customer_id == customer_id, t.set_at <= now)
        .where(t.tag.in_(settings.policy.complaint_tags), sa.or_(t.expires_at.is_(None), t.expires_at > now))
        .order_by(t.set_at.desc(), t.tag)
        .limit(1)
    )
    row = connection.execute(latest).one_or_none()
    if row is None:
        return None
    return Because(Reason.COMPLAINT_OPEN, row.tag, row.set_at, row.reason or row.source, row.expires_at)
