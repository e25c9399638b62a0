"""Further databases within one test, beside the one of the fixture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import sqlalchemy as sa

from smr.database import Database, open_database


@contextmanager
def fresh_postgresql(server: str) -> Iterator[Database]:
    """A new, empty PostgreSQL database on that server, dropped at the end."""
    name = f"t_{uuid4().hex[:16]}"
    url = sa.make_url(server).set(drivername="postgresql+psycopg")
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    opened = open_database(url.set(database=name).render_as_string(hide_password=False))
    try:
        yield opened
    finally:
        opened.close()
        with admin.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()
