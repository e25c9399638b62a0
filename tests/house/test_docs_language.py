"""Every key of the playbook language is explained, in English and in the operators' guide."""

from __future__ import annotations

from pathlib import Path

import pytest

from smr.chat import Topic, built_in
from smr.conditions.model import KINDS
from smr.messages.context import NAMES
from smr.messages.filters import FILTERS, HTML_FILTERS
from smr.playbook.model import (
    STOPS,
    TRIGGERS,
    Attachment,
    Bundle,
    Cycle,
    DateOf,
    HandOver,
    Happening,
    Limits,
    Part,
    Playbook,
    ProductEntry,
    Quiet,
    ReadyLifecycle,
    ReadyTiers,
    RfmCuts,
    Role,
    ScheduleTimes,
    SegmentChange,
    SegmentsFile,
    StageChange,
    Step,
    TagRule,
)

DOCS = Path(__file__).parents[2] / "docs"
LANGUAGE = (DOCS / "reference" / "playbook-language.md").read_text(encoding="utf-8")
CONDITIONS = (DOCS / "reference" / "conditions.md").read_text(encoding="utf-8")
TEMPLATES = (DOCS / "reference" / "template-language.md").read_text(encoding="utf-8")
GUIDE = (DOCS / "operators-guide.zh-CN.md").read_text(encoding="utf-8")
PARTS: tuple[type[Part], ...] = (
    Playbook,
    Step,
    Limits,
    Attachment,
    Bundle,
    Cycle,
    ProductEntry,
    ScheduleTimes,
    DateOf,
    HandOver,
    Topic,
    TagRule,
    SegmentChange,
    StageChange,
    Happening,
    Quiet,
    RfmCuts,
    ReadyLifecycle,
    ReadyTiers,
    Role,
    SegmentsFile,
)
KEYS = sorted({one.alias or name for part in PARTS for name, one in part.model_fields.items()})


@pytest.mark.parametrize("key", [*KEYS, *TRIGGERS, *STOPS])
def test_a_key_of_the_language_is_explained_in_both_languages(key: str) -> None:
    assert key in LANGUAGE
    assert key in GUIDE


@pytest.mark.parametrize("topic", built_in())
def test_a_built_in_topic_is_explained_in_both_languages(topic: str) -> None:
    assert f"| {topic} |" in LANGUAGE
    assert topic in GUIDE


@pytest.mark.parametrize("key", KINDS)
def test_a_condition_is_explained_with_an_example_in_both_languages(key: str) -> None:
    assert f"| `{key}` |" in CONDITIONS or f"\n{key}: " in CONDITIONS
    assert f"`{{{key}: " in GUIDE or f"`{key}`" in GUIDE


@pytest.mark.parametrize("path", [name.path for name in NAMES])
def test_a_name_in_templates_is_explained(path: str) -> None:
    assert f"| `{path.replace('<any>', 'NAME').replace('<ladder>', 'LADDER')}` |" in TEMPLATES


@pytest.mark.parametrize("name", [*FILTERS, *HTML_FILTERS])
def test_a_filter_is_explained(name: str) -> None:
    assert f"| `{name}` |" in TEMPLATES
