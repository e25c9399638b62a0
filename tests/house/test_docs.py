"""Nothing an operator can write, type or meet is undocumented."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel

from smr.cli.app import app
from smr.events import Reason
from smr.settings import Settings
from smr.words import AFTERWARDS

DOCS = Path(__file__).parents[2] / "docs" / "reference"
DECISIONS = Path(__file__).parents[2] / "docs" / "decisions"


def _commands(command: Any, path: str = "smr") -> Iterator[tuple[str, Any]]:
    inside = getattr(command, "commands", {})
    for name, one in inside.items():
        yield from _commands(one, f"{path} {name}")
    if not inside:
        yield path, command


COMMANDS = dict(_commands(typer.main.get_command(app)))


def _settings(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Every key that config.yaml may hold, with its description."""
    for name, one in model.model_fields.items():
        inner = [part for part in (one.annotation, *get_args(one.annotation)) if _is_model(part)]
        for part in inner:
            yield from _settings(part)
        yield one.alias or name, one.description or ("(a part)" if inner else "")


def _is_model(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)


SETTINGS = sorted(set(_settings(Settings)))


def _page(name: str) -> str:
    return (DOCS / name).read_text()


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_and_its_options_say_what_they_do(path: str) -> None:
    command = COMMANDS[path]
    assert command.help, f"{path} has no help"
    unsaid = [
        one.name
        for one in command.params
        if not getattr(one, "help", None) and not getattr(one, "hidden", False)
    ]
    assert unsaid == []


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_has_its_place_in_the_reference(path: str) -> None:
    page = _page("commands.md")
    assert path in page
    for one in COMMANDS[path].params:
        for option in [option for option in one.opts if option.startswith("--")]:
            assert option in page, f"{path} {option}"


@pytest.mark.parametrize(("key", "description"), SETTINGS)
def test_a_setting_is_described_and_documented(key: str, description: str) -> None:
    assert key in _page("configuration.md")


@pytest.mark.parametrize("reason", list(Reason))
def test_a_reason_is_documented(reason: Reason) -> None:
    assert f"| `{reason}` |" in _page("reasons.md")


@pytest.mark.parametrize("reason", AFTERWARDS)
def test_a_reason_of_what_had_gone_out_is_documented_in_both_languages(reason: str) -> None:
    assert f"| `{reason}` | {AFTERWARDS[reason][1]} |" in _page("reasons.md")


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = [int(page.name[:4]) for page in sorted(DECISIONS.glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("page", sorted(DECISIONS.glob("*.md")), ids=lambda page: page.stem)
def test_a_decision_has_all_its_parts(page: Path) -> None:
    text = page.read_text()
    for part in ("**Context.**", "**Decision.**", "**Consequences.**", "**Refused.**", "**Enforced by**"):
        assert part in text
