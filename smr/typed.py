"""A document as a typed model, or as faults that say where, what and what to do.

In: a pydantic model and a `Document`. Out: the model's value, or a list of Faults in an operator's words.
Trap: pydantic's own error text repeats the input; nothing here may do so for the paths named in `hidden`,
which came from the environment and may be secrets.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, Tag, ValidationError
from pydantic.fields import FieldInfo

from smr import notation
from smr.errors import Fault, did_you_mean
from smr.events import OTHER_SPELLINGS
from smr.strict_yaml import Document, Steps, path_text

Model = TypeVar("Model", bound=BaseModel)

CODES: dict[Any, str] = {
    notation.parse_span: "duration",
    notation.parse_short_span: "duration",
    notation.parse_rate: "rate",
    notation.parse_pace: "rate",
    notation.parse_share: "share",
    notation.parse_time: "time",
    notation.parse_send: "send",
    notation.parse_flag: "flag",
    notation.parse_whole: "number",
    notation.parse_number: "number",
    notation.parse_day: "date",
}
"""The stem of the fault code for each notation: `duration_invalid`, `duration_range`, …"""


class UnfitValueError(ValueError):
    """A value that does not fit, with the code of its fault; the message is `what`, or `what; fix`."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def typed(
    model: type[Model],
    document: Document,
    *,
    data: dict[str, Any] | None = None,
    hidden: Collection[Steps] = (),
    nouns: Mapping[str, str] | None = None,
    habits: Mapping[str, str] | None = None,
) -> tuple[Model | None, list[Fault]]:
    """The document as `model`, or None and all faults.

    `data` stands in for the document's own where it was changed since. `hidden` are paths whose values are
    never shown. `nouns` says what a choice under that key is called (else a condition); `habits` which key
    is meant by one that other tools have.
    """
    content = document.data if data is None else data
    try:
        return model.model_validate(content), []
    except ValidationError as error:
        found = [
            _Found.read(model, content, stated)
            for stated in error.errors(include_url=False, include_input=False)
        ]
        found = [one for one in found if not one.echoes(found)]
        teller = _Teller(document, frozenset(hidden), nouns or {}, habits or {})
        return None, list(dict.fromkeys(teller.faults(found)))


@dataclass(frozen=True)
class _Found:
    """One error of pydantic's, with the path in the document and the type that stands there."""

    kind: str
    message: str
    context: Mapping[str, Any]
    path: Steps
    at_key: bool
    value: Any
    spot: _Spot
    around: _Spot

    @classmethod
    def read(cls, model: type[BaseModel], data: Any, stated: Any) -> _Found:
        kind, location = stated["type"], stated["loc"]
        outer = around = spot = _Spot(model)
        path: list[str | int] = []
        value = data
        for number, part in enumerate(location):
            outer, around, spot = around, spot, spot.inside(part)
            if part == "[key]":
                spot = _Spot(get_args(outer.bare)[0])
            last = number == len(location) - 1
            if part in value if isinstance(value, dict) else _is_index(part, value):
                value = value[part]
                path.append(part)
            elif last and kind == "missing":
                path.append(part)
        context = stated.get("ctx") or {}
        return cls(
            kind, stated["msg"], context, tuple(path), location[-1:] == ("[key]",), value, spot, around
        )

    def echoes(self, others: Iterable[_Found]) -> bool:
        """Whether it only says that a list is too short since its items, told beside it, are wrong."""
        depth = len(self.path)
        wrong = any(other.path[:depth] == self.path and len(other.path) > depth for other in others)
        return self.kind == "too_short" and wrong


def _is_index(part: Any, value: Any) -> bool:
    return isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value)


