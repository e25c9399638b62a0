"""YAML read strictly: every scalar stays text, nothing is implicit, and each key and value knows its place.

In: a file or a text. Out: a `Document`, or FaultsError with what is wrong and where. Anchors, aliases, merge
keys, tags, duplicate keys and several documents are refused; size, depth and count are limited.
Trap: the tree is built from parser events with a stack of our own. Composing recurses, and resolving tags
turns `22:00` into 1320 and `NO` into false; the C loader crashes on deep input.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from smr.errors import Fault, FaultsError

BYTES = 1_000_000
"""Largest file."""
CHARACTERS = 65_536
"""Longest single value."""
DEPTH = 40
"""Deepest nesting."""
ENTRIES = 15_000
"""Most keys and list items in one file."""
SHOWN = 20
"""Most faults told of one file's YAML."""
ALIASES = 3
"""Most aliases told of one file; a bomb has thousands."""
PARTS = 16
"""Most parts of a path that are shown."""

Steps = tuple[str | int, ...]
"""A way inside a document: keys, and places in lists from 0."""
Place = tuple[int, int]
Mark = Any
"""A place in the parser's own counting, from 0; its type says it may be missing where it never is."""

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FULL_WIDTH_COLON = "\uff1a"
_IN_BRACES = re.compile(r"\{[^{}'\"]*" + _FULL_WIDTH_COLON)
_AFTER_KEY = re.compile(r"\s*(?:- +)*\w[\w-]*" + _FULL_WIDTH_COLON)
_NO_SPACE = re.compile(r"\s*(?:- +)*[a-z_]+:(?=[^\s/])")
_NULLS = frozenset({"", "~", "null"})


@dataclass(frozen=True)
class Document:
    """One YAML mapping as plain dicts, lists, text and None, with the place of each key and value.

    `keys` and `values` map a path inside the document, such as ``("steps", 0, "send")``, to line and column
    from 1. `faults` are those that leave the rest readable (duplicate keys).
    """

    file: str
    data: dict[str, Any]
    keys: Mapping[Steps, Place] = field(default_factory=dict, repr=False)
    values: Mapping[Steps, Place] = field(default_factory=dict, repr=False)
    faults: tuple[Fault, ...] = ()

    def value(self, path: Sequence[str | int]) -> Any:
        """What stands at a path; None where there is nothing."""
        found: Any = self.data
        for part in path:
            if isinstance(found, dict) and isinstance(part, str):
                found = found.get(part)
            elif isinstance(found, list) and isinstance(part, int) and part < len(found):
                found = found[part]
            else:
                return None
        return found

    def place(self, path: Sequence[str | int], *, key: bool = False) -> Place:
        """Line and column of the value (or its key) at a path, or of the nearest thing around it."""
        wanted = tuple(path)
        if key and wanted in self.keys:
            return self.keys[wanted]
        while wanted and wanted not in self.values:
            wanted = wanted[:-1]
        return self.values.get(wanted, (1, 1))

    def fault(
        self,
        path: Sequence[str | int],
        code: str,
        what: str,
        fix: str = "",
        *,
        key: bool = False,
        warning: bool = False,
    ) -> Fault:
        """A fault at the place of that value (or key)."""
        line, column = self.place(path, key=key)
        return Fault(self.file, line, column, path_text(path), code, what, fix, warning)


def path_text(path: Sequence[str | int]) -> str:
    """A path for people: ``steps[1] → send``."""
    text = ""
    for number, part in enumerate(path):
        if number == PARTS:
            return text + " → …"
        if isinstance(part, int):
            text += f"[{part + 1}]"
        else:
            text += f" → {part}" if text else part
    return text


def load_yaml(path: Path, *, shown: str | None = None) -> Document:
    """The document in a file; FaultsError where it cannot be read as one strict mapping.

    `shown` is what faults call the file, its path where not said.
    """
    document = read_yaml(read_text(path, shown=shown), shown or str(path))
    if document.faults:
        raise FaultsError(document.faults)
    return document


def read_text(path: Path, *, shown: str | None = None, most: int = BYTES) -> str:
    """The text of a regular UTF-8 file of at most `most` bytes; FaultsError where it is not such a file."""
    name = shown or str(path)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise FaultsError([Fault(name, 0, 0, "", "not_a_file", *_not_a_file(found.st_mode))])
        with path.open("rb") as stream:
            content = stream.read(most + 1)
    except OSError as error:
        raise FaultsError(
            [Fault(name, 0, 0, "", "not_a_file", f"cannot be read: {error.strerror}")]
        ) from None
    if len(content) > most:
        what = f"the file is larger than {most:,} bytes"
        raise FaultsError(
            [Fault(name, 0, 0, "", "file_too_large", what, "split it, or take out what is not needed")]
        )
    return _decode(content, name)


