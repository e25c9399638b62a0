"""config.example.yaml explains every setting, and loads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from smr.settings import Settings, load_settings
from smr.strict_yaml import load_yaml

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"


def keys(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every setting; `*` where the operator chooses a name."""
    for name, info in model.model_fields.items():
        here = (*path, info.alias or name)
        inner = list(models(info.annotation))
        named = "dict[str" in str(info.annotation) and inner
        if not inner:
            yield here
        for part in inner:
            yield from keys(part, (*here, "*") if named else here)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models(part)


ALL = list(keys(Settings))


def test_there_are_settings_to_look_for() -> None:
    assert ("policy", "quiet_hours", "from") in ALL
    assert ("channels", "*", "consent") in ALL
    assert len(ALL) > 25


@pytest.mark.parametrize("path", ALL, ids=".".join)
def test_the_example_has_every_setting(path: tuple[str, ...]) -> None:
    found: list[Any] = [load_yaml(EXAMPLE).data]
    for part in path:
        found = [
            value
            for one in found
            for inner in (one if isinstance(one, list) else [one])
            for key, value in (inner.items() if isinstance(inner, dict) else ())
            if part in (key, "*")
        ]
    assert found, f"config.example.yaml does not show {'.'.join(path)}"


@pytest.mark.parametrize("path", ALL, ids=".".join)
def test_the_reference_has_every_setting(path: tuple[str, ...]) -> None:
    wanted = ".".join(path).replace("*", "NAME")
    text = REFERENCE.read_text(encoding="utf-8")
    mentioned = wanted in text or re.search(rf"`{re.escape(path[-1])}\b", text)
    assert mentioned, f"docs/reference/configuration.md does not explain {wanted}"


def test_the_example_loads() -> None:
    found = load_settings(EXAMPLE, {"SHOP_PASSWORD": "x"})
    assert found.shop.name == "小林的店"
    assert found.warnings == ()
    shown = {"quiet_hours", "blast_limit", "discreet_word", "gap", "fatigue", "mix", "after_refund"}
    stated = found.policy.model_dump(exclude=shown)
    assert stated == Settings().policy.model_dump(exclude=shown)
