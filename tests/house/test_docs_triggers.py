"""Every trigger shown in the documentation is run, not only read, and every kind and key of one is shown."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter

from smr import pipeline
from smr.database import Database
from smr.playbook.model import TRIGGERS, Trigger
from smr.settings import Settings
from smr.tables import candidates
from tests.house.shown import models, said, shown
from tests.library import library, read
from tests.worlds import NOW, World, put

BOOK = """
name: t{number}
status: live
trigger:
{trigger}
steps: [{{name: one, send: on due, message: 你好}}]
"""
SEGMENTS = """
segments: {loyal: {where: {orders: {at_least: 1}}}}
ready: {lifecycle: {}}
"""


def test_every_kind_of_trigger_is_shown_and_each_that_is_shown_runs(database: Database) -> None:
    triggers = shown("trigger")
    assert {key for text in triggers for key in read(text)} >= set(TRIGGERS)
    indented = [re.sub("^", "  ", text, flags=re.MULTILINE) for text in triggers]
    books = [BOOK.format(number=number, trigger=text) for number, text in enumerate(indented)]
    world = World()
    world.product("P1", category="洁面")
    world.customer("ana", addresses={"wecom": "ana"}, consent=True, birthday="1990-11-23")
    world.purchase("ana", "P1", days_ago=44)
    put(database, world)
    pipeline.run(database, library(*books, segments=SEGMENTS), Settings(), now=NOW)
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(candidates)).scalar_one() > 0


def test_each_key_inside_a_trigger_is_shown() -> None:
    parser: TypeAdapter[Any] = TypeAdapter(Trigger)
    keys = {key for text in shown("trigger") for key in said(parser.validate_python(read(text)))}
    may_be_said = {(model, name) for model in models(Trigger) for name in model.model_fields}
    assert sorted(f"{model.__name__}.{name}" for model, name in may_be_said - keys) == []
