"""A worker in a process of its own, to be killed.

Started as: python -m tests.delivery.worker deliver|claim|put URL FOLDER LEASE
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from smr import outbox
from smr.database import open_database
from tests.delivery.shop import deliver_all
from tests.outbox.rows import NOON, customers, row


def main(what: str, url: str, folder: str, lease: str) -> None:
    database = open_database(url)
    owner = f"worker-{os.getpid()}"
    if what == "deliver":
        deliver_all(database, Path(folder), owner=owner, lease_seconds=int(lease))
    elif what == "claim":
        while found := outbox.claim(
            database, "wecom", owner=owner, limit=50, lease_seconds=int(lease), now=NOON
        ):
            sys.stdout.write("".join(f"{message.message_id}\n" for message in found))
    else:
        for start in range(0, 300, 100):
            with database.write() as connection:
                outbox.put(connection, [row(person) for person in customers(300)[start : start + 100]])
    database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
