"""Asking providers for receipts, where they do not call by themselves.

In: a channel that is able to poll. Out: its receipts, stored, and from where to ask next time. One process
at a time asks, at the channel's own pace. Killed between storing and noting where it was, it is told the same
again, which changes nothing.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.channels import Channel, Polling
from smr.database import Database, insert_missing
from smr.database.timing import database_now
from smr.delivery import receipts
from smr.delivery.report import DeliveryReport
from smr.errors import ChannelError
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import channels

MOST_PAGES = 100
"""Questions in one turn; the rest is asked in the next."""
_c = channels.c


def poll(
    database: Database,
    library: Library,
    settings: Settings,
    channel: Channel,
    *,
    now: datetime,
    report: DeliveryReport,
) -> None:
    """Take what a channel's provider has to tell, if it is time and nobody else is asking."""
    if not isinstance(channel, Polling):
        return
    with database.write() as connection:
        cursor = _turn(connection, channel.name, channel.poll_seconds)
    for _ in range(MOST_PAGES if cursor is not None else 0):
        try:
            told = channel.poll(cursor or "", now)
        except ChannelError as error:
            report.troubles[channel.name] = str(error)
            return
        receipts.take(database, library, settings, channel.name, told.receipts, now=now)
        if told.cursor != cursor:
            with database.write() as connection:
                here = sa.update(channels).where(_c.channel == channel.name)
                connection.execute(here.values(poll_cursor=told.cursor))
        if not told.receipts or told.cursor == cursor:
            return
        cursor = told.cursor


def _turn(connection: Connection, channel: str, seconds: int) -> str | None:
    """Be the one who asks now, and from where on; None where it is not time yet."""
    connection.execute(insert_missing(connection.dialect.name, channels), {"channel": channel})
    due = sa.or_(_c.poll_after.is_(None), _c.poll_after <= database_now())
    mine = sa.update(channels).where(_c.channel == channel, due)
    until = database_now() + sa.literal(seconds, sa.BigInteger)
    if connection.execute(mine.values(poll_after=until)).rowcount != 1:
        return None
    return str(connection.execute(sa.select(_c.poll_cursor).where(_c.channel == channel)).scalar_one())
