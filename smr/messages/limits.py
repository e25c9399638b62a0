"""What is judged of a template's text before any parser sees it.

In: the source. Out: nothing, or TemplateError. The parser and the compiler behind it are recursive and fold
constants, so a template of a few hundred characters can exhaust the stack, the memory or minutes of CPU
while it is only being *loaded*. These counts, taken from the flat stream of tokens, come first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import TemplateSyntaxError
from jinja2.lexer import Lexer

from smr.messages.fault import NOT_ALLOWED, SYNTAX, TOO_LARGE, TemplateError

SOURCE_LENGTH = 8_000
TOKENS = 3_000
BRACKET_DEPTH = 30
BLOCK_DEPTH = 12
EXPRESSION_PARTS = 60
LITERAL_LENGTH = 2_000
LITERAL_DIGITS = 15

TAGS = frozenset({"if", "elif", "else", "endif", "for", "endfor", "set"})
_OPENING = frozenset({"if", "for"})
_CLOSING = frozenset({"endif", "endfor"})
_BEGIN = frozenset({"variable_begin", "block_begin"})
_END = frozenset({"variable_end", "block_end"})
_QUIET = frozenset({"whitespace", "data", "comment", "comment_begin", "comment_end"})


@dataclass
class _Count:
    tokens: int = 0
    brackets: int = 0
    blocks: int = 0
    parts: int = 0


def check_source(source: str, lexer: Lexer) -> None:
    """Refuse a source that is too long, too deep, or has an expression too large for a reminder."""
    if len(source) > SOURCE_LENGTH:
        raise TemplateError(
            TOO_LARGE,
            0,
            f"the template has {len(source):,} characters; at most {SOURCE_LENGTH:,} are read",
            "shorten it",
        )
    if not source.isprintable():
        _check_characters(source)
    count = _Count()
    tag_expected = False
    for line, kind, text in _tokens(source, lexer):
        if kind in _QUIET:
            continue
        if tag_expected:
            _check_tag(kind, text, line, count)
        tag_expected = kind == "block_begin"
        _count_token(kind, text, line, count)


def _check_characters(source: str) -> None:
    for line, text in enumerate(source.splitlines(), 1):
        for column, character in enumerate(text, 1):
            if (
                "\ud800" <= character <= "\udfff"
                or (character < " " and character != "\t")
                or character == "\x7f"
            ):
                raise TemplateError(
                    SYNTAX,
                    line,
                    f"the template has a control character (U+{ord(character):04X})",
                    "remove it",
                    column=column,
                )


def _tokens(source: str, lexer: Lexer) -> Iterator[tuple[int, str, str]]:
    try:
        yield from lexer.tokeniter(source, "template")
    except TemplateSyntaxError as error:
        raise TemplateError(SYNTAX, error.lineno, error.message or "this cannot be read") from None


def _check_tag(kind: str, text: str, line: int, count: _Count) -> None:
    if kind != "name" or text not in TAGS:
        raise TemplateError(
            NOT_ALLOWED,
            line,
            f"{{% {text[:40]} %}} cannot be used in a message",
            "the tags there are: if, for, set",
        )
    if text in _OPENING:
        count.blocks += 1
    elif text in _CLOSING:
        count.blocks -= 1
    if count.blocks > BLOCK_DEPTH:
        raise TemplateError(
            TOO_LARGE, line, f"more than {BLOCK_DEPTH} tags inside each other", "make it flatter"
        )


def _count_token(kind: str, text: str, line: int, count: _Count) -> None:
    count.tokens += 1
    if count.tokens > TOKENS:
        raise TemplateError(
            TOO_LARGE, line, f"the template has more than {TOKENS:,} words and signs", "shorten it"
        )
    if kind in _BEGIN or kind in _END:
        count.parts = 0
    elif kind == "raw_begin":
        raise TemplateError(
            NOT_ALLOWED, line, "{% raw %} cannot be used in a message", "the tags there are: if, for, set"
        )
    elif kind in {"name", "operator"}:
        _count_part(text, line, count)
    elif kind == "string" and len(text) > LITERAL_LENGTH:
        raise TemplateError(
            TOO_LARGE, line, f"a text of more than {LITERAL_LENGTH:,} characters in quotes", "shorten it"
        )
    elif kind in {"integer", "float"} and len(text) > LITERAL_DIGITS:
        raise TemplateError(
            TOO_LARGE, line, f"the number {text[:20]}… has too many digits", f"at most {LITERAL_DIGITS}"
        )


def _count_part(text: str, line: int, count: _Count) -> None:
    if text in "([{":
        count.brackets += 1
    elif text in ")]}":
        count.brackets -= 1
    if count.brackets > BRACKET_DEPTH:
        raise TemplateError(
            TOO_LARGE, line, f"more than {BRACKET_DEPTH} brackets inside each other", "make it flatter"
        )
    if text != ",":
        count.parts += 1
    if count.parts > EXPRESSION_PARTS:
        raise TemplateError(
            TOO_LARGE,
            line,
            f"one expression has more than {EXPRESSION_PARTS} names and operators",
            "split it with {% set name = … %}",
        )
