"""A folder of YAML files and templates as a `Library`, or all its faults at once.

In: the folder, the settings. Out: the `Library`, ordered as it is to be used. `catalog.yaml` and
`segments.yaml` lie at the top; every other YAML file is one playbook, except `*.scenarios.yaml` and names
that begin with a dot or an underscore. Templates lie inside the folder.
Trap: a file that cannot be read as YAML must not make others look wrong, so checks between files only tell
of names whose own file was read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smr import __version__
from smr.chat import Topic, topics_of
from smr.errors import Fault, FaultsError, OperatorError, did_you_mean
from smr.playbook.model import Catalog, Library, Playbook, SegmentsFile
from smr.playbook.ready import ready_ladders
from smr.playbook.references import (
    Names,
    playbook_faults,
    refresh_order,
    role_faults,
    schedule_faults,
    segment_faults,
)
from smr.settings import Settings
from smr.strict_yaml import Document, Steps, path_text, read_text, read_yaml
from smr.typed import typed

TEMPLATE_BYTES = 64_000
"""Largest template file."""
FILES = 1_000
"""Most playbook files."""

HABITS = {
    "channel": "via",
    "channels": "via",
    "chanel": "via",
    "text": "message",
    "body": "message",
    "content": "message",
    "after": "send",
    "delay": "send",
    "segment": "who",
    "audience": "who",
    "expires": "useful_for",
}
"""Keys that other tools use for what is called otherwise here."""
NOUNS = {"trigger": "trigger", "stop_when": "stop condition"}
SECRETS = re.compile(r"(?i)(password|passwd|secret|token|api_?key|access_?key|private_?key)$")
SECRET = "secret_in_playbook"  # noqa: S105
_REQUIRES = re.compile(r"smr\s*>=\s*(\d{1,4}(?:\.\d{1,4}){0,2})")


def load_library(folder: Path, settings: Settings, *, segments: Path | None = None) -> Library:
    """The playbooks of a folder; `segments` is a file to read in place of its `segments.yaml`.

    FaultsError tells all faults of all files, OperatorError that there is no such folder.
    """
    if not folder.is_dir():
        raise OperatorError(f"there is no folder of playbooks at {folder}; make one with: smr init")
    reading = Reading(folder, settings, segments_file=segments)
    reading.read()
    if reading.faults:
        raise FaultsError(list(dict.fromkeys(reading.faults)))
    return reading.library()


def load_topics(folder: Path, settings: Settings) -> dict[str, Topic]:
    """What a shop listens for in chat: the topics of the folder's `segments.yaml` and those built in.

    Needs no other file to be in order. FaultsError tells the faults of this one.
    """
    if not folder.is_dir():
        return topics_of({})
    reading = Reading(folder, settings)
    reading._read_segments()
    if reading.faults:
        raise FaultsError(list(dict.fromkeys(reading.faults)))
    return topics_of(reading.segments.topics)


@dataclass
class Reading:
    """What has been read of a folder so far, and its faults."""

    folder: Path
    settings: Settings
    catalog: Catalog = field(default_factory=Catalog)
    segments: SegmentsFile = field(default_factory=SegmentsFile)
    playbooks: dict[str, Playbook] = field(default_factory=dict)
    order: tuple[tuple[str, str], ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    documents: dict[str, Document] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    segments_file: Path | None = None
    catalog_document: Document | None = None

    def read(self) -> None:
        """Read everything and check it, each piece and what pieces say of each other."""
        self.catalog_document = self._read_catalog()
        segments = self._read_segments()
        names = Names(self.settings, segments)
        for path in self._playbook_files():
            self._read_playbook(path, names)

    def library(self) -> Library:
        """The library, once there are no faults."""
        ordered = sorted(self.playbooks.values(), key=lambda playbook: (-playbook.priority, playbook.name))
        versions = {playbook.name: self._version(playbook) for playbook in ordered}
        ladders = {**ready_ladders(self.segments.ready), **self.segments.ladders}
        rules = {rule.tag: rule for rule in self.segments.tags}
        return Library(
            folder=self.folder,
            catalog=self.catalog,
            segments={name: self.segments.segments[name] for kind, name in self.order if kind == "segment"},
            ladders={name: ladders[name] for kind, name in self.order if kind == "ladder"},
            tags={name: rules[name] for kind, name in self.order if kind == "tag"},
            topics=topics_of(self.segments.topics),
            rfm=self.segments.rfm,
            playbooks=tuple(ordered),
            texts=self.texts,
            versions=versions,
            version=_hash([self._content(name) for name in SHARED] + sorted(versions.items())),
            order=self.order,
            files=self.files,
            documents=self.documents,
        )

    def _read_catalog(self) -> Document | None:
        document = self._document(_shared_file(self.folder, "catalog"), may_be_empty=True)
        if document is not None:
            found, faults = typed(Catalog, document, data=_said(document.data, 4))
            self.catalog = found or self.catalog
            self._add(faults)
        return document

    def _read_segments(self) -> Document | None:
        """Read the segments; their document, where it is one."""
        if self.segments_file is not None:
            document: Document | None = self._other_segments(self.segments_file)
        else:
            document = self._document(_shared_file(self.folder, "segments"), may_be_empty=True)
        if document is None:
            return None
        data = _said(document.data, 1)
        found, faults = typed(SegmentsFile, document, data=data)
        self._add([*faults, *_unsaid(document, data, faults), *segment_faults(document, self.settings)])
        self._add(role_faults(document, self.catalog_document))
        if found is not None and not self.faults:
            self.segments, self.order = found, refresh_order(document)
        return document

    def _add(self, faults: Iterable[Fault]) -> None:
        """Keep faults; a key called like a secret is told as that alone."""
        secret = {(fault.file, fault.line, fault.column) for fault in self.faults if fault.code == SECRET}
        self.faults += [
            fault
            for fault in faults
            if fault.code != "unknown_key" or (fault.file, fault.line, fault.column) not in secret
        ]

    def _playbook_files(self) -> list[Path]:
        found = [
            path
            for path in _yaml_files(self.folder)
            if path.relative_to(self.folder).as_posix() not in SHARED
        ]
        if len(found) > FILES:
            what = f"{len(found):,} playbook files, more than {FILES:,}"
            self.faults.append(
                Fault(str(self.folder), 0, 0, "", "too_many_files", what, "take out what is not used")
            )
        return found[:FILES]

    def _read_playbook(self, path: Path, names: Names) -> None:
        document = self._document(path)
        if document is None:
            return
        needs = _needs_newer(document)
        if needs is not None:
            self.faults.append(needs)
            return
        playbook, faults = typed(Playbook, document, nouns=NOUNS, habits=HABITS)
        self._add([*faults, *_unsaid(document, document.data, faults), *playbook_faults(document, names)])
        self._add(role_faults(document, self.catalog_document))
        self._read_templates(document)
        if playbook is not None:
            self._add(schedule_faults(document, playbook))
            self._keep(playbook, document, path.relative_to(self.folder).as_posix())

    def _keep(self, playbook: Playbook, document: Document, file: str) -> None:
        """Keep a playbook, unless its name is taken."""
        first = self.files.get(playbook.name)
        if first is None:
            self.playbooks[playbook.name] = playbook
            self.files[playbook.name] = file
            return
        other = self.documents[first]
        line, _ = other.place(("name",))
        what = f"another playbook is called {playbook.name!r}: {other.file}:{line}"
        self.faults.append(document.fault(("name",), "duplicate_name", what, "give each its own name"))

    def _document(self, path: Path, *, may_be_empty: bool = False) -> Document | None:
        """The document in a file of the folder, kept for its places; None where it cannot be read."""
        name = path.relative_to(self.folder).as_posix()
        shown = str(path)
        if may_be_empty and not path.exists() and not path.is_symlink():
            return Document(shown, {})
        try:
            document = read_yaml(self._text(path, shown), shown)
        except FaultsError as error:
            if may_be_empty and [fault.code for fault in error.faults] == ["empty"]:
                return Document(shown, {})
            self.faults += error.faults
            return None
        self.documents[name] = document
        self.faults += [*document.faults, *_secrets(document)]
        return document

    def _other_segments(self, path: Path) -> Document | None:
        """The segments of a file that may lie anywhere."""
        if not path.is_file():
            raise OperatorError(f"there is no file {path}")
        try:
            document = read_yaml(read_text(path), str(path))
        except FaultsError as error:
            self.faults += error.faults
            return None
        self.documents["segments.yaml"] = document
        self.faults += document.faults
        return document

    def _text(self, path: Path, shown: str, *, most: int | None = None) -> str:
        if not path.resolve().is_relative_to(self.folder.resolve()):
            fix = "copy the file into the folder of playbooks"
            raise FaultsError(
                [Fault(shown, 0, 0, "", "outside_folder", "this leads out of the folder of playbooks", fix)]
            )
        return read_text(path, shown=shown) if most is None else read_text(path, shown=shown, most=most)

    def _read_templates(self, document: Document) -> None:
        for place in document.values:
            file = document.value(place)
            if place[:1] == ("steps",) and place[2:] in _TEMPLATES and isinstance(file, str):
                self._read_template(document, place, file)

    def _read_template(self, document: Document, place: Steps, file: str) -> None:
        path = self.folder / file
        if file in self.texts:
            return
        if Path(file).is_absolute() or ".." in Path(file).parts:
            what, fix = f"the template {file!r} is outside the folder of playbooks", "name a file inside it"
            self.faults.append(document.fault(place, "outside_folder", what, fix))
        elif not path.exists():
            hint = did_you_mean(file, _other_files(self.folder))
            what = f"there is no file {file} in {self.folder}"
            self.faults.append(document.fault(place, "template_missing", what, hint or "write it"))
        else:
            self._take_template(document, place, file)

    def _take_template(self, document: Document, place: Steps, file: str) -> None:
        try:
            self.texts[file] = self._text(self.folder / file, file, most=TEMPLATE_BYTES)
        except FaultsError as error:
            for fault in error.faults:
                what = f"the template {file}: {fault.what}"
                self.faults.append(document.fault(place, fault.code, what, fault.fix))

    def _version(self, playbook: Playbook) -> str:
        files = {file for step in playbook.steps for file in (step.template, step.html_template) if file}
        return _hash(
            [self._content(self.files[playbook.name]), sorted((file, self.texts[file]) for file in files)]
        )

    def _content(self, file: str) -> Any:
        document = self.documents.get(file)
        return document.data if document else None


_TEMPLATES = (("template",), ("html_template",))
SHARED = ("catalog.yaml", "catalog.yml", "segments.yaml", "segments.yml")


def _shared_file(folder: Path, stem: str) -> Path:
    other = folder / f"{stem}.yml"
    return other if other.exists() and not (folder / f"{stem}.yaml").exists() else folder / f"{stem}.yaml"


def _yaml_files(folder: Path) -> Iterator[Path]:
    """YAML files of a folder and those inside it, by name; hidden ones and scenarios left out."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")) or path.name.endswith((".scenarios.yaml", ".scenarios.yml")):
            continue
        if path.suffix in (".yaml", ".yml"):
            yield path
        elif path.is_dir() and not path.is_symlink():
            yield from _yaml_files(path)


