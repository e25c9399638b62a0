"""How long a text can get: the worst case, and the least.

In: a compiled template. Out: `Length` in characters and in UTF-8 bytes. Names count with the length `context`
gives them, loops with ten rounds, conditions with their longest branch; what is unknown counts forty.
"""

from __future__ import annotations

from dataclasses import dataclass

from jinja2 import nodes

from smr.messages.context import find
from smr.messages.filters import FILTERS
from smr.messages.syntax import path_of

ROUNDS = 10
UNKNOWN = 40
BYTES_OF_UNKNOWN = 3


@dataclass(frozen=True)
class Length:
    """A length in characters and in UTF-8 bytes."""

    characters: int = 0
    bytes: int = 0

    def __add__(self, other: Length) -> Length:
        return Length(self.characters + other.characters, self.bytes + other.bytes)

    def times(self, rounds: int) -> Length:
        """This, so many times."""
        return Length(self.characters * rounds, self.bytes * rounds)


NOTHING = Length()


def of_text(text: str) -> Length:
    """The length of a text as it stands."""
    return Length(len(text), len(text.encode("utf-8", "replace")))


def longest(body: list[nodes.Node]) -> Length:
    """The most these parts of a template can give."""
    total = NOTHING
    for node in body:
        if isinstance(node, nodes.Output):
            total = _sum(total, *(_printed(child) for child in node.nodes))
        elif isinstance(node, nodes.If):
            branches = [node.body, *(branch.body for branch in node.elif_), node.else_]
            total += _most(*(longest(branch) for branch in branches))
        elif isinstance(node, nodes.For):
            total += _most(longest(node.body).times(ROUNDS), longest(node.else_))
    return total


def shortest(body: list[nodes.Node]) -> Length:
    """What these parts of a template give in any case: their fixed text."""
    total = NOTHING
    for node in body:
        if isinstance(node, nodes.Output):
            total = _sum(
                total, *(of_text(one.data) for one in node.nodes if isinstance(one, nodes.TemplateData))
            )
        elif isinstance(node, nodes.If):
            branches = [node.body, *(branch.body for branch in node.elif_), node.else_]
            total += _least(*(shortest(branch) for branch in branches))
    return total


def _sum(*lengths: Length) -> Length:
    return Length(sum(one.characters for one in lengths), sum(one.bytes for one in lengths))


def _most(*lengths: Length) -> Length:
    return Length(max(one.characters for one in lengths), max(one.bytes for one in lengths))


def _least(*lengths: Length) -> Length:
    return Length(min(one.characters for one in lengths), min(one.bytes for one in lengths))


def _printed(node: nodes.Node) -> Length:
    if isinstance(node, nodes.TemplateData):
        return of_text(node.data)
    if isinstance(node, nodes.Const):
        return of_text(str(node.value))
    if isinstance(node, nodes.Filter):
        return _filtered(node)
    if isinstance(node, nodes.CondExpr):
        other = NOTHING if node.expr2 is None else _printed(node.expr2)
        return _most(_printed(node.expr1), other)
    if isinstance(node, nodes.Or):
        return _most(_printed(node.left), _printed(node.right))
    if isinstance(node, nodes.Concat):
        return _sum(*(_printed(one) for one in node.nodes))
    path = path_of(node)
    known = find(".".join(path)) if path else None
    characters = known.longest if known else UNKNOWN
    wide = known is None or not isinstance(known.sample, str) or not known.sample.isascii()
    return Length(characters, characters * (BYTES_OF_UNKNOWN if wide else 1))


def _filtered(node: nodes.Filter) -> Length:
    inner = NOTHING if node.node is None else _printed(node.node)
    first = node.args[0] if node.args else None
    if node.name == "truncate":
        most = first.value if isinstance(first, nodes.Const) and isinstance(first.value, int) else 20
        return inner if inner.characters <= most else Length(most, most * BYTES_OF_UNKNOWN)
    if node.name == "default" and first is not None:
        return _most(inner, _printed(first))
    spec = FILTERS.get(node.name)
    if spec is not None and spec.longest:
        return Length(spec.longest, spec.longest * BYTES_OF_UNKNOWN)
    return inner
