"""Playbooks that ask alike share the statements that find and judge; each still gets its own answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from smr import pipeline
from smr.database import Database
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
    for name in ("ana", "ben"):
        world.customer(name, addresses={"wecom": name}, consent=True)
    world.purchase("ana", "foam", days_ago=41)
    world.purchase("ana", "fish", days_ago=11)
    world.purchase("ben", "foam", days_ago=42)
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
