"""Playbooks for tests, written as an operator would write them, without files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from smr.chat import topics_of
from smr.playbook.model import Catalog, Library, Playbook, SegmentsFile
from smr.playbook.ready import ready_ladders

CATALOG = """
cycles:
  default: {lasts: 30d, learn: false}
  categories:
    洁面: {lasts: 45d, learn: false}
    猫粮: {lasts: 12d, learn: false}
"""

REFILL = """
name: refill
status: live
trigger: {runs_out: {category: 洁面}}
steps:
  - {name: heads_up, send: 5d before due, via: [wecom, sms], message: "{{ product.name }}"}
"""


def read(text: str) -> Any:
    """YAML as plain text values, the way smr reads it."""
    return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - text scalars only


def library(*playbooks: str, catalog: str = CATALOG, segments: str = "{}") -> Library:
    """A library of these playbooks."""
    lists = SegmentsFile.model_validate(read(segments))
    ladders = {**ready_ladders(lists.ready), **lists.ladders}
    rules = {rule.tag: rule for rule in lists.tags}
    loaded = [Playbook.model_validate(read(text)) for text in playbooks]
    return Library(
        folder=Path(),
        catalog=Catalog.model_validate(read(catalog)),
        segments=lists.segments,
        ladders=ladders,
        tags=rules,
        topics=topics_of(lists.topics),
        rfm=lists.rfm,
        playbooks=tuple(sorted(loaded, key=lambda one: (-one.priority, one.name))),
        versions={one.name: "v1" for one in loaded},
        version="test",
        order=tuple(("tag", name) for name in rules)
        + tuple(("segment", name) for name in lists.segments)
        + tuple(("ladder", name) for name in ladders),
    )
