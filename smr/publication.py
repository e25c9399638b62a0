"""What the engine remembers of playbooks: since when each is live; what stops with one that is not.

Pausing or deleting a playbook cancels what it has in the outbox and not yet sent, with a reason.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.database import insert_or_update
from smr.events import Reason
from smr.playbook.model import Library
from smr.tables import OPEN, candidates, messages, publications


def publish(connection: Connection, library: Library, *, now: datetime) -> None:
    """Take note of the playbooks as they are now, and stop what is no longer live."""
    known = {row.playbook: row for row in connection.execute(sa.select(publications))}
    rows = [
        {
            "playbook": playbook.name,
            "version": library.versions.get(playbook.name, ""),
            "status": playbook.status,
            "live_since": _since(known.get(playbook.name), playbook.status, now),
            "seen_at": now,
        }
        for playbook in library.playbooks
    ]
    if rows:
        statement = insert_or_update(
            connection.dialect.name, publications, update=["version", "status", "live_since", "seen_at"]
        )
        connection.execute(statement, rows)
    live = [playbook.name for playbook in library.playbooks if playbook.status == "live"]
    names = [playbook.name for playbook in library.playbooks]
    _stop(connection, [name for name in names if name not in live], Reason.PAUSED)
    _stop(connection, [name for name in known if name not in names], Reason.DELETED)


def live_since(connection: Connection) -> dict[str, int]:
    """When each live playbook went live, in seconds."""
    rows = connection.execute(sa.select(publications.c.playbook, publications.c.live_since))
    return {playbook: clock.seconds(since) for playbook, since in rows if since is not None}


def _since(known: Any, status: str, now: datetime) -> datetime | None:
    if status != "live":
        return None
    return now if known is None or known.live_since is None else known.live_since


def _stop(connection: Connection, names: list[str], reason: Reason) -> None:
    if not names:
        return
    waiting = sa.update(messages).where(messages.c.playbook.in_(names), sa.text("state = 'queued'"))
    connection.execute(waiting.values(state="cancelled", reason=str(reason), settled_at=messages.c.queued_at))
    if reason is Reason.DELETED:
        left = sa.update(candidates).where(candidates.c.playbook.in_(names), OPEN)
        connection.execute(left.values(state="expired", reason=str(reason)))


__all__ = ["live_since", "publish"]
