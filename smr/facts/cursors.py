"""How far a growing source has come, as text in the imports table that keeps its type."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from smr.errors import OperatorError


def cursor_text(cursor: Any) -> str:
    """A cursor with its type, to be kept."""
    if isinstance(cursor, datetime):
        return f"time:{cursor.isoformat(sep=' ')}"
    if isinstance(cursor, date):
        return f"day:{cursor.isoformat()}"
    if isinstance(cursor, int | float | Decimal):
        return f"number:{cursor}"
    return f"text:{cursor}"


def cursor_value(text: str) -> int | Decimal | str:
    """A cursor that was kept; times as text, which every database compares with its times."""
    kind, _, value = text.partition(":")
    if kind == "number":
        return int(value) if re.fullmatch(r"-?[0-9]+", value) else Decimal(value)
    return value


def later(cursor: Any, others: list[Any]) -> Any:
    """The furthest of these cursors; empty ones do not count."""
    known = [other for other in (cursor, *others) if other is not None]
    try:
        return max(known, default=None)
    except TypeError:
        raise OperatorError(
            "the cursor column holds values that cannot be compared; choose another"
        ) from None
