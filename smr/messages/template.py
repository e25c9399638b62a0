"""Compiling a template once, and rendering it for one customer at a time.

In: the source, its kind, and what to call it in errors. Out: `CompiledTemplate`; its `render` takes plain
values and gives the text or raises TemplateError, and nothing else.
The generated function is called directly: Jinja2's own `render` costs as much again as a short text. On an
error the line is read off the traceback.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from types import TracebackType
from typing import Any, Literal

from jinja2 import Template, TemplateSyntaxError, UndefinedError, nodes

from smr.messages.environment import HTML, TEXT, Sandbox, StrictContext
from smr.messages.fault import FAILED, NOT_ALLOWED, SYNTAX, TOO_LARGE, TemplateError, ValueRefused
from smr.messages.limits import check_source
from smr.messages.syntax import Uses, check_tree

Kind = Literal["text", "line", "url", "html"]
"""text: many lines; line: one line, such as a subject; url: the address of a link; html: escaped HTML."""

OUTPUT_LENGTH = 5_000
FIRST_PIECES = 512
_FILE = "<message>"
# Control characters, broken characters, and marks that turn the direction of what follows.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
VARYING = frozenset({"customer", "purchase", "product", "due", "reorder", "staff", "message", "language"})


@dataclass(frozen=True, eq=False)
class CompiledTemplate:
    """A template that passed all checks.

    `names` are the dotted names it uses, so that only those need to be fetched; `varies` tells whether two
    customers could get different texts; `unguarded` are the names printed without a default, with their line.
    """

    source: str
    kind: Kind
    where: str
    names: frozenset[str]
    varies: bool
    lines: dict[str, int]
    unguarded: dict[str, int]
    tree: nodes.Template
    _root: Callable[[Any], Iterator[str]]
    _template: Template

    def render(self, context: dict[str, Any]) -> str:
        """The text for these plain values. Raises TemplateError for whatever goes wrong."""
        try:
            pieces = self._root(StrictContext(context))
            first = list(islice(pieces, FIRST_PIECES))
            text = "".join(first) if len(first) < FIRST_PIECES else _bounded(first, pieces)
            if len(text) > OUTPUT_LENGTH:
                raise ValueRefused(f"the text has more than {OUTPUT_LENGTH:,} characters")
            if self.kind == "url" or not text.isprintable():
                _check_text(text, self.kind)
            return text
        except Exception as error:
            raise self._explained(error, context) from None

    def _explained(self, error: Exception, context: dict[str, Any]) -> TemplateError:
        line = self._line(error.__traceback__)
        what, fix = _reason(error)
        if isinstance(error, ValueRefused) and error.empty:
            what = what.replace("there is no value", self._empty(context, line), 1)
        return TemplateError(FAILED, line, what, fix, where=self.where)

    def _empty(self, context: dict[str, Any], line: int) -> str:
        """Which of the names printed on this line has no value, as a sentence."""
        empty = [path for path in self.unguarded if _value(context, path) is None]
        here = [path for path in empty if self.unguarded[path] == line] or empty
        return f"{here[0]} has no value" if here else "there is no value"

    def _line(self, traceback: TracebackType | None) -> int:
        found = 0
        while traceback is not None:
            if traceback.tb_frame.f_code.co_filename == _FILE:
                found = self._template.get_corresponding_lineno(traceback.tb_lineno)
            traceback = traceback.tb_next
        return found


def compile_template(source: str, kind: Kind = "text", where: str = "template") -> CompiledTemplate:
    """Check and compile a template, once for each source; raises TemplateError with the line and the fix."""
    try:
        return _compiled(source, kind, where)
    except TemplateError as error:
        raise error.at(where) from None


@lru_cache(maxsize=2_000)
def _compiled(source: str, kind: Kind, where: str) -> CompiledTemplate:
    sandbox = HTML if kind == "html" else TEXT
    check_source(source, sandbox.lexer)
    tree = _parsed(source, sandbox)
    uses = check_tree(tree, sandbox)
    return _assembled(source, kind, where, tree, uses, sandbox)


def _parsed(source: str, sandbox: Sandbox) -> nodes.Template:
    try:
        return sandbox.parse(source)
    except TemplateSyntaxError as error:
        raise TemplateError(SYNTAX, error.lineno, *_syntax_words(error.message or "")) from None
    except (RecursionError, MemoryError):
        raise TemplateError(TOO_LARGE, 0, "the template is too deep to be read", "make it flatter") from None
    except Exception as error:
        raise TemplateError(SYNTAX, 0, f"the template cannot be read ({type(error).__name__})") from None


def _syntax_words(message: str) -> tuple[str, str]:
    if "end of template" in message or "unexpected end" in message:
        return message[
            :200
        ], "close it: each {% if %} needs its {% endif %}, each {% for %} its {% endfor %}, each {{ its }}"
    fix = "write a value as {{ customer.name }}, a choice as {% if … %}…{% endif %}"
    return message[:200], fix


def _assembled(
    source: str, kind: Kind, where: str, tree: nodes.Template, uses: Uses, sandbox: Sandbox
) -> CompiledTemplate:
    try:
        # The name is ours, never a user's text: Jinja2 puts it into the code it generates.
        code = sandbox.compile(tree, name="message", filename=_FILE)
        template = Template.from_code(sandbox, code, {})
    except TemplateSyntaxError as error:
        raise TemplateError(SYNTAX, error.lineno, error.message or "this cannot be read") from None
    except (RecursionError, MemoryError):
        raise TemplateError(TOO_LARGE, 0, "the template is too deep to be read", "make it flatter") from None
    except Exception as error:
        raise TemplateError(NOT_ALLOWED, 0, f"the template cannot be used ({type(error).__name__})") from None
    return CompiledTemplate(
        source=source,
        kind=kind,
        where=where,
        names=frozenset(uses.names),
        varies=any(name.split(".")[0] in VARYING for name in uses.names),
        lines=uses.names,
        unguarded=uses.unguarded,
        tree=tree,
        _root=template.root_render_func,
        _template=template,
    )


def _bounded(first: list[str], pieces: Iterator[str]) -> str:
    kept, length = first, sum(map(len, first))
    for piece in pieces:
        length += len(piece)
        if length > OUTPUT_LENGTH:
            break
        kept.append(piece)
    return "".join(kept) if length <= OUTPUT_LENGTH else "x" * (OUTPUT_LENGTH + 1)


def _check_text(text: str, kind: Kind) -> None:
    if kind == "text" and text.replace("\n", "").isprintable():
        return
    found = _UNPRINTABLE.search(text)
    if found:
        raise ValueRefused(
            f"the text has a control character (U+{ord(found[0]):04X})", "look for it in the customer's data"
        )
    if kind in {"line", "url"} and "\n" in text.strip():
        raise ValueRefused("the text has more than one line", "this place takes a single line")
    if kind == "url" and (not text.strip().startswith(("https://", "http://")) or len(text.split()) != 1):
        raise ValueRefused(f"{text[:40]!r} is not a web address", "it begins with https:// and has no blanks")


def _value(context: Any, path: str) -> Any:
    """What a dotted path leads to; something that is not None where it leads nowhere."""
    for part in path.split("."):
        if not isinstance(context, dict) or part not in context:
            return path
        context = context[part]
    return context


def _reason(error: Exception) -> tuple[str, str]:
    if isinstance(error, ValueRefused):
        return error.what, error.fix
    if isinstance(error, UndefinedError):
        return str(error)[:300], 'where it may be missing, add | default("…")'
    if isinstance(error, RecursionError | MemoryError):
        return "the text is too large to be made", "make the template smaller"
    if isinstance(error, TypeError):
        return (
            "values of different kinds are compared or put together",
            "compare numbers with numbers, texts with texts",
        )
    return f"the text cannot be made ({type(error).__name__})", ""
