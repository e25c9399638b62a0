"""The database's own clock, as one construct for both dialects.

Leases are given and judged by it, for the clocks of two machines may differ and a stated `--now` is not the
time that passes. Everything else in smr takes `now` as a parameter.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction


class database_now(GenericFunction[int]):  # noqa: N801 - reads as the SQL function it is
    """The present instant by the database's clock, in whole seconds since 1970.

    On PostgreSQL it goes on within a transaction, as it does on SQLite between statements.
    """

    type = sa.BigInteger()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _sqlite(_element: Any, _compiler: Any, **_: Any) -> str:
    return "CAST(strftime('%s', 'now') AS INTEGER)"


@compiles(database_now, "postgresql")
def _postgresql(_element: Any, _compiler: Any, **_: Any) -> str:
    return "CAST(floor(extract(epoch FROM clock_timestamp())) AS BIGINT)"


class database_now_us(GenericFunction[int]):  # noqa: N801 - reads as the SQL function it is
    """The same instant in microseconds, for rates; SQLite's clock ticks in milliseconds."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(database_now_us, "sqlite")
def _sqlite_us(_element: Any, _compiler: Any, **_: Any) -> str:
    return "CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000"


@compiles(database_now_us, "postgresql")
def _postgresql_us(_element: Any, _compiler: Any, **_: Any) -> str:
    return "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000000) AS BIGINT)"


__all__ = ["database_now", "database_now_us"]
