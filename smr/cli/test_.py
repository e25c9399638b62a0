"""`smr test`: runs the scenarios of the playbooks with a simulated clock."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from smr.cli.say import bar, facts, give_json, talk
from smr.cli.shop import ConfigOption, JsonOption, Shop, open_shop
from smr.errors import OperatorError, did_you_mean
from smr.scenarios import Failure, Story, Verdict, judge, load_stories, scenario_files, stories_of

FilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Scenario files; all of the playbooks' folder where none is named.", metavar="[FILE]..."
    ),
]
AboutOption = Annotated[
    list[str] | None,
    typer.Option("--playbook", "-p", help="Only scenarios about this playbook; may be repeated."),
]


def test(
    files: FilesArgument = None,
    playbook: AboutOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the scenarios of the playbooks with a simulated clock; no real customer is touched.

    Exit code 0: all passed; 1: some failed; 2: a file with a fault.
    """
    shop = open_shop(config)
    stories = _chosen(shop, files, playbook)
    verdicts = []
    with bar("scenarios") as progress:
        for verdict in judge(stories, shop.library, shop.settings):
            verdicts.append(verdict)
            progress(len(verdicts), len(stories), verdict.story.scenario.name)
    if as_json:
        give_json(_plain(verdicts))
    else:
        _tell(verdicts)
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(1)


def _chosen(shop: Shop, files: list[Path] | None, playbooks: list[str] | None) -> list[Story]:
    library = shop.library
    stories = load_stories(files or scenario_files(library.folder), library, shop.settings)
    if not playbooks:
        return stories
    known = [one.name for one in library.playbooks]
    for name in playbooks:
        if name not in known:
            raise OperatorError(f"--playbook: there is no playbook {name!r}; {did_you_mean(name, known)}")
    about = [stories_of(stories, name, library) for name in playbooks]
    return [story for story in stories if any(story in chosen for chosen in about)]


def _plain(verdicts: Sequence[Verdict]) -> dict[str, object]:
    return {
        "passed": sum(verdict.passed for verdict in verdicts),
        "failed": sum(not verdict.passed for verdict in verdicts),
        "scenarios": [verdict.as_json() for verdict in verdicts],
    }


def _tell(verdicts: Sequence[Verdict]) -> None:
    for verdict in verdicts:
        mark, style = ("✓", "green") if verdict.passed else ("✗", "red")
        place = f"{verdict.story.file}:{verdict.story.line}"
        facts.print(f"{mark} {place} {verdict.story.scenario.name}", markup=False, style=style)
        for failure in verdict.failures:
            _tell_failure(failure)
    failed = sum(not verdict.passed for verdict in verdicts)
    if not verdicts:
        talk.print("There are no scenarios. Write one beside a playbook: NAME.scenarios.yaml")
    facts.print(f"{len(verdicts) - failed} passed, {failed} failed")


def _tell_failure(failure: Failure) -> None:
    facts.print(f"  {failure.file}:{failure.line}:{failure.column} at {failure.at}", markup=False)
    facts.print(f"    expected {failure.expected}", markup=False)
    for sentence in failure.instead:
        facts.print(f"    instead: {sentence}", markup=False)
    for line in failure.diff:
        style = {"-": "red", "+": "green"}.get(line[:1], "")
        facts.print(f"      {line}", markup=False, style=style)
