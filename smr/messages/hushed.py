"""What is said on a discreet channel: sensitive products have another name there, sensitive tags none."""

from __future__ import annotations

from typing import Any

from smr.discretion import Discretion, Search

GOODS = ("product", "offer", "purchase", "bundle")
"""The names under which products stand."""
TELLING = ("name", "category")
"""What of a product tells which it is."""


def hushed(context: dict[str, Any], discretion: Discretion, search: Search) -> dict[str, Any]:
    """The same values, with nothing sensitive in what smr itself knows of products and tags."""
    word = discretion.word(str(context.get("language", "en")))
    made = {name: _goods(value, search, word) if name in GOODS else value for name, value in context.items()}
    customer = made.get("customer")
    if isinstance(customer, dict) and "tags" in customer:
        tags = [tag for tag in customer["tags"] if search.first(tag) is None]
        made["customer"] = {**customer, "tags": tags}
    return made


def _goods(value: Any, search: Search, word: str) -> Any:
    """Products, however deep they stand."""
    if isinstance(value, list):
        return [_goods(part, search, word) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        name: word
        if name in TELLING and isinstance(part, str) and search.first(part) is not None
        else _goods(part, search, word)
        for name, part in value.items()
    }
