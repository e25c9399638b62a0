"""Scenario files: finding them, reading them strictly, all faults at once.

In: files, or the folder of playbooks; the library and the settings their names are checked against. Out:
`Story` values, or FaultsError. Files are read as playbooks are (`strict_yaml`, `typed`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smr.errors import Fault, FaultsError
from smr.playbook.model import Library
from smr.scenarios.model import Scenario, ScenarioFile
from smr.scenarios.references import scenario_faults
from smr.settings import Settings
from smr.strict_yaml import Document, Steps, read_text, read_yaml
from smr.typed import typed

SUFFIXES = (".scenarios.yaml", ".scenarios.yml")
HABITS = {
    "time": "at",
    "date": "at",
    "now": "at",
    "text_contains": "contains",
    "includes": "contains",
    "body": "text",
    "message": "messages",
    "sent": "messages",
    "block": "blocked",
    "held": "held_out",
    "holdout": "held_out",
    "customer_id": "customer",
    "product_id": "product",
    "order_id": "order",
    "purchased_at": "at",
    "refunded_at": "at",
    "unit_price": "price",
    "facts": "given",
    "then": "expect",
    "expected": "expect",
    "tests": "scenarios",
    "settings": "policy",
}
"""Keys that other tools, or other files of smr, use for what is called otherwise here."""


@dataclass(frozen=True)
class Story:
    """One scenario and where it stands: `path` is its way inside the document."""

    scenario: Scenario
    document: Document
    path: Steps

    @property
    def file(self) -> str:
        """The file it stands in."""
        return self.document.file

    @property
    def line(self) -> int:
        """The line it begins in."""
        return self.document.place(self.path)[0]


def scenario_files(folder: Path) -> list[Path]:
    """The scenario files of a folder and those inside it, by name; hidden ones left out."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")):
            continue
        if path.is_dir() and not path.is_symlink():
            found += scenario_files(path)
        elif path.name.endswith(SUFFIXES):
            found.append(path)
    return found


def load_stories(files: Sequence[Path], library: Library, settings: Settings) -> list[Story]:
    """All scenarios of these files, in order; FaultsError tells all faults of all files."""
    stories: list[Story] = []
    faults: list[Fault] = []
    for path in files:
        try:
            stories += _read(path, library, settings)
        except FaultsError as error:
            faults += error.faults
    if faults:
        raise FaultsError(faults)
    return stories


def _read(path: Path, library: Library, settings: Settings) -> list[Story]:
    document = read_yaml(read_text(path), str(path))
    read, faults = typed(ScenarioFile, document, habits=HABITS, nouns={})
    unsaid = list(_unsaid(document, document.data))
    if unsaid:  # what is not said is told of once: not again as missing, or as expecting nothing
        faults = [fault for fault in faults if fault.code not in ("expects_nothing", "type")]
    faults = [*document.faults, *unsaid, *faults]
    if read is not None:
        faults += scenario_faults(document, read, library, settings)
    if faults or read is None:
        raise FaultsError(list(dict.fromkeys(faults)))
    return [
        Story(scenario, document, ("scenarios", number)) for number, scenario in enumerate(read.scenarios)
    ]


def _unsaid(document: Document, data: Any, path: Steps = ()) -> Iterator[Fault]:
    """A fault for each key or list item after which nothing stands: it might mean none, or not said."""
    parts = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for part, value in parts:
        if value is None:
            fix = "write a value, [] for an empty list, or take it out"
            yield document.fault((*path, part), "empty_value", "nothing stands here", fix, key=True)
        yield from _unsaid(document, value, (*path, part))


def stories_of(stories: Sequence[Story], playbook: str, library: Library) -> list[Story]:
    """Those about a playbook: in the file beside its own, or naming it."""
    stem = library.files.get(playbook, "").rpartition(".")[0]
    beside = {(library.folder / f"{stem}{suffix}").resolve() for suffix in SUFFIXES}
    return [
        story
        for story in stories
        if Path(story.file).resolve() in beside or playbook in _named(story.scenario)
    ]


def _named(scenario: Scenario) -> set[str]:
    expected = [
        one
        for moment in scenario.expect
        for one in (*(moment.messages or ()), *moment.waiting, *moment.blocked, *moment.held_out)
    ]
    return {*(scenario.playbooks or ()), *(one.playbook for one in expected if one.playbook)}
