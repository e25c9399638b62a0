"""The scenarios of the example playbooks, and of the folders that `smr init` makes, pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from smr.messages.check import check_library
from smr.playbook import load_library
from smr.playbook.lint import lint
from smr.scenarios import load_stories, scenario_files
from smr.scenarios.judge import judge_on
from smr.scenarios.stage import Stage
from smr.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
STARTERS = ROOT / "smr" / "playbook" / "starter"
EXAMPLES = Settings.model_validate({"playbooks": ROOT / "playbooks"})


def _failures(place: Stage, settings: Settings) -> list[object]:
    library = load_library(settings.playbooks, settings)
    stories = load_stories(scenario_files(library.folder), library, settings)
    assert stories
    return [failure for story in stories for failure in judge_on(place, story, library, settings).failures]


def test_the_example_playbooks_do_what_their_scenarios_say(place: Stage) -> None:
    assert _failures(place, EXAMPLES) == []


GALLERY = Settings.model_validate(
    {"playbooks": ROOT / "playbooks" / "_gallery", "shop": {"language": "zh"}, "channels": {"wecom": {}}}
)


def test_the_gallery_does_what_its_scenarios_say(place: Stage) -> None:
    assert _failures(place, GALLERY) == []


def test_each_playbook_of_the_gallery_has_a_scenario_and_nothing_doubtful() -> None:
    library = load_library(GALLERY.playbooks, GALLERY)
    assert len(library.playbooks) >= 10
    stories = load_stories(scenario_files(library.folder), library, GALLERY)
    spoken_of = {Path(library.files[name]).stem.removesuffix("-stage") for name in library.files}
    told = {path.name.removesuffix(".scenarios.yaml") for path in scenario_files(library.folder)}
    assert spoken_of <= told
    assert stories
    found = [*lint(library, GALLERY), *check_library(library, GALLERY)]
    assert [str(fault) for fault in found] == []


def test_they_do_so_with_the_demo_s_configuration(place: Stage) -> None:
    demo = load_settings(ROOT / "smr" / "demo_data" / "config.yaml", {})
    assert _failures(place, demo.model_copy(update={"playbooks": ROOT / "playbooks"})) == []


@pytest.mark.parametrize(
    "folder", sorted(path.name for path in STARTERS.iterdir() if (path / "config.yaml").exists())
)
def test_a_new_folder_does_what_its_scenarios_say(folder: str, place: Stage) -> None:
    assert _failures(place, load_settings(STARTERS / folder / "config.yaml", {})) == []
