"""What is expected of days, kept for `smr.alarms` to compare with what goes out."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from smr.database import Database, insert_or_update
from smr.simulation.outlook import Outlook
from smr.tables import expected_messages

KEPT_DAYS = 90
"""How long expectations of days that are over are kept."""


def keep(database: Database, outlook: Outlook) -> None:
    """Keep what is expected of the simulated days; what was expected of them before is replaced."""
    rows = [
        {
            "day": row.day.isoformat(),
            "playbook": row.playbook,
            "channel": row.channel,
            "expected": row.expected,
            "low": row.low,
            "high": row.high,
            "made_at": outlook.made_at,
        }
        for row in outlook.rows
    ]
    books = sorted({row.playbook for row in outlook.rows})
    table = expected_messages
    old = (outlook.days[0] - timedelta(days=KEPT_DAYS)).isoformat()
    with database.write() as connection:
        gone = sa.and_(table.c.day >= outlook.days[0].isoformat(), table.c.playbook.in_(books))
        connection.execute(sa.delete(table).where(sa.or_(gone, table.c.day < old)))
        if rows:
            update = ["expected", "low", "high", "made_at"]
            connection.execute(insert_or_update(connection.dialect.name, table, update=update), rows)
