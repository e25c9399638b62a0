"""The guards' last word, right before a message is sent."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from smr import pipeline
from smr.database import Database
from smr.delivery import deliver
from smr.report import RunReport
from smr.settings import Settings
from smr.tables import messages
from tests.library import library
from tests.worlds import NOW, World, put

QUIET = """
name: care
status: live
trigger: {purchase: {}}
who: {not: {messaged: {within: 30d, at_least: 1}}}
steps: [{name: tip, send: 1d after purchase, message: 您好, via: wecom, useful_for: 9d}]
"""


def test_a_message_does_not_stand_in_its_own_way(database: Database, tmp_path: Path) -> None:
    """Ana is written to because nobody has written to her; that she is being written to changes nothing."""
    world = World()
    world.product("foam", category="洁面")
    world.customer("ana", addresses={"wecom": "w-ana"}, consent=True)
    world.purchase("ana", "foam", days_ago=2)
    put(database, world)
    settings = Settings.model_validate({"files": {"folder": tmp_path}})
    known = library(QUIET)

    done = pipeline.run(database, known, settings, now=NOW)
    assert isinstance(done, RunReport)
    assert done.queued == 1
    deliver(database, known, settings, now=NOW, owner="worker", lease_seconds=60)

    with database.read() as connection:
        assert connection.execute(sa.select(messages.c.state, messages.c.reason)).all() == [("sent", None)]
