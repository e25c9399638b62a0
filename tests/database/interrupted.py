"""A process that brings a database to the newest schema and kills itself at its N-th change of the schema.

    python -m tests.database.interrupted URL FOLDER HEAD N

N = 0 lets it end well. SIGKILL: no rollback, no cleanup.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from smr.database import migrate, open_database

CHANGES = ("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE")


def main(url: str, folder: str, head: str, last: str) -> None:
    """Upgrade; die at change number `last`."""
    migrate.folder = lambda: Path(folder)
    migrate.HEAD = head
    database = open_database(url)
    left = int(last)

    @sa.event.listens_for(database.engine, "after_cursor_execute")
    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal left
        if statement.lstrip().startswith(CHANGES):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    migrate.upgrade(database)
    database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
