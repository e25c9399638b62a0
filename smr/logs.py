"""The log of a process: one JSON object a line, each with a name from `smr.events`.

In: events with fields, and whatever libraries log. Out: lines on stderr. Only the fields that an event is
documented with are written, and every text in them is masked: telephone numbers, e-mail addresses and long
numbers become ***; control characters are escaped, so that no value can forge a line.
Trap: the text of an exception may repeat a customer's name. Of exceptions only the type and the places in the
code are written, unless the text is a sentence of smr's own.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from smr.errors import DatabaseRefusedError
from smr.events import FIELDS, GRAVE, Event

MASK = "***"
LONGEST = 500
"""Characters of a text in the log."""
FRAMES = 8
"""Places of a trace that are written: the innermost ones."""

_LOG = logging.getLogger("smr")
_EMAIL = re.compile(r"[^\s@<>\"',;:()=]+@[^\s@<>\"',;()=]+")
_NUMBER = re.compile(r"\+?\d(?:[\s().\-–/]{0,2}\d){5,}")
_TOKEN = re.compile(r"(?i)\b(access_token|token|secret|key|password|passwd|sig|signature)=[^\s&\"']+")
_WHOLE = (
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    re.compile(r"[0-9a-f]{12}|[0-9a-f]{32}"),
    re.compile(r"[A-Za-z0-9.-]{1,64}/\d{1,10}/(?:\d{1,20}|unknown)"),
    re.compile(r"(?:\d{1,3}\.){3}\d{1,3}:\d{1,5}"),
)
"""Values that are written as they are: instants, ids that are hashes, owners, addresses to listen on."""


def tell(event: Event, **fields: Any) -> None:
    """Log an event. Fields it is not documented with are left out."""
    level = logging.WARNING if event in GRAVE else logging.INFO
    _LOG.log(level, "%s", event.value, extra={"smr_event": event, "smr_fields": fields})


def error_of(error: BaseException) -> dict[str, Any]:
    """What may be told of an exception: its type, and a sentence or places in the code."""
    told: dict[str, Any] = {"error": type(error).__name__}
    if isinstance(error, DatabaseRefusedError):
        return told | {"why": str(error)}
    return told | {"trace": _places(error)}


def set_up(stream: TextIO | None = None, *, as_json: bool | None = None) -> None:
    """Send the log of smr and of the libraries to a stream; as JSON, but for people in a terminal."""
    target = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(target)
    readable = target.isatty() if as_json is None else not as_json
    handler.setFormatter(Readable() if readable else Json())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _LOG.setLevel(logging.INFO)
    logging.captureWarnings(True)


class Json(logging.Formatter):
    """A line of JSON: time, level, event, and the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line = {"time": _time(record), "level": record.levelname.lower(), **_told(record)}
        return json.dumps(line, ensure_ascii=False, default=str)


class Readable(logging.Formatter):
    """The same for people: time, event, field=value."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        told = _told(record)
        event = told.pop("event")
        parts = [f"{name}={_shown(value)}" for name, value in told.items()]
        return " ".join([_time(record), event, *parts])


def mask(text: str) -> str:
    """A text without telephone numbers, e-mail addresses, secrets of URLs and control characters."""
    if any(pattern.fullmatch(text) for pattern in _WHOLE):
        return text
    for pattern in (_TOKEN, _EMAIL, _NUMBER):
        text = pattern.sub(MASK, text)
    return escape(text[:LONGEST])


def escape(text: str) -> str:
    """A text with control, format and line-separating characters written as \\u escapes."""
    return "".join(
        f"\\u{ord(letter):04x}" if unicodedata.category(letter) in _UNSEEN else letter for letter in text
    )


_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co"})


def _told(record: logging.LogRecord) -> dict[str, Any]:
    event = getattr(record, "smr_event", None)
    fields = getattr(record, "smr_fields", None) if isinstance(event, Event) else _of_library(record)
    name = event if isinstance(event, Event) else Event.LIBRARY_SAID
    given: Mapping[str, Any] = fields or {}
    told = {field: _masked(given[field]) for field in FIELDS[name] if given.get(field) is not None}
    return {"event": name.value, **told}


def _of_library(record: logging.LogRecord) -> dict[str, Any]:
    """A library's record: its constant text, never what was put into it."""
    fields: dict[str, Any] = {"logger": record.name, "where": f"{record.filename}:{record.lineno}"}
    if record.args and isinstance(record.msg, str):
        fields["said"] = record.msg
    if record.exc_info and record.exc_info[1] is not None:
        fields |= {"error": type(record.exc_info[1]).__name__, "trace": _places(record.exc_info[1])}
    return fields


def _places(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, Mapping):
        return {mask(str(key)): _masked(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(one) for one in value]
    if isinstance(value, bool | int | None):
        return value
    return round(value, 3) if isinstance(value, float) else mask(str(value))


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
