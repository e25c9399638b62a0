"""All texts of a step, compiled: subject, body, HTML, attachments.

In: the library and a step. Out: `StepTexts`, or TemplateError naming the text. Which names they use together
decides what is fetched from the database.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from smr.messages.template import CompiledTemplate, Kind, compile_template
from smr.playbook.model import Attachment, Library, Step

WEB_ADDRESSES = frozenset({"url", "image"})


@dataclass(frozen=True)
class Source:
    """One text of a step: its template, and where it stands in the playbook.

    `path` is the way inside the playbook's document; `file` the template file it was read from, if any.
    """

    text: str
    kind: Kind
    path: tuple[str | int, ...]
    file: str | None = None

    @property
    def shown(self) -> str:
        """What it is called in errors."""
        return self.file or ".".join(str(part) for part in self.path)


@dataclass(frozen=True)
class CompiledAttachment:
    """One attachment: its kind (link, image, mini_program, file) and its texts."""

    kind: str
    parts: tuple[tuple[str, CompiledTemplate], ...]

    def render(self, context: dict[str, Any]) -> dict[str, dict[str, str]]:
        """The attachment with its texts filled in, without empty ones."""
        texts = {name: template.render(context).strip() for name, template in self.parts}
        return {self.kind: {name: text for name, text in texts.items() if text}}


@dataclass(frozen=True)
class StepTexts:
    """The compiled texts of one step."""

    body: CompiledTemplate
    subject: CompiledTemplate | None
    html: CompiledTemplate | None
    attachments: tuple[CompiledAttachment, ...]

    @property
    def templates(self) -> tuple[CompiledTemplate, ...]:
        """All of them."""
        single = tuple(one for one in (self.subject, self.body, self.html) if one is not None)
        return single + tuple(template for one in self.attachments for _, template in one.parts)

    @property
    def names(self) -> frozenset[str]:
        """All names they use."""
        return frozenset(name for template in self.templates for name in template.names)

    @property
    def varies(self) -> bool:
        """Whether two customers could get different texts."""
        return any(template.varies for template in self.templates)

    def attached(self, context: dict[str, Any]) -> str | None:
        """The attachments as JSON text."""
        if not self.attachments:
            return None
        return json.dumps([one.render(context) for one in self.attachments], ensure_ascii=False)


def sources(library: Library, step: Step, number: int = 0) -> Iterator[Source]:
    """The texts of a step, as written; `number` is its place in the playbook, from 0."""
    here = ("steps", number)
    if step.subject is not None:
        yield Source(step.subject, "line", (*here, "subject"))
    yield Source(
        library.body(step), "text", (*here, "template" if step.template else "message"), step.template
    )
    html = library.html(step)
    if html is not None:
        yield Source(
            html, "html", (*here, "html_template" if step.html_template else "html"), step.html_template
        )
    for place, attachment in enumerate(step.attach):
        for kind, name, text in _attachment_texts(attachment):
            web = name in WEB_ADDRESSES
            yield Source(text, "url" if web else "line", (*here, "attach", place, kind, name))


def _attachment_texts(attachment: Attachment) -> Iterator[tuple[str, str, str]]:
    for kind in ("link", "image", "mini_program", "file"):
        part = getattr(attachment, kind)
        if part is not None:
            for name in type(part).model_fields:
                text = getattr(part, name)
                if text:
                    yield kind, name, text


def step_texts(library: Library, step: Step) -> StepTexts:
    """The compiled texts of a step; TemplateError for the first that cannot be used."""
    found = {source.path[2:]: compile_source(source) for source in sources(library, step)}
    body = found.get(("message",)) or found[("template",)]
    return StepTexts(
        body=body,
        subject=found.get(("subject",)),
        html=found.get(("html",)) or found.get(("html_template",)),
        attachments=tuple(_attachments(found)),
    )


def _attachments(found: dict[tuple[str | int, ...], CompiledTemplate]) -> Iterator[CompiledAttachment]:
    grouped: dict[tuple[int, str], list[tuple[str, CompiledTemplate]]] = {}
    for path, template in found.items():
        if path[0] == "attach":
            grouped.setdefault((int(path[1]), str(path[2])), []).append((str(path[3]), template))
    for (_, kind), parts in grouped.items():
        yield CompiledAttachment(kind, tuple(parts))


def compile_source(source: Source) -> CompiledTemplate:
    """One compiled text; TemplateError says which text it is."""
    return compile_template(source.text, source.kind, source.shown)
