"""What the documentation shows: its fenced blocks by kind, and which keys they say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel

from tests.house.test_docs_yaml import FENCE, pages

Key = tuple[type[BaseModel], str]


def shown(kind: str) -> list[str]:
    """The blocks of a kind on all pages, as they are written."""
    found = (fence for page in pages() for fence in FENCE.finditer(page.read_text(encoding="utf-8")))
    return [fence[2] for fence in found if fence[1].strip() == kind]


def said(value: Any) -> Iterator[Key]:
    """The keys that somebody wrote in a value, with the models they belong to."""
    if isinstance(value, BaseModel):
        for name in value.model_fields_set:
            yield type(value), name
            yield from said(getattr(value, name))
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from said(one)
    elif isinstance(value, tuple):
        for one in value:
            yield from said(one)


def models(annotation: Any, seen: set[type[BaseModel]] | None = None) -> set[type[BaseModel]]:
    """All models that a value of that type may be made of."""
    seen = set() if seen is None else seen
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation not in seen:
            seen.add(annotation)
            for field in annotation.model_fields.values():
                models(field.annotation, seen)
    else:
        for part in get_args(annotation):
            models(part, seen)
    return seen
