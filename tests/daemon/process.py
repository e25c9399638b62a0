"""The command line of smr, with a provider of the tests behind the file channel: a ledger of its own.

    python -m tests.daemon.process daemon -c config.yaml

SMR_TEST_LEDGER: the provider's own record, one line for each message it took, written before it answers.
SMR_TEST_SLOW: how many seconds a message takes. SMR_TEST_DOWN: while a file of that name is there, the
channel refuses, and says so with words of the message.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import smr.channels.file
from smr.channel_kinds import Kind
from smr.channels import Accepted, Outgoing, Result, UnknownPolicy
from smr.channels.file.channel import FileChannel
from smr.cli.app import main
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


if __name__ == "__main__":
    smr.channels.file.KIND = Kind(settings=smr.channels.file.KIND.settings, open=Provider)
    main()
