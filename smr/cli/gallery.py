"""`smr gallery`: the ready playbooks, and taking some of them into the shop as drafts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from smr import clock
from smr.cli.check import examine
from smr.cli.demo_places import examples
from smr.cli.say import facts, give_json, talk
from smr.cli.shop import ConfigOption, JsonOption
from smr.errors import Fault, OperatorError, did_you_mean
from smr.learning.catalog_text import Change, changed_catalog
from smr.playbook import load_library
from smr.playbook.model import Library, Playbook, RunsOut, Sensitive
from smr.settings import Settings, load_settings

LIVE = re.compile(r"^status: live\b", re.MULTILINE)
SCENARIO = re.compile(r"^(  - name: .*\n)(?!    playbooks:)", re.MULTILINE)

NamesArgument = Annotated[
    list[str] | None, typer.Argument(help="Which to take, as the list calls them; without any: the list.")
]


@dataclass(frozen=True)
class Ready:
    """A playbook of the gallery: what it is called there, what it does, and its files."""

    name: str
    title: str
    fires: str
    via: tuple[str, ...]
    files: tuple[Path, ...]
    playbook: Playbook


def gallery(names: NamesArgument = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the ready playbooks, or take some into the shop's folder as drafts, with their tests."""
    shown = examples() / "_gallery"
    ready = _ready(shown)
    if not names:
        _list(ready, as_json)
        return
    settings = load_settings(config)
    chosen = _with_their_kin([_named(ready, name) for name in names], ready)
    written = take(chosen, shown, settings)
    errors = examine(config).errors
    if as_json:
        give_json({"written": written, "errors": list(map(str, errors))})
    else:
        _tell(written, errors, (shown / "segments.yaml").read_text(encoding="utf-8"))
    if errors:
        raise typer.Exit(2)


def _ready(folder: Path) -> list[Ready]:
    library = load_library(folder, Settings.model_validate({"shop": {"language": "zh"}}))
    return [_of(library, playbook) for playbook in sorted(library.playbooks, key=lambda one: one.name)]


def _of(library: Library, playbook: Playbook) -> Ready:
    file = library.folder / library.files[playbook.name]
    tests = file.with_suffix(".scenarios.yaml")
    stated = library.document(playbook.name).data["trigger"]
    via = dict.fromkeys(channel for step in playbook.steps for channel in step.via)
    return Ready(
        name=file.stem,
        title=playbook.shown,
        fires=_in_words(stated),
        via=tuple(via),
        files=(file, tests) if tests.is_file() else (file,),
        playbook=playbook,
    )


def _in_words(stated: Any) -> str:
    """What fires it: the trigger's kind, and what it names first."""
    kind, goods = next(iter(stated.items()))
    first = next(iter(goods.values()), "") if isinstance(goods, dict) else goods
    names = first if isinstance(first, list) else [first]
    return f"{kind} {'、'.join(map(str, names))}".strip()


def _named(ready: Sequence[Ready], name: str) -> Ready:
    for one in ready:
        if name in (one.name, one.playbook.name):
            return one
    hint = did_you_mean(name, [one.name for one in ready])
    raise OperatorError(f"the gallery has no playbook {name!r}; {hint}")


def _with_their_kin(chosen: Sequence[Ready], ready: Sequence[Ready]) -> list[Ready]:
    """These, and those that their tests tell of, too."""
    told = "\n".join(file.read_text(encoding="utf-8") for one in chosen for file in one.files[1:])
    kin = [one for one in ready if re.search(rf"\bplaybook: {re.escape(one.playbook.name)}\b", told)]
    return list({one.name: one for one in (*chosen, *kin)}.values())


def take(chosen: Sequence[Ready], shown: Path, settings: Settings) -> list[str]:
    """Copy these playbooks as drafts; the files written. Nothing is where one of them is there already."""
    folder = settings.playbooks
    if not folder.is_dir():
        raise OperatorError(f"there is no folder of playbooks at {folder}; make one with: smr init")
    drafts = f"    playbooks: [{', '.join(one.playbook.name for one in chosen)}]\n"
    wanted: dict[Path, str] = {}
    for one in chosen:
        book, *tests = one.files
        wanted[folder / book.name] = LIVE.sub("status: draft", book.read_text(encoding="utf-8"))
        for file in tests:
            text = file.read_text(encoding="utf-8")
            wanted[folder / file.name] = SCENARIO.sub(rf"\1{drafts}", text)
    there = [str(path) for path in wanted if path.exists()]
    if there:
        raise OperatorError(f"nothing was written: {', '.join(there)} is there already")
    if not any((folder / name).exists() for name in ("segments.yaml", "segments.yml")):
        wanted[folder / "segments.yaml"] = (shown / "segments.yaml").read_text(encoding="utf-8")
    wanted |= _catalog(chosen, shown, settings)
    for path, text in wanted.items():
        try:
            path.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise OperatorError(f"{path} cannot be written: {error.strerror}") from None
    return list(map(str, wanted))


def _catalog(chosen: Sequence[Ready], shown: Path, settings: Settings) -> dict[Path, str]:
    """The shop's catalog with what it says nothing of: how long things last, and what is sensitive."""
    folder = settings.playbooks
    path = folder / "catalog.yml"
    path = path if path.exists() else folder / "catalog.yaml"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    known, stated = load_library(folder, settings).catalog, load_library(shown, settings).catalog
    goods = dict.fromkeys(line for one in chosen for line in _categories(one.playbook))
    changes = [
        Change("category", line, round(stated.cycles.categories[line].lasts / clock.DAY))
        for line in goods
        if line not in known.cycles.categories
    ]
    whole = changed_catalog(text, changes) if changes else text
    hushed = [line for line in goods if line in (stated.sensitive.category or ())]
    if hushed and known.sensitive == Sensitive():
        whole = f"{whole.rstrip()}\nsensitive: {{category: [{', '.join(hushed)}]}}\n"
    return {path: whole} if whole != text else {}


def _categories(playbook: Playbook) -> Iterable[str]:
    return playbook.trigger.runs_out.category or () if isinstance(playbook.trigger, RunsOut) else ()


def _list(ready: Sequence[Ready], as_json: bool) -> None:
    rows = [
        {"name": one.name, "title": one.title, "trigger": one.fires, "via": list(one.via)} for one in ready
    ]
    if as_json:
        give_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    for head in ("playbook", "title", "trigger", "via"):
        table.add_column(head, no_wrap=True)
    for one in ready:
        table.add_row(one.name, one.title, one.fires, ", ".join(one.via))
    facts.print(table)
    talk.print("\ntake some as drafts, with their tests: smr gallery cat-food birthday", markup=False)


def _tell(written: Sequence[str], errors: Sequence[Fault], segments: str) -> None:
    for path in written:
        facts.print(path, markup=False)
    for error in errors:
        talk.print(f"error: {error}", markup=False)
    told = " ".join(error.what for error in errors if error.code == "unknown_segment")
    missing = [line for line in segments.splitlines() if f"'{line.strip().split(':')[0]}'" in told]
    if missing:
        talk.print("\nadd to segments.yaml, under segments:", markup=False)
        for line in missing:
            talk.print(line, markup=False, soft_wrap=True)
    if not errors:
        said = "\nthey are drafts: change goods and words, then smr check, smr test, and status: live"
        talk.print(said, markup=False)
