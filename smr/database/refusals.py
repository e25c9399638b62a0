"""What a database's refusal means for the operator.

In: the driver's error. Out: a DatabaseRefusedError that names the setting and what to do, or None where the
error is a fault of smr itself and has to be seen as it is. Drivers name no password in their messages; the
URL is given masked.
"""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

from smr.errors import DatabaseRefusedError

BUSY = "is busy: another process has been writing to it for {seconds} s. Nothing was lost; run it again."
SQLITE = {
    "SQLITE_BUSY": BUSY,
    "SQLITE_LOCKED": BUSY,
    "SQLITE_READONLY": "is read-only. Check the rights on the file and its folder, or change database.url.",
    "SQLITE_PERM": "may not be opened. Check the rights on the file, or change database.url.",
    "SQLITE_CANTOPEN": "cannot be opened. Check that the file and its folder may be read and written.",
    "SQLITE_FULL": "could not grow: the disk is full. Free some space and run it again.",
    "SQLITE_IOERR": "could not be read or written: the disk reports an error. Save a copy elsewhere.",
    "SQLITE_CORRUPT": "is damaged. Stop what uses it, restore the newest backup, then run: smr db check",
    "SQLITE_NOTADB": "is not a SQLite database. Check database.url, or restore the newest backup.",
}
POSTGRESQL = {
    "25006": "is read-only: it is a standby, or was set so. Name the primary server in database.url.",
    "40001": "was too busy for this transaction. Nothing was lost; run it again.",
    "40P01": "stopped a transaction that waited for another one. Nothing was lost; run it again.",
    "42501": "does not allow this to its user. Grant the rights on its tables, or change database.url.",
    "53100": "could not grow: its disk is full. Free some space and run it again.",
    "53300": "takes no more connections. Close some, or raise max_connections.",
    "57P01": "was shut down meanwhile. Nothing was half written; run it again.",
    "57P03": "is starting up or shutting down. Run it again in a moment.",
}


def explain(error: DBAPIError, shown_url: str, waited: int) -> DatabaseRefusedError | None:
    """The refusal in the operator's words; None where it is none that an operator can mend.

    `waited` is how many seconds a writer waits for another one.
    """
    meaning = _sqlite(error) or _postgresql(error)
    if meaning is None:
        return None
    return DatabaseRefusedError(f"the database {shown_url} {meaning.format(seconds=waited)}")


def _sqlite(error: DBAPIError) -> str | None:
    # Extended names end in a detail: SQLITE_BUSY_SNAPSHOT, SQLITE_IOERR_WRITE.
    name = getattr(error.orig, "sqlite_errorname", "")
    return SQLITE.get("_".join(name.split("_")[:2]))


def _postgresql(error: DBAPIError) -> str | None:
    state = getattr(error.orig, "sqlstate", "")
    if state in POSTGRESQL:
        return POSTGRESQL[state]
    if state is None and error.connection_invalidated:
        return "closed the connection. Nothing was half written; run it again."
    if state is None and type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout"):
        return f"cannot be reached: {_first_line(error)}. Check database.url and that the server is up."
    return None


def _first_line(error: DBAPIError) -> str:
    text = str(error.orig).strip()
    return text.splitlines()[0].rstrip(".").replace("{", "(").replace("}", ")") if text else "no answer"
