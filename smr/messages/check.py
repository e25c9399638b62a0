"""Checking all templates of a library before any customer is looked at.

In: the library, the settings. Out: faults with their places (and warnings): syntax and sandbox, names that do
not exist or not for this trigger, texts too long for a channel, what would fail for everybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from jinja2 import nodes

from smr.discretion import Discretion
from smr.errors import Fault
from smr.messages import context
from smr.messages.fault import FAILED, VARIABLE, TemplateError
from smr.messages.length import Length, longest, shortest
from smr.messages.template import CompiledTemplate
from smr.messages.texts import Source, compile_source, sources
from smr.playbook.model import TRIGGERS, GaveBack, Library, OnProduct, Playbook, Purchased, RunsOut, Step
from smr.settings import Settings

TOO_LONG = "message_too_long"
FULL_WIDTH_BRACES = "full_width_braces"
FULL_WIDTH = re.compile(r"｛[｛%％]|[｝%％]｝")
SENSITIVE = "sensitive_named"
TELLING = ("product.name", "product.category", "offer.name", "purchase.products", "bundle")
"""Names that tell what somebody bought."""

CHANNEL_LENGTHS: dict[str, tuple[int, str]] = {
    "sms": (500, "characters"),
    "wecom": (4_000, "bytes"),
    "wecom_moments": (2_000, "characters"),
    "wecom_group": (4_000, "bytes"),
}
"""The longest text each known channel takes, where the settings do not say."""


def check_library(library: Library, settings: Settings) -> list[Fault]:
    """All faults and warnings of all templates, in the order of the playbooks."""
    return [
        fault
        for playbook in library.playbooks
        for number, step in enumerate(playbook.steps)
        for fault in _Check(library, settings, playbook, step, number).faults()
    ]


def channel_limit(settings: Settings, channel: str) -> tuple[int, str] | None:
    """The longest text of a channel and its unit (`characters` or `bytes`); None where there is no limit."""
    stated = settings.channel(channel).max_length
    return (stated, "characters") if stated is not None else CHANNEL_LENGTHS.get(channel)


def trigger_of(playbook: Playbook) -> str:
    """The trigger's key: runs_out, purchase, schedule or date."""
    return next(name for name, kind in TRIGGERS.items() if isinstance(playbook.trigger, kind))


