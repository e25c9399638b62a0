"""`smr init`: a new folder that runs."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from smr.cli.say import facts, give_json, talk
from smr.cli.shop import JsonOption
from smr.errors import OperatorError
from smr.playbook.starter import starter_files

NOW = "2026-02-25T10:00"
"""A time at which one of the sample reminders is due."""


class Language(StrEnum):
    """The language of the files."""

    EN = "en"
    ZH = "zh"


FolderArgument = Annotated[Path, typer.Argument(help="The folder to make; this one where not said.")]
LanguageOption = Annotated[Language, typer.Option("--lang", help="The language of the files: zh or en.")]


def init(
    folder: FolderArgument = Path(), language: LanguageOption = Language.ZH, as_json: JsonOption = False
) -> None:
    """Make a new folder that runs: configuration, a playbook with its test, and sample data."""
    written = make_folder(folder, language)
    if as_json:
        give_json({"folder": folder, "files": written})
        return
    for file in written:
        facts.print(str(folder / file), markup=False)
    _tell_next(folder)


def make_folder(folder: Path, language: str) -> list[str]:
    """Write the starter's files; OperatorError names those that are there already, and nothing is written."""
    files = starter_files(language)
    there = [file for file in files if (folder / file).exists() or (folder / file).is_symlink()]
    if there:
        shown = ", ".join(there)
        raise OperatorError(
            f"nothing was written: {folder} has {shown} already; name a new folder: smr init FOLDER"
        )
    for file, content in files.items():
        _write(folder / file, content)
    return list(files)


def _write(path: Path, content: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(content)
    except OSError as error:
        raise OperatorError(f"{path} cannot be written: {error.strerror}") from None


def _tell_next(folder: Path) -> None:
    steps = [] if folder == Path() else [f"cd {shlex.quote(str(folder))}"]
    steps += ["smr check", "smr test"]
    steps += [
        f"smr import {kind} data/{kind}.csv" for kind in ("customers", "products", "consents", "purchases")
    ]
    steps += [f"smr plan --now {NOW}", f"smr run --now {NOW}", f"smr deliver --now {NOW}"]
    talk.print("\nnext:", markup=False)
    for step in steps:
        talk.print(f"  {step}", markup=False)
