"""The daemon's heartbeat in the database, and what it means when the database does not answer.

In: the database, an owner. Out: the row of this daemon, renewed leases; an outage is seen, survived with
growing pauses, and told to the operator, by each daemon that sees it, for there is no table then to agree by.
Trap: after an outage a pause must be short, or the shop stands still though its database is back.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from smr import clock, firings, logs
from smr.database import Database
from smr.database.timing import database_now
from smr.database.upsert import insert_or_update
from smr.errors import StateError
from smr.events import Event, Kind
from smr.settings import Settings
from smr.tables import daemons
from smr.watch import alerts, incidents
from smr.watch.alerts import BEGUN, OVER, Notice
from smr.watch.incidents import Finding

EVERY = 5.0
"""Seconds between two beats."""
LONGEST_PAUSE = 3.0
"""Seconds between two attempts to reach a database that is away, at most."""
DOWN = "smr cannot read or write; nothing is sent or taken in until it is back"


class Pulse:
    """Beats until the process ends. `lost` says why the database does not answer, or is empty."""

    def __init__(self, database: Database, owner: str, settings: Callable[[], Settings]) -> None:
        self._database = database
        self._owner = owner
        self._settings = settings
        self._failures = 0
        self._since: datetime | None = None
        self._told = False
        self.lost = ""

    def beat(self, state: str, version: str, faults: Sequence[str]) -> bool:
        """Say that this daemon lives, and keep what it holds; whether the database is there."""
        try:
            with self._database.write() as connection:
                row = {
                    "owner": self._owner,
                    "started_at": database_now(),
                    "seen_at": database_now(),
                    "state": state,
                    "version": version,
                    "faults": list(faults) or None,
                }
                update = ["seen_at", "state", "version", "faults"]
                once = insert_or_update(connection.dialect.name, daemons, update=update)
                connection.execute(once.values(row))
                firings.keep(connection, self._owner)
        except (StateError, SQLAlchemyError) as error:
            self._failed(error)
            return False
        self._succeeded()
        return True

    def pause(self) -> float:
        """Seconds until the next beat: while the database is away they grow, and are never quite the same."""
        if not self._failures:
            return EVERY
        return min(LONGEST_PAUSE, 0.25 * 2.0 ** min(self._failures, 10)) * random.uniform(0.6, 1)  # noqa: S311

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self.lost = str(error) if isinstance(error, StateError) else type(error).__name__
        now = clock.now()
        if self._since is None:
            self._since = now
            logs.tell(Event.DATABASE_LOST, **logs.error_of(error))
        if not self._told and (now - self._since).total_seconds() >= self._settings().alerts.database:
            self._told = True
            self._tell(BEGUN, self._since)

    def _succeeded(self) -> None:
        self._failures, self.lost = 0, ""
        if self._since is None:
            return
        since, now = self._since, clock.now()
        self._since = None
        logs.tell(Event.DATABASE_BACK, seconds=int((now - since).total_seconds()))
        if self._told:
            self._told = False
            self._tell(OVER, now)
            finding = Finding(Kind.DATABASE_DOWN, "", DOWN)
            with self._database.write() as connection:
                incidents.record(connection, finding, since=since, until=now)

    def _tell(self, news: str, at: datetime) -> None:
        """Tell the operator, without the help of the database."""
        settings = self._settings()
        notice = Notice(clock.seconds(at) // 600, Kind.DATABASE_DOWN.value, "", DOWN, news, at)
        alerts.send(settings, notice, settings.alerts.to, now=clock.now())


def goodbye(database: Database, owner: str) -> None:
    """Mark this daemon as stopped."""
    gone = sa.update(daemons).where(daemons.c.owner == owner)
    with database.write() as connection:
        connection.execute(gone.values(state="stopped", seen_at=database_now()))
