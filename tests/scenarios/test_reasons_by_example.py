"""Each reason of the documentation stops a message in the example that stands under its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from smr import outbox, pipeline
from smr.database import Database
from smr.events import Reason
from smr.messages.check import check_library
from smr.outbox import look
from smr.playbook import load_library
from smr.playbook.lint import lint
from smr.scenarios import Story, load_stories
from smr.scenarios.judge import judge_on
from smr.scenarios.stage import Stage
from smr.settings import Settings
from smr.tables import messages
from tests.house.test_docs_yaml import FENCE
from tests.library import read
from tests.worlds import NOW, World, put

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "reasons-by-example.md"
FOR_ALL, *SECTIONS, REST = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
EXAMPLES = {head: text for head, _, text in (section.partition("\n") for section in SECTIONS)}
ELSEWHERE = {
    Reason.PAUSED: "the playbooks of a scenario are live from beginning to end",
    Reason.DELETED: "the folder of a scenario does not change while it is played",
    Reason.OPERATOR: "nobody stands at the shop of a scenario to cancel a message",
}
"""Reasons that no scenario can produce, and why; they are played by hand below."""
DOUBTFUL = {"template": ["template_variable"]}
"""What `smr check` warns of in an example: only of what it is to show."""


def _shop(folder: Path, example: str) -> Settings:
    """A folder with what holds for all examples, and what this one says otherwise; its settings."""
    config: dict[str, object] = {}
    for fence, block in FENCE.findall(FOR_ALL + example):
        kind = fence.strip()
        if kind == "config":
            config = read(block)
        else:
            (folder / _file(kind, block)).write_text(block, encoding="utf-8")
    return Settings.model_validate({**config, "playbooks": folder})


def _file(kind: str, block: str) -> str:
    if kind == "scenarios":
        return "all.scenarios.yaml"
    return f"{read(block)['name'] if kind == 'playbook' else kind}.yaml"


def _reason_of(head: str) -> str:
    """Several examples may stand under one reason: `too_soon, on one channel`."""
    return head.partition(",")[0]


def _reasons(stories: list[Story]) -> Iterator[Reason]:
    """Why something is not sent, as these scenarios expect it."""
    for story in stories:
        for moment in story.scenario.expect:
            yield from (one.reason for one in moment.blocked)
            yield from (Reason.HOLDOUT for _ in moment.held_out)


@pytest.mark.parametrize("head", EXAMPLES)
def test_the_example_of_a_reason_is_stopped_for_it(head: str, tmp_path: Path, place: Stage) -> None:
    reason = _reason_of(head)
    settings = _shop(tmp_path, EXAMPLES[head])
    library = load_library(tmp_path, settings)
    stories = load_stories([tmp_path / "all.scenarios.yaml"], library, settings)
    assert reason in set(_reasons(stories))
    for story in stories:
        assert judge_on(place, story, library, settings).failures == ()
    warnings = [fault.code for fault in (*lint(library, settings), *check_library(library, settings))]
    assert warnings == DOUBTFUL.get(reason, [])


def test_every_reason_has_its_example_or_cannot_have_one() -> None:
    assert {_reason_of(head) for head in EXAMPLES} == {*Reason} - {*ELSEWHERE}
    assert re.findall(r"^\* `(\w+)`:", REST, flags=re.MULTILINE) == [*ELSEWHERE]


def _pause(folder: Path) -> None:
    live = (folder / "cleanser.yaml").read_text(encoding="utf-8")
    (folder / "cleanser.yaml").write_text(live.replace("status: live", "status: paused"), encoding="utf-8")


def _delete(folder: Path) -> None:
    (folder / "cleanser.yaml").unlink()


@pytest.mark.parametrize(("reason", "change"), [(Reason.PAUSED, _pause), (Reason.DELETED, _delete)])
def test_the_next_run_cancels_what_is_queued_of_a_playbook_that_was_taken_away(
    reason: Reason, change: Callable[[Path], None], tmp_path: Path, database: Database
) -> None:
    _queue_for_lin(database, tmp_path)
    change(tmp_path)
    _run(database, tmp_path, NOW + timedelta(minutes=30))
    assert _what_became_of_it(database) == ("cancelled", reason)


def test_what_an_operator_cancels_is_not_sent(tmp_path: Path, database: Database) -> None:
    _queue_for_lin(database, tmp_path)
    outbox.cancel(database, *look.chosen(customer_id="lin"), actor="周姐", now=NOW)
    assert _what_became_of_it(database) == ("cancelled", Reason.OPERATOR)


def _queue_for_lin(database: Database, folder: Path) -> None:
    """小林's cleanser runs out in four days; her reminder is in the outbox."""
    world = World()
    world.product("C-1", category="洁面")
    world.customer("lin", addresses={"wecom": "wm_lin"}, consent=True)
    world.purchase("lin", "C-1", days_ago=41)
    put(database, world)
    _shop(folder, "")
    _run(database, folder, NOW)
    assert _what_became_of_it(database) == ("queued", None)


def _run(database: Database, folder: Path, now: datetime) -> None:
    settings = Settings.model_validate({"playbooks": folder})
    pipeline.run(database, load_library(folder, settings), settings, now=now)


def _what_became_of_it(database: Database) -> tuple[str, str | None]:
    with database.read() as connection:
        state, reason = connection.execute(sa.select(messages.c.state, messages.c.reason)).one()
    return state, reason
