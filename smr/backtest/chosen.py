"""Which playbooks a walk is about, and which segments and ladders they need.

What no chosen playbook asks for is left out: it changes no message, and would be computed anew each day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from smr.conditions.model import AtStage, InSegment
from smr.errors import OperatorError, did_you_mean
from smr.playbook.model import Library


def chosen(library: Library, names: Sequence[str]) -> Library:
    """The library with these playbooks, live even where they are drafts; with all live ones where none is
    named.

    Raises OperatorError for a name that is not there, and where nothing is left to walk.
    """
    known = [playbook.name for playbook in library.playbooks]
    for name in names:
        if name not in known:
            raise OperatorError(f"there is no playbook {name!r}; {did_you_mean(name, known)}")
    picked = tuple(
        playbook.model_copy(update={"status": "live"})
        for playbook in library.playbooks
        if (playbook.name in names if names else playbook.status == "live")
    )
    if not picked:
        raise OperatorError(
            f"no playbook in {library.folder} is live; name the ones to walk, such as "
            f"{known[0] if known else 'NAME'}"
        )
    return _only_needed(replace(library, playbooks=picked))


def _only_needed(library: Library) -> Library:
    wanted: set[tuple[str, str]] = set(_asked(library.playbooks))
    waiting = list(wanted)
    while waiting:
        kind, name = waiting.pop()
        part = library.segments.get(name) if kind == "segment" else library.ladders.get(name)
        new = set(_asked(part)) - wanted
        wanted |= new
        waiting += new
    return replace(
        library,
        segments={name: one for name, one in library.segments.items() if ("segment", name) in wanted},
        ladders={name: one for name, one in library.ladders.items() if ("ladder", name) in wanted},
        order=tuple(one for one in library.order if one in wanted),
    )


def parts_of(part: Any) -> Iterator[BaseModel]:
    """A part of a playbook and all parts in it."""
    if isinstance(part, tuple | list):
        for one in part:
            yield from parts_of(one)
    elif isinstance(part, BaseModel):
        yield part
        for name in type(part).model_fields:
            yield from parts_of(getattr(part, name))


def _asked(part: Any) -> Iterator[tuple[str, str]]:
    for one in parts_of(part):
        if isinstance(one, InSegment):
            yield from (("segment", name) for name in one.segment)
        if isinstance(one, AtStage):
            yield from (("ladder", name) for name in one.stage)
