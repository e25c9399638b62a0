"""`smr schema`: JSON Schemas that let an editor complete and explain playbooks while they are written."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from smr.cli.say import facts, give_json, talk
from smr.errors import OperatorError
from smr.playbook.schema import FILES, schema


class Kind(StrEnum):
    """The kinds of files that have a schema."""

    PLAYBOOK = "playbook"
    CATALOG = "catalog"
    SEGMENTS = "segments"
    CONFIG = "config"


KindArgument = Annotated[
    Kind | None, typer.Argument(help="Which file; all of them with --out where not said.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Write KIND.json into this folder.", metavar="FOLDER")
]


def give_schema(kind: KindArgument = None, out: OutOption = None) -> None:
    """Print the JSON Schema of a kind of file (playbook where not said), or write schemas into a folder."""
    if out is None:
        give_json(schema(kind or Kind.PLAYBOOK))
        return
    for name in [kind.value] if kind else FILES:
        facts.print(str(_write(out, name)), markup=False)
    talk.print("first line of a playbook: # yaml-language-server: $schema=PATH/playbook.json", markup=False)


def _write(folder: Path, name: str) -> Path:
    path = folder / f"{name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(schema(name), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{path} cannot be written: {error.strerror}") from None
    return path
