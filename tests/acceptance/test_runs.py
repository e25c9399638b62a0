"""Real `smr run` processes, killed at any point or started together: the same messages, each once."""

from __future__ import annotations

import signal
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from smr import runs
from smr.database import Database, open_database
from smr.database.migrate import ensure_current
from smr.tables import messages
from tests.warm import Worker, smr
from tests.worlds import World, put

NOW = "2026-11-23T09:00"
PEOPLE = [f"c{number}" for number in range(60)]
POINTS = [
    "after_publish:1",
    "in_supplies:1",
    "in_segments:1",
    "in_judging:1",
    "after_judging:1",
    "after_settling:1",
    "outbox_put_row:1",
    "outbox_after_put:1",
    "outbox_before_mark:1",
    "outbox_after_commit:1",
    "before_finish:1",
]


@pytest.fixture
def shop(tmp_path: Path, database_url: str) -> Path:
    """A shop on this database."""
    return open_shop(tmp_path, database_url)


def open_shop(parent: Path, database_url: str) -> Path:
    """A configuration, playbooks, and a database of sixty customers who bought cleanser and cat food."""
    folder = parent / "shop"
    (folder / "playbooks").mkdir(parents=True)
    (folder / "config.yaml").write_text("policy: {caps: [2 per 1d]}\n")
    catalog = "cycles: {categories: {洁面: {lasts: 45d}, 猫粮: {lasts: 12d}}}\n"
    (folder / "playbooks" / "catalog.yaml").write_text(catalog)
    (folder / "playbooks" / "segments.yaml").write_text(
        "segments: {loyal: {where: {orders: {at_least: 2}}}}\n"
    )
    for name, category, send in (("face", "洁面", "5d before due"), ("cats", "猫粮", "on due")):
        (folder / "playbooks" / f"{name}.yaml").write_text(playbook(name, category, send))
    opened = open_database(database_url)
    ensure_current(opened)
    put(opened, world())
    opened.close()
    return folder


def playbook(name: str, category: str, send: str) -> str:
    return textwrap.dedent(f"""
        name: {name}
        status: live
        trigger: {{runs_out: {{category: {category}}}}}
        who: {{segment: loyal}}
        holdout: 20%
        steps:
          - name: step
            send: {send}
            message: "{{{{ customer.name | default('亲') }}}}: {{{{ due.date | day }}}}"
    """)


def world() -> World:
    made = World()
    made.product("foam", category="洁面")
    made.product("fish", category="猫粮")
    for name in PEOPLE:
        made.customer(name, addresses={"wecom": f"wm-{name}"}, consent=True)
        made.purchase(name, "foam", days_ago=41)
        made.purchase(name, "fish", days_ago=13)
    return made


def start(shop: Path, url: str, crash: str = "") -> Worker:
    """A run in a process of its own."""
    words = ("run", "--config", str(shop / "config.yaml"), "--now", NOW)
    return smr(*words, crash=crash, SMR_DATABASE_URL=url)


def run(shop: Path, url: str) -> str:
    """A run that ends well; what it printed."""
    return start(shop, url).finished()


def outbox(url: str) -> list[tuple[Any, ...]]:
    """All messages as they lie in the outbox, but for the number of the run that made them."""
    opened = open_database(url)
    columns = [column for column in messages.c if column.name != "run_id"]
    with opened.read() as connection:
        found = connection.execute(sa.select(*columns).order_by(*messages.primary_key.columns))
        rows = [tuple(row) for row in found]
    opened.close()
    return rows


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    """The messages of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    url = f"sqlite:///{folder}/shop.db"
    run(open_shop(folder, url), url)
    rows = outbox(url)
    assert 60 < len(rows) < 120
    return rows


@pytest.mark.parametrize("point", POINTS)
def test_a_run_killed_anywhere_and_started_again_makes_the_same_messages(
    shop: Path, database_url: str, point: str, undisturbed: list[tuple[Any, ...]]
) -> None:
    assert start(shop, database_url, crash=point).wait() == -signal.SIGKILL
    run(shop, database_url)
    assert outbox(database_url) == undisturbed
    run(shop, database_url)
    assert outbox(database_url) == undisturbed


def test_runs_started_together_make_the_same_messages(
    shop: Path, database_url: str, undisturbed: list[tuple[Any, ...]]
) -> None:
    for process in [start(shop, database_url) for _ in range(4)]:
        process.finished()
    assert outbox(database_url) == undisturbed


def test_a_second_run_says_why_it_makes_nothing(shop: Path, database_url: str) -> None:
    run(shop, database_url)
    assert "settled by earlier runs" in run(shop, database_url)


def test_a_run_whose_process_is_gone_gives_way_at_once(sqlite_database: Database) -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    host = runs.this_process().split("/")[0]
    first = runs.begin(sqlite_database, now=now, version="v", slot=None, owner=f"{host}/999999999/1")
    assert isinstance(first, runs.Run)
    second = runs.begin(sqlite_database, now=now, version="v", slot=None, owner=runs.this_process())
    assert isinstance(second, runs.Run)
    third = runs.begin(sqlite_database, now=now, version="v", slot=None, owner="elsewhere/1/1")
    assert isinstance(third, runs.UnderWay)
    assert not third.done


def test_a_slot_is_run_once(sqlite_database: Database) -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    first = runs.begin(sqlite_database, now=now, version="v", slot="daily@23", owner="a/1/1")
    assert isinstance(first, runs.Run)
    with sqlite_database.write() as connection:
        runs.finish(connection, first, {})
    second = runs.begin(sqlite_database, now=now, version="v", slot="daily@23", owner="b/1/1")
    assert isinstance(second, runs.UnderWay)
    assert second.done
