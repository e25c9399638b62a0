"""Rendering in a child process that cannot hang or fill the memory.

In: texts with their kinds, and plain values. Out: for each the text, or its TemplateError. The parent kills
the child when it takes too long; the child limits its own memory and CPU. A timer inside one process does
not help: a single call into C can outlast it by half a minute.
Started as `python -m smr.messages.bounded`, the module is that child: JSON in, JSON out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from smr.messages.fault import TOO_LARGE, TemplateError
from smr.messages.template import Kind, compile_template
from smr.messages.values import Money

SECONDS = 10
CPU_SECONDS = 5
MEMORY = 512 * 1024 * 1024


@dataclass(frozen=True)
class Text:
    """One text to render: its source, its kind, and what to call it in errors."""

    source: str
    kind: Kind
    where: str


def render_apart(texts: Sequence[Text], context: dict[str, Any]) -> list[str | TemplateError]:
    """Each text rendered in the child with these plain values; a fault stands in the place of its text."""
    asked = {
        "context": _packed(context),
        "texts": [[text.source, text.kind, text.where] for text in texts],
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "smr.messages.bounded"],
            input=json.dumps(asked),
            capture_output=True,
            encoding="ascii",
            timeout=SECONDS,
            check=True,
        )
        return [_answer(one) for one in json.loads(done.stdout)]
    except (subprocess.SubprocessError, ValueError):
        what = "the template takes more time or memory than a message may"
        return [TemplateError(TOO_LARGE, 0, what, "make it smaller", where=text.where) for text in texts]


def _answer(found: dict[str, Any]) -> str | TemplateError:
    if "text" in found:
        return str(found["text"])
    return TemplateError(
        found["code"],
        found["line"],
        found["what"],
        found["fix"],
        column=found["column"],
        where=found["where"],
    )


def _rendered(source: str, kind: Kind, where: str, context: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"text": compile_template(source, kind, where).render(context)}
    except TemplateError as error:
        names = ("code", "line", "column", "what", "fix", "where")
        return {name: getattr(error, name) for name in names}


def _packed(value: Any) -> Any:
    """Plain values as JSON: each as a list of its kind and its parts."""
    if isinstance(value, dict):
        return {"mapping": [[key, _packed(one)] for key, one in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_packed(one) for one in value]}
    if isinstance(value, Money):
        return {"money": [str(Decimal(value)), value.currency]}
    if isinstance(value, Decimal):
        return {"number": str(value)}
    if isinstance(value, date):
        return {"day": value.isoformat()}
    return value


def _unpacked(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "mapping":
        return {key: _unpacked(one) for key, one in content}
    if kind == "list":
        return [_unpacked(one) for one in content]
    if kind == "money":
        return Money.of(Decimal(content[0]), content[1])
    return Decimal(content) if kind == "number" else date.fromisoformat(content)


def _limit() -> None:
    """Limits on this process; none where the system has no such thing."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def main() -> None:
    """Be the child: read what is asked on stdin, answer on stdout."""
    _limit()
    asked = json.load(sys.stdin)
    context = _unpacked(asked["context"])
    answers = [_rendered(source, kind, where, context) for source, kind, where in asked["texts"]]
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main()
