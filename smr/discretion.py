"""What is not named where others may read along: sensitive products, categories and topics.

In: the catalog's and the topics' word on what is sensitive, the settings' on which channels are discreet.
Out: what a product is called there instead, and whether a finished text names what it should not. Texts are
compared as chat is: however the characters are written.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy import Connection

from smr.chat import BREAK, fold, latin_words
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import messages, products

INSTEAD = {"zh": "您买过的商品", "en": "what you bought"}
"""What a sensitive product is called where the shop does not say."""


@dataclass(frozen=True)
class Discretion:
    """What is sensitive in a shop. `words` may never stand in a text; more are the names of its products."""

    channels: frozenset[str]
    categories: frozenset[str]
    products: frozenset[str]
    tags: frozenset[str]
    words: frozenset[str]
    instead: Mapping[str, str]

    @classmethod
    def of(cls, library: Library, settings: Settings) -> Discretion:
        """As the operator wrote it."""
        stated, entries = library.catalog.sensitive, library.catalog.cycles.products
        categories = frozenset(stated.category or ())
        known = {product for product, entry in entries.items() if entry.category in categories}
        ids = frozenset(stated.product or ()) | known
        topics = {name: one for name, one in library.topics.items() if one.sensitive and not one.off}
        tags = frozenset(one.tag for one in topics.values() if one.tag)
        names = {entries[product].name for product in ids if product in entries}
        return cls(
            channels=frozenset(name for name in settings.channel_names if settings.is_discreet(name)),
            categories=categories,
            products=ids,
            tags=tags,
            words=frozenset(categories | tags | topics.keys() | {name for name in names if name}),
            instead={language: settings.policy.discreet_word or word for language, word in INSTEAD.items()},
        )

    def hushes(self, channels: Iterable[str]) -> bool:
        """Whether one of these channels is discreet, and there is anything to be discreet about."""
        return bool(self.words or self.products) and not self.channels.isdisjoint(channels)

    def word(self, language: str) -> str:
        """What a sensitive product is called instead."""
        return self.instead.get(language, self.instead["en"])

    @property
    def written(self) -> Search:
        """What finds the words alone, without the names of products that only the shop's data know."""
        return _search(self.words)

    def search(self, connection: Connection) -> Search:
        """What finds, in a text, the words and the names of all sensitive products."""
        if not (self.products or self.categories):
            return self.written
        of_these = sa.or_(products.c.product_id.in_(self.products), products.c.category.in_(self.categories))
        named = connection.execute(sa.select(products.c.name).where(of_these, products.c.name.is_not(None)))
        return _search(self.words.union(named.scalars()))


class Search:
    """Looks for words in texts: Chinese ones anywhere, Latin ones as whole words."""

    def __init__(self, words: Iterable[str]) -> None:
        self._inside: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._latin: list[tuple[str, str]] = []
        for word in sorted(words):
            tight = fold(word).strip(BREAK)
            if tight.isascii() and tight:
                self._latin.append((latin_words(word), word))
            elif tight:
                self._inside[tight[0]].append((tight, word))

    def first(self, *texts: str | None) -> str | None:
        """The first word that one of the texts names, as it was written; None where none does."""
        for text in texts:
            found = None if text is None else self._first(text)
            if found is not None:
                return found
        return None

    def _first(self, text: str) -> str | None:
        tight = fold(text)
        for letter in self._inside.keys() & set(tight):
            for word, written in self._inside[letter]:
                if word in tight:
                    return written
        spoken = latin_words(text) if self._latin else ""
        return next((written for word, written in self._latin if word in spoken), None)


@lru_cache(maxsize=8)
def _search(words: frozenset[str]) -> Search:
    return Search(words)


def naming(
    connection: Connection, library: Library, settings: Settings, these: sa.ColumnElement[bool]
) -> dict[str, str]:
    """Of these messages, those whose texts name what is sensitive, and the word, by id.

    It matters on discreet channels only: ask where a message is to go, or to go on, to one of them.
    """
    discretion = Discretion.of(library, settings)
    if not discretion.hushes(discretion.channels):
        return {}
    m = messages.c
    rows = connection.execute(
        sa.select(m.message_id, m.subject, m.body, m.html, m.attachments).where(these)
    ).all()
    search = discretion.search(connection)
    found = {}
    for message_id, *texts, attachments in rows:
        word = search.first(*texts, json.dumps(attachments, ensure_ascii=False) if attachments else None)
        if word is not None:
            found[message_id] = word
    return found