def read_yaml(text: str, file: str) -> Document:
    """The document in a text, which faults call `file`.

    FaultsError unless all its faults leave the rest readable; those are `Document.faults`.
    """
    _refuse_unprintable(text, file)
    loader = _Loader(text)
    try:
        return _Builder(loader, text, file).document()
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """The pure-Python loader, used for its events alone."""


def _not_a_file(mode: int) -> tuple[str, str]:
    kind = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "no ordinary file"
    return f"this is {kind}, not a file", "put a file with text here, or rename it"


def _decode(content: bytes, name: str) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise FaultsError([_bad_encoding(name, 1, "the file is in UTF-16")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        guess = "; it looks like GBK" if _is_gbk(content) else ""
        raise FaultsError([_bad_encoding(name, line, f"the file is not in UTF-8{guess}")]) from None


def _bad_encoding(name: str, line: int, what: str) -> Fault:
    return Fault(name, line, 0, "", "bad_encoding", what, "save it as UTF-8")


def _is_gbk(content: bytes) -> bool:
    try:
        content.decode("gb18030")
    except UnicodeDecodeError:
        return False
    return True


def _refuse_unprintable(text: str, file: str) -> None:
    found = _UNPRINTABLE.search(text)
    if not found:
        return
    line = text.count("\n", 0, found.start()) + 1
    column = found.start() - (text.rfind("\n", 0, found.start()) + 1) + 1
    what = f"a character that is no text: {_character(found[0])}"
    raise FaultsError([Fault(file, line, column, "", "bad_text", what, "delete it")])


def _character(found: str) -> str:
    return f"U+{ord(found):04X}"


class _Level:
    """A mapping or list being built."""

    def __init__(self, path: Steps, data: dict[str, Any] | list[Any]) -> None:
        self.path = path
        self.data = data
        self.key: str | None = None
        self.doubled = 0

    def child_path(self) -> Steps:
        if isinstance(self.data, list):
            return (*self.path, len(self.data))
        return self.path if self.key is None else (*self.path, self.key)


class _Builder:
    """Builds one document from parser events, with a stack instead of recursion."""

    def __init__(self, loader: yaml.SafeLoader, text: str, file: str) -> None:
        self.loader = loader
        self.lines = text.splitlines()
        self.file = file
        self.keys: dict[Steps, Place] = {}
        self.values: dict[Steps, Place] = {}
        self.faults: list[Fault] = []
        self.levels: list[_Level] = []
        self.entries = 0
        self.documents = 0
        self.root: Any = None

    def document(self) -> Document:
        try:
            while self.loader.check_event():
                self.take(self.loader.get_event())  # type: ignore[no-untyped-call]
                if len(self.faults) >= SHOWN:
                    break
        except yaml.MarkedYAMLError as error:
            self.faults.append(self.syntax(error))
        except (ValueError, OverflowError):
            self.faults.append(
                self.fault(self.loader.get_mark(), "bad_text", "an escape that is no character", _WRITE_IT)
            )
        survivable = all(fault.code == "duplicate_key" for fault in self.faults)
        if not survivable:
            raise FaultsError(self.faults)
        return Document(self.file, self.mapping(), self.keys, self.values, tuple(self.faults))

    def mapping(self) -> dict[str, Any]:
        if self.root is None:
            what = "the file is empty"
            raise FaultsError([Fault(self.file, 1, 1, "", "empty", what, "write it, or delete the file")])
        if not isinstance(self.root, dict):
            line, column = self.values[()]
            kind = "a list" if isinstance(self.root, list) else "a text"
            fix = "write keys and values, such as name: refill" + self.colon_hint(line)
            raise FaultsError([Fault(self.file, line, column, "", "not_mapping", f"the file is {kind}", fix)])
        return self.root

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self.begin(event)
        elif isinstance(event, yaml.AliasEvent):
            self.alias(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self.open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.levels.pop()
        elif isinstance(event, yaml.ScalarEvent):
            self.scalar(event)

    def begin(self, event: yaml.DocumentStartEvent) -> None:
        self.documents += 1
        if self.documents > 1:
            fix = "put each into its own file and take out the line ---"
            self.stop(event.start_mark, "several_documents", "a second document begins here", fix)
        if event.tags:
            self.report(event.start_mark, "tag_not_allowed", "%TAG is not allowed", "take the line out")

    def alias(self, event: yaml.AliasEvent) -> None:
        self.refuse_alias(event.start_mark, f"*{event.anchor}")
        self.put(None, event.start_mark)

    def open(self, event: yaml.CollectionStartEvent) -> None:
        self.check_properties(event)
        if len(self.levels) >= DEPTH:
            self.stop(event.start_mark, "too_deep", f"nested more than {DEPTH} deep", "make it flatter")
        if self.awaits_key():
            self.collection_as_key(event)
        data: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        path = self.put(data, event.start_mark)
        self.levels.append(_Level(path, data))

    def scalar(self, event: yaml.ScalarEvent) -> None:
        self.check_properties(event)
        self.check_text(event)
        plain = event.style is None
        if self.awaits_key():
            self.take_key(event, plain)
            return
        self.put(None if plain and event.value in _NULLS else event.value, event.start_mark)

    def awaits_key(self) -> bool:
        return bool(self.levels) and isinstance(self.levels[-1].data, dict) and self.levels[-1].key is None

    def take_key(self, event: yaml.ScalarEvent, plain: bool) -> None:
        level = self.levels[-1]
        key = event.value
        if plain and key == "<<":
            self.refuse_alias(event.start_mark, "<<")
        elif not key:
            self.report(event.start_mark, "bad_key", "a key is empty", "name it, or put the text in quotes")
        level.key = key
        path = (*level.path, key)
        if path in self.keys:
            self.duplicate(event, path)
            level.doubled += 1
            level.key = f"{key} ({level.doubled})"
            return
        self.keys[path] = _place(event.start_mark)

    def duplicate(self, event: yaml.ScalarEvent, path: Steps) -> None:
        line, column = _place(event.start_mark)
        first = self.keys[path][0]
        what = f"the key {event.value!r} stands here again; the first is in line {first}"
        self.faults.append(
            Fault(self.file, line, column, path_text(path), "duplicate_key", what, "keep one of them")
        )

    def put(self, value: Any, mark: Mark) -> Steps:
        """Place a value where the document stands, and return its path."""
        if not self.levels:
            self.root = value
            self.values[()] = _place(mark)
            return ()
        self.entries += 1
        if self.entries > ENTRIES:
            what = f"more than {ENTRIES:,} keys and list items"
            self.stop(mark, "too_many_values", what, "split the file")
        level = self.levels[-1]
        path = level.child_path()
        self.values[path] = _place(mark)
        if isinstance(level.data, list):
            level.data.append(value)
            return path
        key, level.key = level.key or "", None
        if path in self.keys:  # a doubled key's value is read for its faults, and left out
            level.data[key] = value
        return path

    def check_properties(self, event: yaml.NodeEvent) -> None:
        if event.anchor is not None:
            self.refuse_alias(event.start_mark, f"&{event.anchor}")
        tag = getattr(event, "tag", None)
        if tag is None:
            return
        if tag.startswith("!include"):
            self.report(
                event.start_mark, "include_not_allowed", "files cannot include others", "copy it here"
            )
            return
        shown = tag.replace("tag:yaml.org,2002:", "!!")
        self.report(event.start_mark, "tag_not_allowed", f"the tag {shown} is not allowed", "take it out")

    def check_text(self, event: yaml.ScalarEvent) -> None:
        if len(event.value) > CHARACTERS:
            what = f"a value of more than {CHARACTERS:,} characters"
            self.report(event.start_mark, "value_too_long", what, "shorten it")
        found = _UNPRINTABLE.search(event.value)
        if found:
            what = f"a character that is no text: {_character(found[0])}"
            self.report(event.start_mark, "bad_text", what, _WRITE_IT)

    def collection_as_key(self, event: yaml.CollectionStartEvent) -> None:
        place: Mark = event.start_mark
        line = self.lines[place.line] if place.line < len(self.lines) else ""
        if line[: place.column].rstrip().endswith("{") and line[place.column :].startswith("{"):
            self.template(place, line)
        self.stop(
            place, "bad_key", "a key must be a text, not a list or mapping", "write one word before the colon"
        )

    def template(self, mark: Mark, line: str) -> None:
        self.stop(mark, "template_needs_quotes", "a text with {{ or {% needs quotes", _quoted(line))

    def refuse_alias(self, mark: Mark, found: str) -> None:
        what = f"anchors, aliases and merge keys are not allowed: {found}"
        fix = "write the part out again; a text that begins with & or * needs quotes"
        if sum(fault.code == "alias_not_allowed" for fault in self.faults) < ALIASES:
            self.report(mark, "alias_not_allowed", what, fix)

    def syntax(self, error: yaml.MarkedYAMLError) -> Fault:
        mark = error.problem_mark or error.context_mark
        line = self.lines[mark.line] if mark is not None and mark.line < len(self.lines) else ""
        problem = f"{error.context or ''}: {error.problem or ''}"
        if _is_template(line, problem):
            return self.fault(
                mark, "template_needs_quotes", "a text with {{ or {% needs quotes", _quoted(line)
            )
        what, fix = _explain(problem, line)
        opened = error.context_mark
        if opened is not None and mark is not None and opened.line != mark.line and "never" in what:
            what += f" (it opens in line {opened.line + 1})"
        return self.fault(mark, "yaml_syntax", what, fix + self.colon_hint(mark.line + 1 if mark else 0))

    def colon_hint(self, line: int) -> str:
        """A hint where the line, or the one before, has a full-width colon after its key, alone, or inside
        { }; or no space after a key's colon.
        """
        for number in (line, line - 1):
            text = self.lines[number - 1] if 0 < number <= len(self.lines) else ""
            lone = ": " not in text and not text.endswith(":")
            if _FULL_WIDTH_COLON in text and (lone or _IN_BRACES.search(text) or _AFTER_KEY.match(text)):
                fix = f"write an ordinary : and a space instead of the full-width {_FULL_WIDTH_COLON}"
                return f"; in line {number} {fix}"
            if _NO_SPACE.match(text):
                return f"; in line {number} there is no space after the :"
        return ""

    def fault(self, mark: Mark, code: str, what: str, fix: str) -> Fault:
        line, column = _place(mark) if mark is not None else (0, 0)
        path = path_text(self.levels[-1].child_path()) if self.levels else ""
        return Fault(self.file, line, column, path, code, what, fix)

    def report(self, mark: Mark, code: str, what: str, fix: str) -> None:
        self.faults.append(self.fault(mark, code, what, fix))

    def stop(self, mark: Mark, code: str, what: str, fix: str) -> None:
        raise FaultsError([*self.faults, self.fault(mark, code, what, fix)])


_WRITE_IT = "write the character itself"

_PROBLEMS: tuple[tuple[str, str, str], ...] = (
    ("'\\t'", "a tab stands where spaces are needed", "indent with spaces"),
    (
        "mapping values are not allowed here",
        "a second ': ' in one line",
        "put a text that contains ': ' in quotes, or check the indentation",
    ),
    ("could not find expected ':'", "a key without ': ' after it", "write a colon and a space after the key"),
    ("quoted scalar: found unexpected end", "a quote is opened and never closed", "close it"),
    (
        "quoted scalar: found unknown escape",
        "an unknown escape after a backslash",
        "double the backslash, or use single quotes",
    ),
    ("escape sequence", "an unknown escape after a backslash", "double the backslash, or use single quotes"),
    (
        "expected ',' or ']'",
        "a list's [ is never closed, or a comma is missing",
        "close it with ], put commas between",
    ),
    (
        "expected ',' or '}'",
        "a mapping's { is never closed, or a comma is missing",
        "close it with }, put commas between",
    ),
    ("flow", "a bracket is opened and never closed, or a comma is missing", "check [ ] { } and commas"),
    ("that cannot start any token", "a text cannot begin with this character", "put the text in quotes"),
    ("expected <block end>", "the indentation does not fit the lines above", "align it with its neighbours"),
    ("alias", "a text cannot begin with * or &", "put the text in quotes"),
    ("anchor", "a text cannot begin with * or &", "put the text in quotes"),
)


def _explain(problem: str, line: str) -> tuple[str, str]:
    if "mapping values are not allowed" in problem and f"{line} ".count(": ") == 1:
        return "the line is indented deeper than the one above, which has its value already", "align the two"
    for part, what, fix in _PROBLEMS:
        if part in problem:
            return what, fix
    return f"this is not YAML: {problem.strip(': ')}", "check quotes, colons and indentation"


def _is_template(line: str, problem: str) -> bool:
    value = line.split(": ", 1)[-1].lstrip("- ")
    return value.startswith(("{{", "{%")) and "quoted scalar" not in problem


def _quoted(line: str) -> str:
    """The line as it should be: its value in quotes that its text does not contain."""
    before, brace, rest = line.strip().partition("{")
    value = (brace + rest).rstrip()
    quote = "'" if '"' in value and "'" not in value else '"'
    value = value.replace('"', '\\"') if quote == '"' else value
    return f"write {before}{quote}{value}{quote}"


def _place(mark: Mark) -> Place:
    return mark.line + 1, mark.column + 1
