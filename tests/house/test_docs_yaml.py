"""Every YAML block of the documentation loads as what its fence says it is.

A fence names its kind after `yaml`: playbook, catalog, segments, config, condition, trigger, steps, stops or
scenarios.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from smr.conditions.model import Condition
from smr.playbook.model import Catalog, Playbook, SegmentsFile, Step, Stop, Trigger
from smr.scenarios.model import ScenarioFile
from smr.settings import Settings
from smr.strict_yaml import read_yaml

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```yaml([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KINDS: dict[str, Callable[[Any], object]] = {
    "playbook": Playbook.model_validate,
    "catalog": Catalog.model_validate,
    "segments": SegmentsFile.model_validate,
    "config": Settings.model_validate,
    "condition": TypeAdapter(Condition).validate_python,
    "trigger": TypeAdapter(Trigger).validate_python,
    "steps": TypeAdapter(tuple[Step, ...]).validate_python,
    "stops": TypeAdapter(tuple[Stop, ...]).validate_python,
    "scenarios": ScenarioFile.model_validate,
}


SECRET = "whsec_" + "c2hvcCBz" * 4
"""Stands for a variable that holds one."""


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks() -> Iterator[Any]:
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for found in FENCE.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            name = f"{page.relative_to(ROOT)}:{line}"
            yield pytest.param(found[1].strip(), found[2], name, id=name)


@pytest.mark.parametrize(("kind", "text", "name"), list(blocks()))
def test_a_yaml_block_of_the_documentation_loads(kind: str, text: str, name: str) -> None:
    text = re.sub(r"\$\{\w*SECRET\}", SECRET, text)
    assert kind in KINDS, f"{name}: write the kind after ```yaml, one of {', '.join(KINDS)}"
    under_a_key = "block:\n" + "".join(f"  {line}\n" for line in text.splitlines())
    found = read_yaml(under_a_key, name).data["block"]
    assert KINDS[kind](found)


LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_to_another_page_leads_somewhere(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []
