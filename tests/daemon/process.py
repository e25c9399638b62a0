"""A daemon with a provider of the tests behind the file channel, which keeps a ledger of its own.

SMR_TEST_LEDGER: the provider's own record, one line for each message it took, written before it answers.
SMR_TEST_SLOW: how many seconds a message takes. SMR_TEST_DOWN: while a file of that name is there, the
channel refuses, and says so with words of the message. SMR_TEST_TICK: so many seconds are a minute to
schedules that fire every minute.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import smr.channels.file
from smr.channel_kinds import Kind
from smr.channels import Accepted, Outgoing, Result, UnknownPolicy
from smr.channels.file.channel import FileChannel
from smr.cli.app import main
from smr.cron import Cron
from smr.errors import ChannelError, Refusal


class Provider(FileChannel):
    """Takes each message it is given; knows nothing of ids, and cannot be asked."""

    def __init__(self, name: str, settings: Any) -> None:
        super().__init__(name, settings)
        self.traits = replace(
            self.traits,
            max_batch=10,
            dedupes=False,
            can_ask=False,
            unknown_policy=UnknownPolicy.HOLD,
        )

    def send(self, batch: Sequence[Outgoing]) -> list[Result]:
        """Record each message, slowly."""
        for message in batch:
            down = Path(os.environ["SMR_TEST_DOWN"])
            if self.name == "wecom" and down.exists():
                if "broken" in down.read_text():
                    raise ValueError(f"cannot send {message.text} to {message.address}")
                said = f"{message.address} {message.customer_id} {message.text}"
                raise ChannelError(Refusal.UNAVAILABLE, f"no route for {said}", permanent=False)
            time.sleep(float(os.environ["SMR_TEST_SLOW"]))
            line = {"customer": message.customer_id, "id": message.message_id, "subject": message.subject}
            with Path(os.environ["SMR_TEST_LEDGER"]).open("a") as ledger:
                ledger.write(json.dumps(line) + "\n")
        return [Accepted() for _ in batch]


def tick(seconds: int) -> None:
    """Have schedules that fire every minute fire that often."""

    def floor(moment: datetime) -> datetime:
        return datetime.fromtimestamp(int(moment.timestamp()) // seconds * seconds, UTC)

    next_after, last_until = Cron.next_after, Cron.last_until

    def soon(cron: Cron, moment: datetime, where: ZoneInfo) -> datetime | None:
        if len(cron.times) < 1440:
            return next_after(cron, moment, where)
        return floor(moment) + timedelta(seconds=seconds)

    def just(cron: Cron, moment: datetime, where: ZoneInfo, *, since: datetime) -> datetime | None:
        if len(cron.times) < 1440:
            return last_until(cron, moment, where, since=since)
        return floor(moment) if floor(moment) > since else None

    Cron.next_after, Cron.last_until = soon, just  # type: ignore[method-assign, assignment]


def daemon(config: str) -> None:
    """What `smr daemon -c CONFIG` does."""
    smr.channels.file.KIND = Kind(settings=smr.channels.file.KIND.settings, open=Provider)
    if os.environ["SMR_TEST_TICK"]:
        tick(int(os.environ["SMR_TEST_TICK"]))
    sys.argv = ["smr", "daemon", "-c", config]
    main()
