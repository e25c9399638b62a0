"""Runs the migrations on a connection that is handed in, inside its transaction.

`smr db upgrade` and a first start hand one in. From a shell it serves for writing a new version, which is
drafted by comparing the declared tables with a database of the version before:

    export SMR_DATABASE_URL=sqlite:////tmp/before.db && smr db upgrade
    alembic -c migrations/alembic.ini revision --autogenerate --rev-id 0002 -m "what changes"

Read the draft, make it import nothing from the program, and raise `HEAD` in smr/database/migrate.py.
"""

from __future__ import annotations

import os

from alembic import context
from sqlalchemy.engine import Connection

from smr.database import open_database
from smr.tables import metadata


def run(connection: Connection) -> None:
    """Apply what is missing."""
    context.configure(connection=connection, target_metadata=metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


def run_from_shell() -> None:
    """Apply to the database the environment names."""
    with open_database(os.environ["SMR_DATABASE_URL"]).write() as connection:
        run(connection)


given = context.config.attributes.get("connection")
if given is None:
    run_from_shell()
else:
    run(given)
