"""What is said in chat, judged once, as it is recorded: mentions, and what follows from them.

In: new interactions in which a topic was heard. Out, in the same transaction: `mentions`; the tags of their
topics, which last from the first word of an unbroken row of mentions to so long after the last; a refusal of
everything where somebody asks to stop; a case for staff where somebody asks for a person. Whatever the order
in which messages arrive, the tags come out alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.chat import Heard, Listener, Topic
from smr.database import insert_missing, insert_or_update
from smr.events import SPOKEN
from smr.tables import consents, customers, handovers, mentions, tags

EVERY = "*"
SOURCE = "chat"
PIECE = 500
"""Customers whose mentions are read at once."""

Key = tuple[int, str]


class Mention(NamedTuple):
    """A topic heard in one message; `happened_at` in seconds."""

    bucket: int
    customer_id: str
    topic: str
    interaction_id: str
    happened_at: int
    word: str


def heard_in(listener: Listener, kind: str, content: str | None) -> tuple[Heard, ...]:
    """The topics of one interaction; only what the customer says is listened to."""
    return listener.hears(content) if content and kind in SPOKEN else ()


def record(connection: Connection, listener: Listener, heard: Sequence[Mention]) -> None:
    """Store what was heard in new interactions, and what follows from it."""
    if not heard:
        return
    dialect = connection.dialect.name
    connection.execute(insert_missing(dialect, mentions), [one._asdict() for one in heard])
    known = [one for one in heard if one.topic in listener.topics]
    refusals = [_refusal(one) for one in known if listener.topics[one.topic].opt_out]
    if refusals:
        connection.execute(insert_missing(dialect, consents), refusals)
    _hand_over(connection, [one for one in known if listener.topics[one.topic].hand_over], listener)
    _set_tags(connection, known, listener.topics)


def _refusal(one: Mention) -> dict[str, Any]:
    return {
        "bucket": one.bucket,
        "customer_id": one.customer_id,
        "channel": EVERY,
        "purpose": EVERY,
        "decided_at": one.happened_at,
        "granted": False,
        "source": f"{SOURCE}: {one.word}",
    }


def _hand_over(connection: Connection, asked: Sequence[Mention], listener: Listener) -> None:
    """One case per message, told by its first topic, for the staff of the customer."""
    cases: dict[tuple[int, str, str], Mention] = {}
    for one in asked:
        cases.setdefault((one.bucket, one.customer_id, one.interaction_id), one)
    if not cases:
        return
    staff = _staff_of(connection, {(one.bucket, one.customer_id) for one in cases.values()})
    rows = [
        {
            "bucket": one.bucket,
            "customer_id": one.customer_id,
            "cause": SOURCE,
            "case_id": one.interaction_id,
            "opened_at": one.happened_at,
            "topic": one.topic,
            "interaction_id": one.interaction_id,
            "staff_id": staff.get((one.bucket, one.customer_id)),
            "reason": one.word,
        }
        for one in cases.values()
    ]
    connection.execute(insert_missing(connection.dialect.name, handovers), rows)


def _staff_of(connection: Connection, whom: Iterable[Key]) -> dict[Key, str | None]:
    found: dict[Key, str | None] = {}
    columns = (customers.c.bucket, customers.c.customer_id, customers.c.staff_id)
    for cut in _cuts(whom):
        for bucket, customer_id, staff_id in connection.execute(
            sa.select(*columns).where(_these(customers)), cut
        ):
            found[bucket, customer_id] = staff_id
    return found


def _set_tags(connection: Connection, heard: Sequence[Mention], topics: Mapping[str, Topic]) -> None:
    tagging = {name: topic for name, topic in topics.items() if topic.tag is not None}
    touched = {(one.bucket, one.customer_id, topics[one.topic].tag) for one in heard if one.topic in tagging}
    if not touched:
        return
    said: dict[tuple[int, str, str | None], list[Mention]] = defaultdict(list)
    columns: list[Any] = [mentions.c[name] for name in Mention._fields]
    columns[4] = sa.type_coerce(mentions.c.happened_at, sa.BigInteger)
    question = sa.select(*columns).where(_these(mentions), mentions.c.topic.in_(list(tagging)))
    for cut in _cuts((bucket, customer_id) for bucket, customer_id, _ in touched):
        for row in connection.execute(question, cut):
            one = Mention(*row)
            said[one.bucket, one.customer_id, tagging[one.topic].tag].append(one)
    rows = [_tag(key, said[key], tagging) for key in sorted(touched, key=str)]
    update = ("set_at", "expires_at", "reason")
    connection.execute(insert_or_update(connection.dialect.name, tags, update=update), rows)


def _tag(
    key: tuple[int, str, str | None], said: Iterable[Mention], topics: Mapping[str, Topic]
) -> dict[str, Any]:
    """The last unbroken row of mentions of one tag: from its first word to so long after its last."""
    begun, ends, last = 0, None, None
    for one in sorted(said, key=lambda one: (one.happened_at, one.interaction_id, one.topic)):
        lasts = topics[one.topic].for_
        until = None if lasts is None else one.happened_at + lasts
        if last is None or (ends is not None and one.happened_at > ends):
            begun, ends = one.happened_at, until
        else:
            ends = None if ends is None or until is None else max(ends, until)
        last = one
    assert last is not None  # noqa: S101 - a touched tag has the mention that touched it
    return {
        "bucket": key[0],
        "customer_id": key[1],
        "tag": key[2],
        "source": SOURCE,
        "set_at": begun,
        "expires_at": ends,
        "reason": f"{last.topic}: {last.word} ({last.interaction_id})",
    }


def _these(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(
        table.c.bucket.between(sa.bindparam("least"), sa.bindparam("most")),
        table.c.customer_id.in_(sa.bindparam("ids", expanding=True)),
    )


def _cuts(whom: Iterable[Key]) -> Iterable[dict[str, Any]]:
    """The customers in pieces of neighbouring buckets, as parameters of `_these`."""
    ordered = sorted(set(whom))
    for first in range(0, len(ordered), PIECE):
        piece = ordered[first : first + PIECE]
        yield {"least": piece[0][0], "most": piece[-1][0], "ids": [customer_id for _, customer_id in piece]}
