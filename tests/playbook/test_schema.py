"""The schemas for editors agree with the models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from smr.conditions.model import KINDS
from smr.playbook.model import TRIGGERS
from smr.playbook.schema import CHINESE, FILES, schema


def mappings(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from mappings(part)


@pytest.mark.parametrize("kind", FILES)
def test_a_schema_is_whole_and_plain(kind: str) -> None:
    made = schema(kind)
    assert made["$schema"].endswith("2020-12/schema")
    assert made["additionalProperties"] is False
    assert json.loads(json.dumps(made)) == made
    for part in mappings(made):
        reference = part.get("$ref")
        assert reference is None or reference.removeprefix("#/$defs/") in made["$defs"]
        assert not {"ge", "gt", "le", "lt", "discriminator"} & part.keys()
        if isinstance(part.get("pattern"), str):
            re.compile(part["pattern"])
            assert r"\w" not in part["pattern"]


def test_the_playbook_has_all_triggers_and_conditions_with_chinese_words() -> None:
    made = schema("playbook")
    names = {choice["$ref"].removeprefix("#/$defs/") for choice in made["properties"]["who"]["oneOf"]}
    assert names == {kind.__name__ for kind in KINDS.values()}
    assert names | {kind.__name__ for kind in TRIGGERS.values()} <= CHINESE.keys()
    for name in names:
        assert CHINESE[name] in made["$defs"][name]["description"]


@pytest.mark.parametrize("kind", FILES)
def test_every_key_of_a_file_says_something_in_chinese(kind: str) -> None:
    for key, part in schema(kind)["properties"].items():
        assert re.search("[\u4e00-\u9fff]", str(part.get("description", ""))), key


def test_an_editor_may_read_scalars_as_numbers_and_single_names_as_lists() -> None:
    made = schema("playbook")
    assert made["properties"]["name"]["type"] == ["string", "number"]
    via = made["$defs"]["Step"]["properties"]["via"]
    assert [choice["type"] for choice in via["anyOf"]] == [["string", "number"], "array"]
    assert re.fullmatch(made["properties"]["name"]["pattern"], "洁面补货")
    assert re.fullmatch(made["$defs"]["Step"]["properties"]["send"]["pattern"], "2d after 提醒")


def test_an_editor_knows_the_chinese_names_of_interactions() -> None:
    assert {"moments_like", "朋友圈点赞"} <= {*schema("segments")["$defs"]["InteractionKind"]["enum"]}
