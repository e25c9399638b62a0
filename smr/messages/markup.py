"""Where in HTML a value would stand, so that escaping it is enough.

In: the fixed text of an HTML template, piece by piece. Out: `Place`; it says of each value whether it may
stand there. Values may stand in text and in quoted attributes, not in scripts, styles, comments or tags.
Read in one pass, letter by letter: patterns over the whole text take quadratic time on hostile templates.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LINKS = frozenset(
    {
        "href",
        "src",
        "action",
        "formaction",
        "poster",
        "background",
        "cite",
        "data",
        "ping",
        "srcset",
        "xlink:href",
    }
)
"""Attributes whose value is the address of something."""

VALUE = "\ufffc"
"""Stands for a value in what was read so far."""

_ATTRIBUTE = re.compile(r"([^\s\"'<>/=]{1,40})\s*=\s*$")
_SAFE_LINK = re.compile(rf"{VALUE}|https?://|mailto:|tel:|weixin://|[/#?]", re.IGNORECASE)


@dataclass
class Place:
    """What surrounds the end of the text read so far.

    `kind` is text, open (just after <), tag, quoted, raw (in a script or style) or comment.
    """

    kind: str = "text"
    quote: str = ""
    element: str = ""
    attribute: str = ""
    begun: str = ""
    tag: str = ""

    def copy(self) -> Place:
        """The same place, to read on from twice."""
        return Place(self.kind, self.quote, self.element, self.attribute, self.begun, self.tag)

    def same(self, other: Place) -> bool:
        """Whether what follows would be read alike."""
        mine = (self.kind, self.quote, self.element, self.attribute)
        return mine == (other.kind, other.quote, other.element, other.attribute)

    @property
    def begins(self) -> int:
        """How the address of a link begins here: 0 in an unknown way, 1 not yet, 2 in a safe way."""
        begun = self.begun.strip()
        return 2 if _SAFE_LINK.match(begun) else 0 if begun else 1

    def read(self, text: str) -> None:
        """Read on."""
        for letter in text:
            _STEPS[self.kind](self, letter)

    def value(self) -> tuple[str, bool]:
        """What forbids a value here (empty: nothing), and whether it must be the address of a link."""
        problem, is_link = self._judged()
        if self.kind == "quoted":
            self.begun += VALUE
        return problem, is_link

    def _judged(self) -> tuple[str, bool]:
        if self.kind == "text":
            return "", False
        if self.kind != "quoted":
            where = {"raw": "a script or style", "comment": "a comment"}
            return f"a value inside {where.get(self.kind, 'a tag, without quotes')}", False
        name = self.attribute
        if not name or name.startswith("on") or name in {"style", "srcdoc"}:
            return "a value inside a script or style", False
        if name not in LINKS or self.begins == 2:
            return "", False
        return ("", True) if self.begins else ("the address of a link begins in an unknown way", False)

    def _text(self, letter: str) -> None:
        if letter == "<":
            self.kind = "open"

    def _open(self, letter: str) -> None:
        if letter.isascii() and (letter.isalpha() or letter in "/!?"):
            self.kind, self.tag = "tag", letter
        elif letter != "<":
            self.kind = "text"

    def _tag(self, letter: str) -> None:
        if letter == ">":
            words = self.tag.split()
            name = words[0].lower().rstrip("/") if words else ""
            self.kind, self.element = ("raw", name) if name in {"script", "style"} else ("text", "")
            self.tag = ""
        elif letter in "\"'":
            found = _ATTRIBUTE.search(self.tag[-80:])
            self.kind, self.quote, self.begun = "quoted", letter, ""
            self.attribute = found[1].lower() if found else ""
        else:
            self.tag += letter
            if self.tag == "!--":
                self.kind, self.tag = "comment", ""

    def _quoted(self, letter: str) -> None:
        if letter == self.quote:
            self.kind, self.quote, self.attribute, self.begun = "tag", "", "", ""
            self.tag += " "
        else:
            self.begun += letter

    def _raw(self, letter: str) -> None:
        self.tag = (self.tag + letter.lower())[-10:]
        if self.tag.endswith(f"</{self.element}"):
            self.kind, self.tag, self.element = "tag", "/", ""

    def _comment(self, letter: str) -> None:
        self.tag = (self.tag + letter)[-3:]
        if self.tag == "-->":
            self.kind, self.tag = "text", ""


_STEPS = {
    "text": Place._text,
    "open": Place._open,
    "tag": Place._tag,
    "quoted": Place._quoted,
    "raw": Place._raw,
    "comment": Place._comment,
}
