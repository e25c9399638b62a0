"""A process that brings a database to the newest schema and kills itself at its N-th change of the schema.

SIGKILL: no rollback, no cleanup.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from smr.database import migrate, open_database

CHANGES = ("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE")


def upgrade(url: str, folder: Path, head: str, last: int) -> None:
    """Upgrade; die at change number `last`, or end well where that is 0."""
    migrate.folder = lambda: folder
    migrate.HEAD = head
    database = open_database(url)
    left = last

    @sa.event.listens_for(database.engine, "after_cursor_execute")
    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal left
        if statement.lstrip().startswith(CHANGES):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    migrate.upgrade(database)
    database.close()
