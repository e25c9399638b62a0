"""Text as it is compared: one spelling for all the ways to write the same.

Full and half width, upper and lower case, traditional and simplified characters become one; letters that
only look like Latin ones become Latin; spaces, marks and signs between characters are dropped, so that
退-订 and 退 订 are 退订. What ends a clause stays a break, so that words do not grow together across it.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib.resources import files

BREAK = "\n"
_ENDS = frozenset("。！？!?；;，,、：:\n\r…")
_STROKES = frozenset("ー丶丨丿亅乛ㆍᐧㅤ")
"""Letters to Unicode, but between characters nothing but a stroke."""
_LOOKALIKES = dict(
    zip(
        "аеорсухікмтвнѕјԁɡαορτυνικ",
        "aeopcyxikmtbhsjdgaoptuvik",
        strict=True,
    )
)


@cache
def _simplified() -> dict[str, str]:
    text = files("smr.chat").joinpath("simplified.txt").read_text(encoding="utf-8")
    pairs = (pair for line in text.splitlines() if not line.startswith("#") for pair in line.split())
    return {pair[0]: pair[1] for pair in pairs}


class _Table(dict[int, str]):
    """Each character's folded form, worked out when it is first met."""

    def __init__(self, *, latin: bool) -> None:
        super().__init__()
        self._latin = latin

    def __missing__(self, code: int) -> str:
        found = self[code] = "".join(self._one(character) for character in _plain(chr(code)))
        return found

    def _one(self, character: str) -> str:
        known = _LOOKALIKES.get(character, character)
        if self._latin:
            return known if known.isascii() and known.isalnum() else " "
        if known in _ENDS:
            return BREAK
        if known in _STROKES or not known.isalnum():
            return ""
        return _simplified().get(known, known)


def _plain(character: str) -> str:
    """Without width, circles and case; a letter with an accent without the accent."""
    compatible = unicodedata.normalize("NFKD", character)
    if character.isalpha() and len(compatible) > 1 and not compatible[0].isascii():
        compatible = unicodedata.normalize("NFKC", character)
    return compatible.casefold()


_TIGHT = _Table(latin=False)
_LATIN = _Table(latin=True)


def fold(text: str) -> str:
    """The text as topics compare it: 「過 敏」, ｏＫ！ → 过敏, ok and a break."""
    return text.translate(_TIGHT)


def latin_words(text: str) -> str:
    """The Latin words and numbers of a text, lower case, each between spaces; a word is not cut in two."""
    return f" {' '.join(text.translate(_LATIN).split())} "
