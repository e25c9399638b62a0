"""What a provider means by Retry-After."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MOST = 86_400


def retry_after(headers: Mapping[str, str], now: datetime) -> float:
    """Seconds to wait, from a number of seconds or a date; 0 for what is past or cannot be read."""
    stated = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,12}", stated):
        return float(min(int(stated), MOST))
    try:
        until = parsedate_to_datetime(stated)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0
    aware = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max((aware - now).total_seconds(), 0), MOST)
