"""What the documentation says of scenarios is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smr.playbook import load_library
from smr.scenarios import load_stories
from smr.scenarios.compare import Code
from smr.scenarios.judge import judge_on
from smr.scenarios.load import Story
from smr.scenarios.stage import Stage
from smr.settings import Settings
from tests.scenarios.shop import ScenarioShop

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```yaml scenarios\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = Settings.model_validate({"playbooks": ROOT / "playbooks"})


def _blocks(page: str) -> list[str]:
    return FENCE.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))


def _stories(folder: Path, text: str) -> list[Story]:
    path = folder / "napkins.scenarios.yaml"
    path.write_text(text, encoding="utf-8")
    return load_stories([path], load_library(EXAMPLES.playbooks, EXAMPLES), EXAMPLES)


def test_the_how_to_s_scenarios_pass(tmp_path: Path, place: Stage) -> None:
    library = load_library(EXAMPLES.playbooks, EXAMPLES)
    blocks = _blocks("how-to/test-a-playbook.md")
    assert len(blocks) >= 3
    for block in blocks:
        for story in _stories(tmp_path, block):
            assert judge_on(place, story, library, EXAMPLES).failures == ()


def test_the_failure_that_the_how_to_shows_reads_so(tmp_path: Path, place: Stage) -> None:
    """Its first scenario, with the message expected a day too early."""
    text = _blocks("how-to/test-a-playbook.md")[0]
    early = text.replace("        messages: []\n      - at: 2026-01-25 10:00\n", "")
    library = load_library(EXAMPLES.playbooks, EXAMPLES)
    (story,) = _stories(tmp_path, early)
    failure = judge_on(place, story, library, EXAMPLES).failures[0]
    page = (ROOT / "docs/how-to/test-a-playbook.md").read_text(encoding="utf-8")
    assert f"napkins.scenarios.yaml:{failure.line}:{failure.column} at {failure.at}\n" in page
    assert f"    expected {failure.expected}\n    instead: {failure.instead[0]}\n" in page


def test_the_reference_s_scenario_has_every_key_and_no_fault(shop: ScenarioShop) -> None:
    (block,) = _blocks("reference/scenarios.md")
    (story,) = load_stories([shop.scenarios(block)], load_library(shop.folder, shop.settings), shop.settings)
    scenario = story.scenario
    parts = [scenario, scenario.given, *scenario.expect, scenario.given.customers[0]]
    parts += [scenario.given.products[0], scenario.given.purchases[0], scenario.given.refunds[0]]
    parts += [scenario.given.tags[0], (scenario.expect[0].messages or ())[0], scenario.expect[0].waiting[0]]
    for part in parts:
        assert part.model_fields_set == set(type(part).model_fields) - (
            {"playbook"} if part is scenario.expect[0].waiting[0] else set()
        )


@pytest.mark.parametrize("code", list(Code))
def test_the_reference_names_every_code_of_a_failure(code: Code) -> None:
    assert f"`{code}`" in (ROOT / "docs/reference/scenarios.md").read_text(encoding="utf-8")
