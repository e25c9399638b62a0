"""Runs the migrations on a connection that is handed in, inside its transaction.

`smr db upgrade` and a first start hand one in. From a shell, for writing a new version:
`alembic -c migrations/alembic.ini revision --autogenerate -m "what changes"`, against an empty
database in memory that is brought to the newest version first.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context
from sqlalchemy.engine import Connection

from smr.tables import metadata


def run(connection: Connection) -> None:
    """Apply what is missing."""
    context.configure(connection=connection, target_metadata=metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


def run_from_shell() -> None:
    """Apply to the database the configuration names."""
    engine = sa.create_engine(context.config.get_main_option("sqlalchemy.url", "sqlite://"))
    with engine.connect() as connection:
        run(connection)


given = context.config.attributes.get("connection")
if given is None:
    run_from_shell()
else:
    run(given)