@dataclass(frozen=True)
class _Spot:
    """A type annotation, followed along an error's location."""

    annotation: Any = None
    field: FieldInfo | None = None

    @property
    def metadata(self) -> tuple[Any, ...]:
        """What annotates the type here, the field's own first."""
        own = tuple(self.field.metadata) if self.field else ()
        if get_origin(self.annotation) is Annotated:
            own += tuple(get_args(self.annotation)[1:])
        return own

    @property
    def bare(self) -> Any:
        """The type without its annotations, and without None."""
        found = self.annotation
        while True:
            if get_origin(found) is Annotated:
                found = get_args(found)[0]
            elif _is_union(found) and len(_members(found)) == 1:
                found = _members(found)[0]
            else:
                return found

    @property
    def tags(self) -> list[str]:
        """The keys one of which must be chosen here; empty where there is no such choice."""
        if not _is_union(self.bare):
            return []
        return [tag.strip("«»") for member in _members(self.bare) for tag in _tags(member)]

    @property
    def keys(self) -> list[str]:
        """The keys a mapping may have here."""
        if not _is_model(self.bare):
            return []
        return [info.alias or name for name, info in self.bare.model_fields.items()]

    @property
    def description(self) -> str:
        """What the field's author says of it."""
        fields = [self.field, *(part for part in self.metadata if isinstance(part, FieldInfo))]
        return next((field.description for field in fields if field and field.description), "")

    @property
    def parsers(self) -> list[Callable[..., Any]]:
        """The notation parsers that read a text here."""
        found = [part.func for part in self.metadata if isinstance(part, BeforeValidator)]
        if not found and _is_union(self.annotation):
            found = [parser for member in _members(self.annotation) for parser in _Spot(member).parsers]
        return found

    def inside(self, part: str | int) -> _Spot:
        """The type one step further along a location."""
        bare = self.bare
        if _is_union(bare):
            return self._choice(part)
        if _is_model(bare):
            return _field(bare, part)
        origin, arguments = get_origin(bare), get_args(bare)
        if origin is dict:
            return _Spot(arguments[1])
        if origin in (tuple, list) and isinstance(part, int):
            return _Spot(arguments[0])
        return _Spot()

    def _choice(self, part: str | int) -> _Spot:
        for member in _members(self.bare):
            if part in _tags(member):
                return _Spot(member)
        return self


def _field(model: type[BaseModel], part: str | int) -> _Spot:
    for name, info in model.model_fields.items():
        if part in (name, info.alias):
            return _Spot(info.annotation, info)
    return _Spot()


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _members(annotation: Any) -> list[Any]:
    return [member for member in get_args(annotation) if member is not type(None)]


def _tags(member: Any) -> list[str]:
    return [part.tag for part in get_args(member)[1:] if isinstance(part, Tag)]


@dataclass(frozen=True)
class _Teller:
    """Tells each error as a fault at its place."""

    document: Document
    hidden: frozenset[Steps]
    nouns: Mapping[str, str]
    habits: Mapping[str, str]

    def faults(self, found: Sequence[_Found]) -> Iterable[Fault]:
        """The faults, with the keys missing from one mapping told together."""
        missing: dict[Steps, list[str]] = {}
        for one in found:
            if one.kind == "missing":
                missing.setdefault(one.path[:-1], []).append(str(one.path[-1]))
            else:
                yield self.fault(one)
        for path, names in missing.items():
            keys = ", ".join(names)
            what = f"the key {keys} is missing" if len(names) == 1 else f"the keys {keys} are missing"
            yield self.document.fault(
                path, "missing_key", what, "add it" if len(names) == 1 else "add them", key=True
            )

    def fault(self, one: _Found) -> Fault:
        code, what, fix = self.words(one)
        at_key = one.at_key or one.kind == "extra_forbidden"
        line, column = self.document.place(one.path, key=at_key)
        return Fault(self.document.file, line, column, path_text(one.path), code, what, fix)

    def words(self, one: _Found) -> tuple[str, str, str]:
        """Code, what and fix."""
        if one.kind == "extra_forbidden":
            key = str(one.path[-1])
            meant = self.habits.get(key, "")
            fix = (
                f"did you mean {meant!r}?" if meant in one.around.keys else did_you_mean(key, one.around.keys)
            )
            return "unknown_key", f"unknown key {key!r}", fix
        if one.kind.startswith("union_tag"):
            return self.choice(one)
        if one.path in self.hidden and one.kind not in _SHAPES:
            code, _, fix = _words(one)
            return code, "the value from the environment does not fit here", "" if _repeats(one, fix) else fix
        return _words(one)

    def choice(self, one: _Found) -> tuple[str, str, str]:
        """Of the mapping with exactly one key: which key, or why it is none."""
        key = next((part for part in reversed(one.path) if isinstance(part, str)), "")
        named = self.nouns.get(key, "condition")
        code = named.replace(" ", "_")
        known = one.spot.tags
        if not isinstance(one.value, dict):
            what = f"a {named} is a mapping with one key, found {_kind(one.value)}"
            return f"{code}_shape", what, f"write such as {{{known[0]}: …}}; " + did_you_mean("", known)
        if len(one.value) > 1:
            fix = "join several with all: [{…}, {…}]" if "all" in known else "keep one of them"
            keys = ", ".join(map(str, one.value))
            return f"{code}_shape", f"a {named} has exactly one key, found {keys}", fix
        if not one.value:
            return f"{code}_shape", f"a {named} has exactly one key, found none", did_you_mean("", known)
        key = str(next(iter(one.value)))
        return f"unknown_{code}", f"unknown {named} {key!r}", did_you_mean(key, known)


