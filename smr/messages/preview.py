"""A look at texts before anybody gets them: a template on its own, or a step as one customer would read it.

In: a template and data, or a step and a candidate's values. Out: texts or their faults. Rendering happens in
a child process with limits (`bounded`), since a template on its own may be anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.errors import Fault, FaultsError, OperatorError, did_you_mean
from smr.messages.bounded import Text, render_apart
from smr.messages.check import channel_limit
from smr.messages.fault import VARIABLE, TemplateError, ValueRefused
from smr.messages.fetching import ANCHOR, BASE, BUCKET, CUSTOMER
from smr.messages.rendering import StepRenderer, message_id
from smr.messages.template import Kind, compile_template
from smr.messages.texts import sources
from smr.messages.values import plain
from smr.playbook.model import Library, Playbook, Step
from smr.settings import Settings
from smr.tables import candidates

DATA_LENGTH = 1_000_000
GIVEN = ("today", "language", "currency")
"""Names a template on its own has without the data saying so."""


def read_data(text: str, file: str) -> dict[str, Any]:
    """The plain values of a JSON object; FaultsError where it is none, or holds what no message can."""
    try:
        found = json.loads(
            text,
            object_pairs_hook=_object,
            parse_float=Decimal,
            parse_int=_whole,
            parse_constant=_no_constant,
        )
        if not isinstance(found, dict):
            raise _fault(
                file,
                1,
                1,
                "data_invalid",
                "the data is no JSON object",
                'write {"customer": {"name": "小林"}}',
            )
        return {name: plain(value, 1) for name, value in found.items()}
    except json.JSONDecodeError as error:
        raise _fault(
            file, error.lineno, error.colno, "data_invalid", f"this is no JSON: {error.msg}", ""
        ) from None
    except RecursionError:
        raise _fault(
            file, 0, 0, "data_invalid", "the data is nested too deeply", "at most six levels"
        ) from None
    except (ValueRefused, ValueError) as error:
        raise _fault(file, 0, 0, "data_invalid", str(error)[:200], "") from None


def _fault(file: str, line: int, column: int, code: str, what: str, fix: str) -> FaultsError:
    return FaultsError([Fault(file, line, column, "", code, what, fix)])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:60]!r} is said twice")
    return made


def _whole(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError(f"the number {digits[:20]}… has too many digits")
    return int(digits)


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number that can be used")


def preview_template(
    source: str, kind: Kind, file: str, data: Mapping[str, Any], settings: Settings, now: datetime
) -> str:
    """A template on its own with this data; raises TemplateError where it is refused or fails."""
    template = compile_template(source, kind, file)
    context = {
        "today": clock.local_day(now, settings.shop.tz),
        "language": settings.shop.language,
        "currency": settings.shop.currency,
        **data,
    }
    for path, line in template.unguarded.items():
        root = path.split(".")[0]
        if root not in context:
            hint = did_you_mean(root, list(context))
            raise TemplateError(VARIABLE, line, f"there is no {root!r} in the data", hint, where=file)
    (made,) = render_apart([Text(source, kind, file)], context)
    if isinstance(made, TemplateError):
        raise made
    return made


@dataclass(frozen=True)
class StepPreview:
    """One step as a customer would read it; `faults` where a text cannot be made."""

    step: str
    send: str
    channel: str
    texts: dict[str, str] = field(default_factory=dict)
    faults: tuple[TemplateError, ...] = ()
    notes: tuple[str, ...] = ()


def preview_step(
    connection: Connection,
    library: Library,
    settings: Settings,
    playbook: Playbook,
    step: Step,
    candidate: Mapping[str, Any],
    *,
    now: datetime,
    notes: tuple[str, ...] = (),
) -> StepPreview:
    """A step with the values of this candidate (columns of candidates; what is not known may be left out)."""
    here = f"{playbook.name}.{step.name}"
    renderer = StepRenderer.of(playbook, step, library, settings, _as_source(candidate))
    shown = (step.name, str(step.send), str(candidate["channel"]))
    if renderer.problem:
        return StepPreview(*shown, faults=tuple(_compile_faults(library, step, here)), notes=notes)
    row = connection.execute(renderer.fetch.select()).one()
    renderer.fetch.message_id = message_id(playbook.name, step.name, row[BUCKET], row[CUSTOMER], row[ANCHOR])
    try:
        context = renderer.context(connection, row, now)
    except ValueRefused as error:
        return StepPreview(*shown, faults=(TemplateError(VARIABLE, 0, error.what, error.fix),), notes=notes)
    asked = list(sources(library, step))
    made = render_apart([Text(one.text, one.kind, one.file or here) for one in asked], context)
    texts = {
        _called(one.path): text.strip()
        for one, text in zip(asked, made, strict=True)
        if isinstance(text, str)
    }
    faults = tuple(text for text in made if isinstance(text, TemplateError))
    return StepPreview(*shown, texts, faults, (*notes, *_too_long(texts.get("message", ""), step, settings)))


def _called(path: tuple[str | int, ...]) -> str:
    """What a text is called in a preview: subject, message, html, attach.1.link.title."""
    name = str(path[2]).replace("html_template", "html").replace("template", "message")
    return ".".join([name, *(str(part + 1) if isinstance(part, int) else part for part in path[3:])])


def _compile_faults(library: Library, step: Step, here: str) -> list[TemplateError]:
    found = []
    for one in sources(library, step):
        try:
            compile_template(one.text, one.kind, one.file or here)
        except TemplateError as error:
            found.append(error)
    return found


def _too_long(body: str, step: Step, settings: Settings) -> tuple[str, ...]:
    notes = []
    for channel in step.via:
        limit = channel_limit(settings, channel)
        size = len(body.encode()) if limit and limit[1] == "bytes" else len(body)
        if limit and size > limit[0]:
            notes.append(f"too long for {channel}: {size:,} {limit[1]}; it takes {limit[0]:,}")
    return tuple(notes)


def _as_source(candidate: Mapping[str, Any]) -> sa.FromClause:
    """One row with the columns of candidates that rendering reads."""
    if missing := {"bucket", "customer_id", "anchor", "channel"} - set(candidate):
        raise OperatorError(f"a preview needs {', '.join(sorted(missing))}")
    columns = []
    for name in BASE:
        column_type, value = candidates.c[name].type, candidate.get(name)
        given = sa.cast(sa.null(), column_type) if value is None else sa.literal(value, column_type)
        columns.append(given.label(name))
    return sa.select(*columns).subquery("candidate")
