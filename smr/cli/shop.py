"""What most commands begin with: the settings, the database, the playbooks, the present instant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated

import typer

from smr import clock
from smr.cli.say import talk
from smr.database import Database, open_database
from smr.database.migrate import ensure_current
from smr.errors import OperatorError, did_you_mean
from smr.notation import parse_moment
from smr.playbook import load_library
from smr.playbook.model import Library
from smr.settings import Settings, load_settings

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The configuration file; config.yaml of this folder where not said."),
]
NowOption = Annotated[
    str | None,
    typer.Option(
        "--now", help="Act as if it were this time, such as 2026-11-23T09:00 (shop's zone unless it says)."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
PlaybookOption = Annotated[
    list[str] | None, typer.Option("--playbook", "-p", help="Only this playbook; may be repeated.")
]


@dataclass(frozen=True)
class Shop:
    """One shop as a command sees it; opened piece by piece, as needed."""

    settings: Settings

    @cached_property
    def database(self) -> Database:
        """The database, with its tables when it is new; refused when of another version."""
        opened = open_database(self.settings.database.url)
        ensure_current(opened)
        return opened

    @cached_property
    def library(self) -> Library:
        """The playbooks; FaultsError names all their faults."""
        return load_library(self.settings.playbooks, self.settings)

    def now(self, stated: str | None) -> datetime:
        """The instant to act at: the stated one, or the present."""
        if stated is None:
            return clock.now()
        try:
            return parse_moment(stated, self.settings.shop.tz)
        except ValueError as error:
            raise OperatorError(f"--now: {error}") from None

    def only(self, playbooks: list[str] | None) -> Library:
        """The library with just the named playbooks."""
        names = [playbook.name for playbook in self.library.playbooks]
        for name in playbooks or ():
            if name not in names:
                raise OperatorError(f"--playbook: there is no playbook {name!r}; {did_you_mean(name, names)}")
        if not playbooks:
            return self.library
        chosen = tuple(playbook for playbook in self.library.playbooks if playbook.name in playbooks)
        return replace(self.library, playbooks=chosen)


def open_shop(config: Path | None) -> Shop:
    """The shop of that configuration (or of this folder)."""
    settings = load_settings(config)
    for warning in settings.warnings:
        talk.print(str(warning), markup=False, style="yellow")
    return Shop(settings)


def file_to_write(option: str, path: Path | None, suffixes: tuple[str, ...]) -> None:
    """Say at once, and not after minutes of work, that a file cannot be written."""
    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        raise OperatorError(f"{option} {path}: name a file that ends in {' or '.join(suffixes)}")
    if not path.resolve().parent.is_dir():
        raise OperatorError(f"{option} {path}: the folder {path.resolve().parent} does not exist; create it")
