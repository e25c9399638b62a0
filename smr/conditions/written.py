"""Conditions as text, the way an operator would write them in one line."""

from __future__ import annotations

from typing import Any

from smr.conditions import model as m
from smr.notation import span_text

SPANS = frozenset({"within", "more_than", "less_than", "runs_out_within", "ran_out_for"})


def written(condition: m.Part) -> str:
    """A condition as an operator would write it in one line."""
    return _text(_dump(condition))


def _dump(part: Any) -> Any:
    if isinstance(part, m.Part):
        found = {}
        for name, field in type(part).model_fields.items():
            value = getattr(part, name)
            if value is not None and value != field.default:
                found[field.alias or name] = span_text(value) if name in SPANS else _dump(value)
        return found
    if isinstance(part, tuple):
        return _dump(part[0]) if len(part) == 1 else [_dump(one) for one in part]
    if isinstance(part, dict):
        return {key: _dump(value) for key, value in part.items()}
    return part


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_text(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_text(inner) for inner in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
