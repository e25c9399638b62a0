"""Telling the operator of incidents: that one has begun, and that it is over; each once.

In: incidents that were not told of. Out: messages on the operator's channels. Who tells claims the incident
first, for the time of a lease, so that of several daemons one does; one that dies in between is replaced, and
then an alert may come twice: better than not at all. The id of a message is the same each time.
Trap: an alert holds numbers and names of the configuration, never anything of a customer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from smr import logs
from smr.channels import Accepted, Outgoing, open_channel
from smr.database import Database
from smr.database.timing import database_now
from smr.errors import ChannelError, SmrError
from smr.events import Event, Kind
from smr.settings import AlertReceiver, Settings
from smr.tables import incidents
from smr.watch import counters

LEASE = 60
"""Seconds for which one process tells of an incident; then another may."""
NEWS = timedelta(days=1)
"""What was not told within a day is no news any more."""
BEGUN, OVER = "begun", "over"

i = incidents.c


@dataclass(frozen=True)
class Notice:
    """One thing to tell of an incident."""

    incident_id: int
    kind: str
    subject: str
    detail: str
    news: str
    at: datetime

    @property
    def key(self) -> str:
        """The same for each attempt to tell this."""
        told = f"{self.incident_id}/{self.kind}/{self.subject}/{self.news}"
        return sha256(f"smr alert/{told}".encode()).hexdigest()[:32]


def tell(database: Database, settings: Settings, *, now: datetime, owner: str) -> int:
    """Tell of every incident that was not told of; returns how many notices went out.

    Where nobody is to be told, nothing happens.
    """
    if not settings.alerts.to:
        return 0
    told = 0
    for notice in _claim(database, owner, now):
        if send(settings, notice, settings.alerts.to, now=now):
            _record(database, notice, owner, now)
            told += 1
    return told


def send(settings: Settings, notice: Notice, receivers: Sequence[AlertReceiver], *, now: datetime) -> bool:
    """Send a notice to all receivers; whether at least one took it."""
    took = [_to(settings, notice, receiver, now) for receiver in receivers]
    return any(took)


def text_of(settings: Settings, notice: Notice) -> tuple[str, str]:
    """Subject and text of a notice."""
    shop = settings.shop.name or "smr"
    what = WORDS[settings.shop.language][Kind(notice.kind)]
    about = f" ({notice.subject})" if notice.subject else ""
    over = {"en": "over", "zh": "已恢复"}[settings.shop.language]
    subject = f"[{shop}] {what}{about}" + (f": {over}" if notice.news == OVER else "")
    local = notice.at.astimezone(settings.shop.tz)
    return subject, f"{subject}\n{local:%Y-%m-%d %H:%M} ({settings.shop.zone})\n{notice.detail}"


WORDS: dict[str, dict[Kind, str]] = {
    "en": {
        Kind.DATABASE_DOWN: "The database cannot be reached",
        Kind.CONFIGURATION: "Files with faults: the last good version is used",
        Kind.DUTY_FAILED: "A duty of the daemon keeps failing",
        Kind.CHANNEL_DOWN: "A channel does not send",
        Kind.ERROR_SHARE: "Many attempts go wrong",
        Kind.LATE_MESSAGES: "Messages wait for too long",
        Kind.UNKNOWN_MESSAGES: "Messages of unknown fate",
        Kind.RUN_SENDS_NOTHING: "A run sends nothing",
        Kind.RUN_SENDS_TOO_MUCH: "A run sends far more than usual",
        Kind.RUN_STOPPED: "A run stopped and asks",
    },
    "zh": {
        Kind.DATABASE_DOWN: "数据库连不上",
        Kind.CONFIGURATION: "配置或剧本有错：仍按上一个正确版本运行",
        Kind.DUTY_FAILED: "后台任务一直失败",
        Kind.CHANNEL_DOWN: "渠道发不出去",
        Kind.ERROR_SHARE: "发送失败太多",
        Kind.LATE_MESSAGES: "消息积压太久",
        Kind.UNKNOWN_MESSAGES: "有消息不知道是否已送达",
        Kind.RUN_SENDS_NOTHING: "这次运行一条也没有",
        Kind.RUN_SENDS_TOO_MUCH: "这次运行远多于平时",
        Kind.RUN_STOPPED: "这次运行已停下，等您确认",
    },
}


def _claim(database: Database, owner: str, now: datetime) -> list[Notice]:
    """Take what is to be told, for the time of a lease."""
    fresh = now - NEWS
    begun = i.opening_told_at.is_(None) & (i.opened_at > fresh)
    over = i.closed_at.is_not(None) & i.opening_told_at.is_not(None) & i.closing_told_at.is_(None)
    untold = ((begun & i.closed_at.is_(None)) | (over & (i.closed_at > fresh))) & (
        i.tell_after.is_(None) | (i.tell_after <= database_now())
    )
    with database.read() as connection:
        found = connection.execute(sa.select(i.incident_id).where(untold).order_by(i.incident_id)).all()
    if not found:
        return []
    claimed = sa.update(incidents).where(i.incident_id.in_([row.incident_id for row in found]), untold)
    values = {"teller": owner, "tell_after": database_now() + LEASE}
    with database.write() as connection:
        rows = connection.execute(claimed.values(values).returning(*incidents.columns)).all()
    return [_notice(row) for row in rows]


def _notice(row: Any) -> Notice:
    over = row.closed_at is not None
    at = row.closed_at if over else row.opened_at
    return Notice(row.incident_id, row.kind, row.subject, row.detail, OVER if over else BEGUN, at)


def _record(database: Database, notice: Notice, owner: str, now: datetime) -> None:
    column = "closing_told_at" if notice.news == OVER else "opening_told_at"
    told = sa.update(incidents).where(i.incident_id == notice.incident_id, i.teller == owner)
    with database.write() as connection:
        connection.execute(told.values({column: now, "tell_after": None}))


def _to(settings: Settings, notice: Notice, receiver: AlertReceiver, now: datetime) -> bool:
    said = {
        "incident": notice.incident_id,
        "kind": notice.kind,
        "subject": notice.subject,
        "channel": receiver.channel,
        "news": notice.news,
    }
    try:
        result = open_channel(receiver.channel, settings).send([_outgoing(settings, notice, receiver, now)])
        went = isinstance(result[0], Accepted)
        error = "" if went else str(getattr(result[0], "refusal", "refused"))
    except ChannelError as refused:
        went, error = False, refused.refusal.value
    except SmrError as refused:
        went, error = False, type(refused).__name__
    except Exception as broken:
        went, error = False, type(broken).__name__
    counters.ALERTS.labels(receiver.channel, "sent" if went else "failed").inc()
    if went:
        logs.tell(Event.ALERT_SENT, **said)
    else:
        logs.tell(Event.ALERT_FAILED, **said, error=error)
    return went


def _outgoing(settings: Settings, notice: Notice, receiver: AlertReceiver, now: datetime) -> Outgoing:
    subject, text = text_of(settings, notice)
    return Outgoing(
        message_id=notice.key,
        customer_id="operator",
        playbook="smr-alert",
        step=notice.kind,
        address=receiver.to,
        subject=subject,
        text=text,
        html=None,
        attachments=(),
        sent_at=now,
        purpose="service",
    )
