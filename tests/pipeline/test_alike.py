"""Playbooks that ask alike share the statements that find and judge; each still gets its own answers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from smr import pipeline
from smr.database import Database, open_database
from smr.report import RunReport
from smr.settings import Settings
from smr.tables import candidates
from tests.library import library
from tests.worlds import NOW, World, put

BOOK = """
name: {name}
status: live
priority: {priority}
trigger: {{runs_out: {{{lines}}}{more}}}
{who}
steps:
  - {{name: {step}, send: "{send}", via: wecom, useful_for: {useful}, message: "{{{{ product.name }}}}"}}
"""


def book(
    name: str,
    lines: str,
    *,
    step: str = "remind",
    send: str = "5d before due",
    useful: str = "10d",
    priority: int = 50,
    who: str = "",
    more: str = "",
) -> str:
    """A playbook that reminds when these goods run out."""
    return BOOK.format(
        name=name, lines=lines, step=step, send=send, useful=useful, priority=priority, who=who, more=more
    )


LOYAL = "who: {orders: {at_least: 2}}"
BOOKS = (
    book("cleanser", "category: 洁面", priority=70),
    book("catfood", "category: 猫粮", step="soon", send="2d before due", useful="3d", priority=60),
    book("both", "category: [洁面, 猫粮]", send="4d before due", useful="20d"),
    book("loyal", "category: 洁面", who=LOYAL),
    book("loyal_cats", "category: 猫粮", who=LOYAL),
    book("foam", "product: foam"),
    book("all", ""),
    book("likely", "category: 洁面", more=", likely: 20%"),
)
CATALOG = """
track: both
cycles:
  default: {lasts: 30d}
  categories:
    洁面: {lasts: 45d, learn: false}
    猫粮: {lasts: 12d, learn: false}
"""


@pytest.fixture
def shop() -> Iterator[World]:
    world = World()
    world.product("foam", category="洁面")
    world.product("fish", category="猫粮")
    for name in ("ana", "ben", "cid"):
        world.customer(name, addresses={"wecom": name}, consent=True)
    world.purchase("ana", "foam", days_ago=41)
    world.purchase("ana", "fish", days_ago=11)
    world.purchase("ben", "foam", days_ago=42)
    world.purchase("cid", "foam", days_ago=200)  # too long ago to be reminded
    yield world


Decision = tuple[str, str, str, str, float, int, int, bool]


def decided(database: Database, *books: str, runs: int) -> set[Decision]:
    """What a run decides with these playbooks, after as many runs of the days before as are said.

    By playbook, step, customer and anchor: in how many days it is due, until when, its priority, and whether
    the customer is outside the playbook's audience.
    """
    known = library(*books, catalog=CATALOG)
    for days in range(1 - runs, 1):
        done = pipeline.run(database, known, Settings(), now=NOW + timedelta(days=days))
        assert isinstance(done, RunReport)
    c = candidates.c
    asked = sa.select(
        c.playbook, c.step, c.customer_id, c.anchor, c.due_at, c.expires_at, c.priority, c.reason
    )
    with database.read() as connection:
        return {
            (
                *row[:4],
                (row[4] - NOW) / timedelta(days=1),
                (row[5] - row[4]).days,
                row[6],
                row[7] == "not_in_segment",
            )
            for row in connection.execute(asked)
        }


@pytest.mark.parametrize("runs", [1, 2])
def test_each_playbook_is_due_by_its_own_lines_days_and_audience(
    database: Database, shop: World, runs: int
) -> None:
    """The second run looks for news alone, by other statements than the first.

    Nothing is learned of cleansers here, so that nobody is ever likely to buy one.
    """
    put(database, shop)
    found = decided(database, *BOOKS, runs=runs)
    assert {one for one in found if one[0] != "all"} == {
        ("cleanser", "remind", "ana", "o1/洁面", -1, 10, 70, False),
        ("cleanser", "remind", "ben", "o3/洁面", -2, 10, 70, False),
        ("catfood", "soon", "ana", "o2/猫粮", -1, 3, 60, False),
        ("both", "remind", "ana", "o1/洁面", 0, 20, 50, False),
        ("both", "remind", "ana", "o2/猫粮", -3, 20, 50, False),
        ("both", "remind", "ben", "o3/洁面", -1, 20, 50, False),
        ("loyal", "remind", "ana", "o1/洁面", -1, 10, 50, False),
        ("loyal", "remind", "ben", "o3/洁面", -2, 10, 50, True),
        ("loyal_cats", "remind", "ana", "o2/猫粮", -4, 10, 50, False),
        ("foam", "remind", "ana", "o1/foam", -1, 10, 50, False),
        ("foam", "remind", "ben", "o3/foam", -2, 10, 50, False),
    }
    assert {one[3] for one in found if one[0] == "all"} == {
        *("o1/洁面", "o2/猫粮", "o3/洁面"),
        *("o1/foam", "o2/fish", "o3/foam"),
    }


LEARNING = """
track: category
cycles:
  categories: {洁面: {lasts: 45d}, 猫粮: {lasts: 30d}}
"""
LIKELY = (
    book("early", "category: 洁面", send="3d before due", useful="30d", more=", likely: 20%"),
    book("again", "category: 洁面", send="2d before due", useful="30d", more=", likely: 20%"),
    book("late", "category: 洁面", send="1d before due", useful="30d", more=", likely: 25%"),
    book("stated", "category: 洁面", send="9d before due", useful="30d"),
    book("cats", "category: 猫粮", send="3d before due", useful="30d", more=", likely: 20%"),
)


def regulars() -> World:
    """Twenty who buy cleanser each 40 to 60 days and cat food each 25 to 35, and have just bought again."""
    world = World()
    world.product("foam", category="洁面")
    world.product("fish", category="猫粮")
    for number in range(20):
        name = f"c{number}"
        world.customer(name)  # nothing may be sent, so that what is due stays open and none gives way
        for product, gap in (("foam", 40 + number), ("fish", 25 + number // 2)):
            for before in range(6):
                world.purchase(name, product, days_ago=24 + number + gap * before)
    return world


def learned(database: Database, *books: str) -> set[tuple[str, ...]]:
    """What a run and two more of the same week found due, with their days."""
    put(database, regulars())
    known = library(*books, catalog=LEARNING)
    for day in (0, 2, 5):
        done = pipeline.run(database, known, Settings(), now=NOW + timedelta(days=day))
        assert isinstance(done, RunReport)
    c = candidates.c
    with database.read() as connection:
        rows = connection.execute(sa.select(c.playbook, c.customer_id, c.anchor, c.due_at, c.expires_at))
        return {tuple(map(str, row)) for row in rows}


def test_playbooks_together_find_what_each_finds_alone(
    database: Database, file_with_tables: Path, tmp_path: Path
) -> None:
    """Days that are learned, asked for with different chances, of different goods."""
    apart: set[tuple[str, ...]] = set()
    for number, one in enumerate(LIKELY):
        file = tmp_path / f"alone{number}.db"
        shutil.copyfile(file_with_tables, file)
        alone = open_database(f"sqlite:///{file}")
        found = learned(alone, one)
        alone.close()
        assert found, "each finds something"
        apart |= found
    assert learned(database, *LIKELY) == apart