def _other_files(folder: Path) -> list[str]:
    """Files that may be templates, by their path in the folder."""
    found = (path for path in folder.rglob("*") if path.suffix not in (".yaml", ".yml") and path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _said(data: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """The data without keys after which nothing stands, so deep: sections whose lines are all comments."""
    return {
        key: _said(value, depth - 1) if isinstance(value, dict) and depth > 1 else value
        for key, value in data.items()
        if value is not None
    }


def _unsaid(document: Document, data: Any, told: Iterable[Fault]) -> Iterator[Fault]:
    """A fault for each key or item that says nothing, unless told of: an empty `who` would mean everybody."""
    paths = {fault.path for fault in told}
    for path in _empty(data, ()):
        if path_text(path) not in paths:
            yield document.fault(
                path, "empty_value", "nothing stands here", "write a value, or take it out", key=True
            )


def _empty(data: Any, path: Steps) -> Iterator[Steps]:
    if data is None:
        yield path
    parts = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for part, value in parts:
        yield from _empty(value, (*path, part))


def _secrets(document: Document) -> Iterator[Fault]:
    """A fault for each key that is called like a secret; its value is not shown."""
    for path in document.keys:
        if isinstance(path[-1], str) and SECRETS.search(path[-1]):
            what = "a secret stands in a playbook"
            yield document.fault(path, SECRET, what, "put it into config.yaml as ${NAME}", key=True)


def _needs_newer(document: Document) -> Fault | None:
    """A fault where the playbook asks for a newer smr: its other faults would only mislead."""
    stated = document.data.get("requires")
    if stated is None:
        return None
    match = _REQUIRES.fullmatch(stated.strip()) if isinstance(stated, str) else None
    if not match:
        return document.fault(
            ("requires",), "requires_invalid", "this is no version", "write such as smr>=0.1"
        )
    if _version(match[1]) <= _version(__version__):
        return None
    what = f"this playbook needs smr >= {match[1]}; this is smr {__version__}"
    return document.fault(("requires",), "needs_newer", what, "update smr")


def _version(text: str) -> tuple[int, ...]:
    numbers = [int(part) for part in re.findall(r"\d+", text)[:3]]
    return tuple(numbers + [0] * (3 - len(numbers)))


def _hash(content: Any) -> str:
    text = json.dumps(content, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