@dataclass(frozen=True)
class _Check:
    library: Library
    settings: Settings
    playbook: Playbook
    step: Step
    number: int

    def faults(self) -> Iterator[Fault]:
        for source in sources(self.library, self.step, self.number):
            try:
                template = compile_source(source)
            except TemplateError as error:
                yield self.fault(source, error.line, error.code, error.what, error.fix, column=error.column)
                continue
            names = list(self.names(source, template))
            yield from names
            if not any(not fault.warning for fault in names):
                yield from self.trial(source, template)
            yield from self.sensitive(source, template)
            yield from self.full_width(source)
            if source.path[2] in {"message", "template"}:
                yield from self.length(source, template)

    def names(self, source: Source, template: CompiledTemplate) -> Iterator[Fault]:
        wrong = {path: self.wrong(path) for path in template.lines}
        for path, line in template.lines.items():
            if found := wrong[path]:
                what, fix, warning = found
                yield self.fault(source, line, VARIABLE, what, fix, warning=warning, word=path)
        for path, line in template.unguarded.items():
            known = context.find(path)
            if known is not None and known.missing and not wrong.get(path):
                what = f"some customers have no {path}: the message would not be sent to them"
                fix = f'add a default: {{{{ {path} | default("{self.instead(path)}") }}}}'
                yield self.fault(source, line, VARIABLE, what, fix, warning=True, word=path)

    def full_width(self, source: Source) -> Iterator[Fault]:
        """Of braces as a Chinese keyboard writes them: customers would read the name of the variable."""
        for number, line in enumerate(source.text.splitlines(), 1):
            found = FULL_WIDTH.search(line)
            if found:
                what = f"{found[0]} is text, and is sent as it stands"
                fix = "write ordinary braces: {{ customer.name }}, {% if … %}"
                yield self.fault(source, number, FULL_WIDTH_BRACES, what, fix, warning=True, word=found[0])

    def instead(self, path: str) -> str:
        """What might stand where a customer has no such value."""
        if path != "customer.name":
            return "…"
        return "亲" if self.settings.shop.language == "zh" else "there"

    def wrong(self, path: str) -> tuple[str, str, bool] | None:
        """What is wrong with a name here, what to do, and whether that is only a warning."""
        known, trigger = context.find(path), trigger_of(self.playbook)
        if known is None:
            return f"there is no {path} in a message", context.hint(path, self.library.ladders), False
        if trigger not in known.triggers:
            there = " or ".join(sorted(known.triggers))
            return f"{path} does not exist for the trigger {trigger}", f"it exists for {there}", False
        if path.startswith("customer.stage.") and path.split(".")[2] not in self.library.ladders:
            what = f"there is no ladder {path.split('.')[2]!r}"
            return what, context.hint(path, self.library.ladders), False
        if path == "reorder.url" and not self.settings.shop.reorder_url:
            return "reorder.url is not configured", "set shop.reorder_url in config.yaml", True
        return None

    def trial(self, source: Source, template: CompiledTemplate) -> Iterator[Fault]:
        """Render with example values: what fails for them would fail for everybody."""
        if any(name.startswith("customer.attributes.") for name in template.names):
            return
        try:
            template.render(context.sample(template.names, self.settings.shop.language))
        except TemplateError as error:
            yield self.fault(source, error.line, FAILED, error.what, error.fix)

    def sensitive(self, source: Source, template: CompiledTemplate) -> Iterator[Fault]:
        """Of texts that name what is sensitive on a discreet channel, and of names that change there."""
        discretion = Discretion.of(self.library, self.settings)
        if not discretion.hushes(self.step.via):
            return
        channel = next(name for name in self.step.via if name in discretion.channels)
        word = discretion.written.first(*self.fixed(template))
        told = [name for name in TELLING if name in template.names]
        if word is not None:
            what = f"this names {word}, which is sensitive, and others may read along on {channel}"
            fix = f"say it without: it is never sent there as it is. Or take {channel} out of via"
            yield self.fault(source, 0, SENSITIVE, what, fix)
        elif told and self.about_sensitive(discretion):
            instead = discretion.word(self.settings.shop.language)
            what = f"on {channel} a sensitive product is called {instead!r}"
            fix = "read the text with that word; policy → discreet_word in config.yaml sets another"
            line = template.lines[told[0]]
            yield self.fault(source, line, SENSITIVE, what, fix, warning=True, word=told[0])

    def fixed(self, template: CompiledTemplate) -> Iterator[str]:
        """What a text says to everybody."""
        yield from (node.data for node in template.tree.find_all(nodes.TemplateData))
        consts = (node.value for node in template.tree.find_all(nodes.Const))
        yield from (value for value in consts if isinstance(value, str))
        known = {
            "playbook.title": self.playbook.shown,
            "playbook.name": self.playbook.name,
            "step.name": self.step.name,
            "shop.name": self.settings.shop.name,
        }
        yield from (text for name, text in known.items() if name in template.names)

    def about_sensitive(self, discretion: Discretion) -> bool:
        """Whether the playbook's trigger names a sensitive product or category."""
        trigger = self.playbook.trigger
        match trigger:
            case (
                RunsOut(runs_out=goods)
                | Purchased(purchase=goods)
                | GaveBack(refund=goods)
                | OnProduct(product=goods)
            ):
                categories, products = {*(goods.category or ())}, {*(goods.product or ())}
                return bool(categories & discretion.categories or products & discretion.products)
        return False

    def length(self, source: Source, template: CompiledTemplate) -> Iterator[Fault]:
        most, least = longest(template.tree.body), shortest(template.tree.body)
        for channel in self.step.via:
            limit = channel_limit(self.settings, channel)
            if limit is None or _in(most, limit[1]) <= limit[0]:
                continue
            always = _in(least, limit[1]) > limit[0]
            size = f"at least {_in(least, limit[1]):,}" if always else f"up to {_in(most, limit[1]):,}"
            what = f"the text has {size} {limit[1]}; {channel} takes {limit[0]:,}"
            fix = "shorten it" if always else "shorten it, or cut names with | truncate(10)"
            yield self.fault(source, 0, TOO_LONG, what, fix, warning=not always)

    def fault(
        self,
        source: Source,
        line: int,
        code: str,
        what: str,
        fix: str = "",
        *,
        column: int = 0,
        warning: bool = False,
        word: str = "",
    ) -> Fault:
        """A fault of one text, at its place: in the template's file, or in the playbook's."""
        column = column or _column(source.text, line, word)
        if source.file is not None:
            file = str(PurePosixPath(self.library.folder.as_posix()) / source.file)
            path = f"{self.playbook.name} → {self.step.name}"
            return Fault(file, line, column if line else 0, path, code, what, fix, warning)
        inside = f"line {line} of the text: " if line and "\n" in source.text.strip("\n") else ""
        document = self.library.document(self.playbook.name)
        return document.fault(source.path, code, inside + what, fix, warning=warning)


def _in(length: Length, unit: str) -> int:
    return length.bytes if unit == "bytes" else length.characters


def _column(source: str, line: int, word: str) -> int:
    lines = source.splitlines()
    return lines[line - 1].find(word) + 1 if word and 0 < line <= len(lines) else 0
