"""`smr check`: all faults of the configuration and the playbooks, and what is surely not meant."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import typer

from smr.cli.say import facts, give_json
from smr.cli.shop import ConfigOption, JsonOption
from smr.errors import Fault, FaultsError
from smr.messages.check import check_library
from smr.playbook import load_library
from smr.playbook.lint import lint
from smr.playbook.model import Library
from smr.settings import Settings, load_settings


@dataclass
class Findings:
    """What a check found: faults by place, and how much was looked at."""

    faults: list[Fault] = field(default_factory=list)
    playbooks: int = 0
    segments: int = 0
    templates: int = 0
    caps: str = ""

    @property
    def errors(self) -> list[Fault]:
        """What must be mended before anything runs."""
        return sorted(fault for fault in self.faults if not fault.warning)

    @property
    def warnings(self) -> list[Fault]:
        """What may be meant, but probably is not."""
        return sorted(fault for fault in self.faults if fault.warning)


def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check the configuration and all playbooks: every fault at once, with its place and what to do."""
    found = examine(config)
    if as_json:
        give_json(_plain(found))
    else:
        _tell(found)
    if found.errors:
        raise typer.Exit(2)


def examine(config: Path | None) -> Findings:
    """Everything that is wrong or doubtful."""
    found = Findings()
    try:
        settings = load_settings(config)
        found.faults += settings.warnings
        found.caps = ", ".join(str(cap) for cap in settings.policy.caps)
        library = load_library(settings.playbooks, settings)
    except FaultsError as error:
        found.faults += error.faults
        return found
    _count(found, library)
    found.faults += _meaning(library, settings)
    return found


def _meaning(library: Library, settings: Settings) -> list[Fault]:
    return list(dict.fromkeys([*lint(library, settings), *check_library(library, settings)]))


def _count(found: Findings, library: Library) -> None:
    steps = [step for playbook in library.playbooks for step in playbook.steps]
    found.playbooks = len(library.playbooks)
    found.segments = len(library.segments)
    found.templates = sum(1 + (step.html is not None or step.html_template is not None) for step in steps)


def _plain(found: Findings) -> dict[str, object]:
    return {
        "playbooks": found.playbooks,
        "segments": found.segments,
        "templates": found.templates,
        "caps": found.caps,
        "errors": [asdict(fault) for fault in found.errors],
        "warnings": [asdict(fault) for fault in found.warnings],
    }


def _tell(found: Findings) -> None:
    for fault in found.errors:
        facts.print(f"error: {fault}", markup=False)
    for fault in found.warnings:
        facts.print(f"warning: {fault}", markup=False)
    counts = [
        _many(len(found.errors), "error"),
        _many(len(found.warnings), "warning"),
    ]
    if not found.errors:
        seen = (
            _many(found.playbooks, "playbook"),
            _many(found.segments, "segment"),
            _many(found.templates, "template"),
        )
        counts = [*seen, *counts, f"caps {found.caps or 'none'}"]
    facts.print(", ".join(counts), markup=False)


def _many(count: int, word: str) -> str:
    return f"{count} {word}" + ("" if count == 1 else "s")
