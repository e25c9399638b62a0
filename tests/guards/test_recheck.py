"""The guards' last word, right before a message is sent."""

from __future__ import annotations

from pathlib import Path

import pytest
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


TWO = """
name: %s
status: live
trigger: {purchase: {}}
steps: [{name: tip, send: 1d after purchase, message: 您好, via: wecom, useful_for: 9d}]
"""


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"caps": []}, None),
        ({"caps": ["1 per 1d"]}, "frequency_cap"),
        ({"caps": ["2 per 1d"]}, None),
        ({"caps": [], "gap": "20h"}, "too_soon"),
        ({"caps": [], "fatigue": {"after": 1, "slow_to": "1 per 7d"}}, "fatigue"),
        ({"caps": [], "fatigue": {"after": 2, "slow_to": "1 per 7d"}}, None),
        ({"caps": [], "mix": {"selling_at_most": "40%", "within": "7d"}}, "content_mix"),
        ({"caps": [], "mix": {"selling_at_most": "100%", "within": "7d"}}, None),
    ],
)
def test_a_customers_only_message_heeds_what_went_out_before_it(
    database: Database, tmp_path: Path, policy: dict[str, object], reason: str | None
) -> None:
    """Two playbooks write to Ana; her second message is judged when the first has gone out, not before."""
    world = World()
    world.product("foam", category="洁面")
    world.customer("ana", addresses={"wecom": "w-ana"}, consent=True)
    world.purchase("ana", "foam", days_ago=2)
    put(database, world)
    known = library(TWO % "one", TWO % "two")
    free = Settings.model_validate({"files": {"folder": tmp_path}, "policy": {"caps": []}})
    done = pipeline.run(database, known, free, now=NOW)
    assert isinstance(done, RunReport)
    assert done.queued == 2
    deliver(database, known, free, now=NOW, owner="worker", limit=1)

    strict = Settings.model_validate({"files": {"folder": tmp_path}, "policy": policy})
    deliver(database, known, strict, now=NOW, owner="worker")

    with database.read() as connection:
        found = connection.execute(sa.select(messages.c.state, messages.c.reason).order_by(messages.c.state))
        second = ("sent", None) if reason is None else ("queued", reason)
        assert sorted(map(tuple, found)) == sorted([("sent", None), second])
