"""Changing cycles in the text of `catalog.yaml`, and nothing else: comments, order and spelling stay.

In: the text and the changes. Out: the new text. The places of values are those that the YAML parser tells;
the result is read again, and must say the old catalog with exactly these changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

import yaml

from smr.errors import StateError
from smr.playbook.model import Catalog
from smr.strict_yaml import read_yaml

PLAIN = re.compile(r"[^\W\d_][\w-]*( [\w-]+)*")
"""Names that need no quotes."""
WORDS = frozenset(["true", "false", "yes", "no", "on", "off", "null", "y", "n"])
PARTS = {"category": "categories", "product": "products"}


@dataclass(frozen=True)
class Change:
    """One unit of a line (kind `category` or `product`) lasts so many days."""

    kind: str
    line: str
    days: int


def changed_catalog(text: str, changes: Sequence[Change]) -> str:
    """The text with these changes; an empty text becomes a new catalog."""
    changed = text
    for change in changes:
        changed = _Text(changed).with_change(change)
    expected, read = _catalog(text, changes), _catalog(changed, ())
    if expected != read:
        raise StateError(
            "catalog.yaml is written in a way that cannot be changed safely; make the changes by hand: "
            + ", ".join(f"{change.line}: {{lasts: {change.days}d}}" for change in changes)
        )
    return changed


def difference(old: str, new: str, name: str) -> str:
    """What changed, as a unified diff that `patch -p1` understands."""
    lines = unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _catalog(text: str, changes: Sequence[Change]) -> Catalog:
    data: dict[str, Any] = read_yaml(text, "catalog.yaml").data if _says_something(text) else {}
    for change in changes:
        stated = data.setdefault("cycles", {}).setdefault(PARTS[change.kind], {})
        stated.setdefault(change.line, {})["lasts"] = f"{change.days}d"
    return Catalog.model_validate(data)


def _says_something(text: str) -> bool:
    return yaml.compose(text, Loader=yaml.SafeLoader) is not None


class _Text:
    """A catalog's text with its tree of places."""

    def __init__(self, text: str) -> None:
        self._text = text if text.endswith("\n") or not text else f"{text}\n"
        self._root = yaml.compose(self._text, Loader=yaml.SafeLoader)

    def with_change(self, change: Change) -> str:
        """The text with one change."""
        part, days = PARTS[change.kind], f"{change.days}d"
        cycles = _value(self._root, "cycles")
        lines = _value(cycles, part)
        entry = _value(lines, change.line)
        stated = _value(entry, "lasts")
        row = f"{_quoted(change.line)}: {{lasts: {days}}}"
        if stated is not None:
            return self._put(days, stated.start_mark.index, stated.end_mark.index)
        if entry is not None:
            return self._into(entry, f"lasts: {days}")
        if lines is not None:
            return self._into(lines, row)
        if cycles is not None:
            indent = _indent(cycles, 2)
            return self._into(cycles, f"{part}:\n{' ' * (indent + 2)}{row}", f"{part}: {{{row}}}")
        whole = f"cycles:\n  {part}:\n    {row}\n"
        return self._text + whole

    def _put(self, new: str, begin: int, end: int) -> str:
        return self._text[:begin] + new + self._text[end:]

    def _into(self, mapping: Any, row: str, in_flow: str | None = None) -> str:
        """Add a row as the last one of a mapping, in the mapping's own style."""
        if mapping.flow_style:
            end = mapping.end_mark.index - 1
            before = self._text[:end].rstrip()
            comma = "" if before.endswith("{") or before.endswith(",") else ", "
            return before + comma + (in_flow or row) + self._text[end:]
        place = self._end_of_last_row(mapping)
        return self._put(f"{' ' * _indent(mapping, 2)}{row}\n", place, place)

    def _end_of_last_row(self, mapping: Any) -> int:
        """Where the line after a block mapping's last value begins; comments that follow it stay below."""
        value = mapping.value[-1][1]
        while isinstance(value, yaml.MappingNode) and not value.flow_style and value.value:
            value = value.value[-1][1]
        found = self._text.find("\n", value.end_mark.index)
        return len(self._text) if found < 0 else found + 1


def _value(mapping: Any, key: str) -> Any:
    """The value node under a key; None where there is none, or an empty one."""
    if not isinstance(mapping, yaml.MappingNode):
        return None
    for name, value in mapping.value:
        if name.value == key:
            empty = isinstance(value, yaml.MappingNode) and not value.value and not value.flow_style
            return None if empty else value
    return None


def _indent(mapping: Any, otherwise: int) -> int:
    return mapping.value[0][0].start_mark.column if mapping.value else otherwise


def _quoted(name: str) -> str:
    plain = PLAIN.fullmatch(name) and name.lower() not in WORDS
    return name if plain else json.dumps(name, ensure_ascii=False)
