"""Which topics a message speaks of: literal words, looked for in folded text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from smr.chat.fold import BREAK, fold, latin_words
from smr.chat.topics import Topic

LONGEST = 4_000
"""Characters of one message that are listened to; nobody complains further down than that."""


class Heard(NamedTuple):
    """A topic, and the word it was told by, as the operator wrote it."""

    topic: str
    word: str


class Listener:
    """Listens for these topics; a topic's first word, in the operator's order, gives its name to the rest.

    A word of Chinese characters is found anywhere in the text; a Latin one only as a whole word.
    """

    def __init__(self, topics: Mapping[str, Topic]) -> None:
        self.topics = topics
        self._whole: dict[str, list[Heard]] = defaultdict(list)
        self._inside: dict[str, list[tuple[str, Heard]]] = defaultdict(list)
        self._latin: list[tuple[str, Heard]] = []
        self._apart: dict[str, list[str]] = {}
        for name, topic in topics.items():
            self._apart[name] = sorted((fold(word) for word in topic.none_of or ()), key=len, reverse=True)
            for word in topic.exactly or ():
                self._whole[fold(word)].append(Heard(name, word))
            for word in topic.words:
                self._learn(word, Heard(name, word))
        self._order = {heard: number for number, heard in enumerate(self._all())}
        self.hears = lru_cache(10_000)(self._hears)

    def _learn(self, word: str, heard: Heard) -> None:
        tight = fold(word).strip(BREAK)
        if tight.isascii():
            self._latin.append((latin_words(word), heard))
        else:
            self._inside[tight[0]].append((tight, heard))

    def _all(self) -> Iterator[Heard]:
        for name, topic in self.topics.items():
            yield from (Heard(name, word) for word in (*(topic.exactly or ()), *topic.words))

    def _hears(self, text: str) -> tuple[Heard, ...]:
        """The topics of a message, each once, in the order of the topics."""
        text = text[:LONGEST]
        tight = fold(text)
        found = list(self._whole.get(tight.strip(BREAK), ()))
        for first in self._inside.keys() & set(tight):
            found += [heard for word, heard in self._inside[first] if self._speaks(tight, word, heard.topic)]
        if self._latin:
            spoken = latin_words(text)
            if spoken.strip():
                found += [heard for word, heard in self._latin if word in spoken]
        first_words: dict[str, Heard] = {}
        for heard in sorted(found, key=self._order.__getitem__):
            first_words.setdefault(heard.topic, heard)
        return tuple(first_words.values())

    def _speaks(self, tight: str, word: str, topic: str) -> bool:
        if word not in tight:
            return False
        for phrase in self._apart[topic]:
            tight = tight.replace(phrase, BREAK)
        return word in tight
