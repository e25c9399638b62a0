"""Column types that mean the same on SQLite and PostgreSQL.

Times are whole seconds since 1970 (BIGINT) on both: one arithmetic, one ordering, small indexes.
Keys are text compared byte by byte on both. Money is BIGINT minor units beside a currency column.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Dialect, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from smr import clock

Key = Text().with_variant(Text(collation="C"), "postgresql")
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def _moment(value: int | None) -> datetime | None:
    return None if value is None else clock.moment(value)


class Utc(TypeDecorator[datetime]):
    """An instant: aware datetime in Python, whole seconds since 1970 in the database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | int | None, dialect: Dialect) -> int | None:
        """Aware datetimes become seconds; naive ones are refused; seconds pass."""
        return clock.seconds(value) if isinstance(value, datetime) else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Seconds become an aware datetime in UTC."""
        return _moment(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        """The same without a detour, for it is asked for each value of each row."""
        return _moment

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:
        """Whole numbers beside a time are seconds."""
        return BigInteger() if isinstance(value, int) else self
