"""The files that `smr init` writes: a small shop that runs, once in English, once in Chinese.

Out: each file's path inside the new folder and its content.
"""

from __future__ import annotations

import json
from importlib.resources import files
from importlib.resources.abc import Traversable

from smr.playbook.schema import FILES, schema

LANGUAGES = ("en", "zh")


def starter_files(language: str) -> dict[str, str]:
    """Path in the new folder → content, schemas for editors included."""
    found = dict(_files(files(__package__) / language, ""))
    found |= {
        f"schemas/{kind}.json": json.dumps(schema(kind), ensure_ascii=False, indent=1) + "\n"
        for kind in FILES
    }
    return dict(sorted(found.items()))


def _files(folder: Traversable, path: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for entry in folder.iterdir():
        name = f"{path}{entry.name}"
        if entry.is_dir():
            found += _files(entry, f"{name}/")
        else:
            found.append((name, entry.read_text(encoding="utf-8")))
    return found
