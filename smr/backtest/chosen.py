"""Which playbooks a walk is about; and the parts that a playbook is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

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
    return replace(library, playbooks=picked)


def parts_of(part: Any) -> Iterator[BaseModel]:
    """A part of a playbook and all parts in it."""
    if isinstance(part, tuple | list):
        for one in part:
            yield from parts_of(one)
    elif isinstance(part, BaseModel):
        yield part
        for name in type(part).model_fields:
            yield from parts_of(getattr(part, name))