def _repeats(one: _Found, fix: str) -> bool:
    return isinstance(one.value, str) and one.value in fix


def _words(one: _Found) -> tuple[str, str, str]:
    if one.kind in _SHAPES:
        return "type", f"expected {_SHAPES[one.kind]}, found {_kind(one.value)}", _SHAPED.get(one.kind, "")
    if one.kind in _BOUNDS:
        limit = next(iter(one.context.values()), "")
        fix = one.spot.description if one.kind in ("too_short", "too_long") else ""
        return "range", _BOUNDS[one.kind].format(_bound(one, limit)), fix
    if one.kind == "value_error":
        what, _, fix = str(one.context["error"]).partition("; ")
        return _code(one, what), what, fix
    if one.kind in ("literal_error", "enum"):
        known = [str(choice) for choice in _choices(one.spot.bare)]
        stated = str(one.path[-1]) if one.at_key else str(one.value)
        return "unknown_value", f"{_shown(stated)} is not known here", did_you_mean(stated, known)
    if one.kind == "string_pattern_mismatch":
        return _pattern(one)
    return "invalid", one.message, one.spot.description


def _code(one: _Found, what: str) -> str:
    if isinstance(one.context["error"], UnfitValueError):
        return one.context["error"].code
    if "can never hold" in what:
        return "range_empty"
    stem = next((CODES[parser] for parser in one.spot.parsers if parser in CODES), "")
    if not stem:
        return "invalid"
    return f"{stem}_range" if "out of range" in what else f"{stem}_invalid"


def _choices(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [*annotation, *OTHER_SPELLINGS.get(annotation, ())]
    return [choice for member in get_args(annotation) for choice in _choices(member)]


def _pattern(one: _Found) -> tuple[str, str, str]:
    """A name that is not formed as names are, or a field that is none of the listed ones."""
    listed = re.fullmatch(r"\^\((.*)\)\$", str(one.context.get("pattern", "")))
    shown = str(one.path[-1]) if one.at_key else str(one.value)
    if listed:
        known = [re.sub(r"\\\..*", ".NAME", name) for name in listed[1].split("|")]
        return "unknown_field", f"{_shown(shown)} is not known here", did_you_mean(shown, known)
    return (
        "bad_name",
        f"{_shown(shown)} cannot be used here",
        one.spot.description or "check how it is written",
    )


def _shown(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _bound(one: _Found, limit: Any) -> Any:
    names = ("min_length", "max_length", "ge", "gt", "le", "lt")
    return next((one.context[name] for name in names if name in one.context), limit)


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "a text"
    return {dict: "a mapping", list: "a list", type(None): "nothing"}.get(
        type(value), "another kind of value"
    )


_SHAPED = {
    "list_type": "write it in [ ], or on lines of its own that begin with -",
    "tuple_type": "write it in [ ], or on lines of its own that begin with -",
    "dict_type": "write keys with their values, such as {key: value}",
    "model_type": "write keys with their values, such as {key: value}",
}
_SHAPES = {
    "string_type": "a text",
    "dict_type": "a mapping of keys and values",
    "model_type": "a mapping of keys and values",
    "model_attributes_type": "a mapping of keys and values",
    "tuple_type": "a list",
    "list_type": "a list",
    "path_type": "a path",
}
_BOUNDS = {
    "too_short": "needs at least {}",
    "too_long": "more than {} are not allowed",
    "string_too_short": "the text is empty",
    "string_too_long": "the text is longer than {} characters",
    "greater_than_equal": "must be at least {}",
    "greater_than": "must be more than {}",
    "less_than_equal": "must be at most {}",
    "less_than": "must be less than {}",
}
