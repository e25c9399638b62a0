"""The database: engine, transactions, what differs between SQLite and PostgreSQL, column types.

In: a URL. Out: `Database`, with `read()` and `write()`; the only `commit` of the product is here.
"""

from smr.database.columns import Json, Key, Utc
from smr.database.copying import copy_rows, snapshot
from smr.database.engine import Database, Session, open_database, open_passing
from smr.database.planning import count_again, count_grown, read_by_key
from smr.database.temporary import make_temporary, temporary
from smr.database.upsert import insert_in_turn, insert_missing, insert_or_update, update_or_insert

__all__ = [
    "Database",
    "Json",
    "Key",
    "Session",
    "Utc",
    "copy_rows",
    "count_again",
    "count_grown",
    "insert_in_turn",
    "insert_missing",
    "insert_or_update",
    "make_temporary",
    "open_database",
    "open_passing",
    "read_by_key",
    "snapshot",
    "temporary",
    "update_or_insert",
]
