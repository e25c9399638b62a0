"""A shop with messages waiting, and a look at what its files hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.database import Database
from smr.delivery import DeliveryReport, deliver
from smr.guards import Verdict, Written
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import channels
from tests.outbox.rows import NOON


def settings_for(folder: Path, **more: Any) -> Settings:
    return Settings.model_validate({"files": {"folder": folder}, **more})


class Guards:
    """Stands where the guards stand: says what a test wants of each message."""

    def __init__(self, verdicts: Mapping[str, Verdict] | None = None) -> None:
        self.verdicts = verdicts or {}

    def __call__(
        self,
        connection: Connection,
        library: Library,
        settings: Settings,
        *,
        now: datetime,
        written: Sequence[Written],
    ) -> Mapping[str, Verdict]:
        ids = [message.message_id for message in written]
        return {found: self.verdicts[found] for found in ids if found in self.verdicts}


def deliver_all(database: Database, folder: Path, **changes: Any) -> DeliveryReport:
    given: dict[str, Any] = {
        "now": NOON,
        "owner": "worker-1",
        "recheck": Guards(),
        "lease_seconds": 60,
    } | changes
    settings = given.pop("settings", settings_for(folder))
    return deliver(database, Library(folder), settings, **given)


def end_rests(database: Database) -> None:
    """As if every channel had rested long enough."""
    with database.write() as connection:
        connection.execute(
            sa.update(channels).values(
                open_until=sa.case((channels.c.open_until.is_not(None), 1)),
                paused_until=None,
                probe_until=None,
            )
        )


def records(folder: Path) -> list[dict[str, Any]]:
    """All lines of all JSONL files: what the customers got."""
    lines = (line for path in sorted(folder.glob("*/*.jsonl")) for line in path.read_text().splitlines())
    return [json.loads(line) for line in lines]


def received(folder: Path) -> list[str]:
    """The customers of all written messages, one for each time they got one."""
    return sorted(found["customer_id"] for found in records(folder))
