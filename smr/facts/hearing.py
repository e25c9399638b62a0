"""Listening to a whole source: what is heard waits beside the staged rows until their slice is merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.chat import Listener
from smr.database import Session, temporary
from smr.facts.batch import Batch
from smr.facts.heard import Mention, heard_in, record
from smr.facts.staging import create, putter, within
from smr.tables import interactions

staged_mentions = temporary(
    "staged_mentions",
    sa.Column("line", sa.BigInteger),
    sa.Column("topic", sa.Text),
    sa.Column("word", sa.Text),
    sa.Index("staged_mentions_line", "line"),
)


class Hearing:
    """Listens while a source is read."""

    def __init__(self, session: Session, listener: Listener) -> None:
        self._listener = listener
        create(session, staged_mentions)

    def listen(self, connection: Connection, batch: Batch) -> None:
        """Keep what is heard in the rows of a batch, by their lines."""
        told = zip(batch.lines, batch["kind"], batch["content"], strict=True)
        heard = [
            (line, one.topic, one.word)
            for line, kind, content in told
            for one in heard_in(self._listener, kind, content)
        ]
        if heard:
            putter(connection, staged_mentions)(heard)

    def of(self, ordered: sa.Table) -> HearingOf:
        """What was heard, once the rows are in order."""
        return HearingOf(self._listener, ordered)


class HearingOf:
    """What was heard in ordered rows, slice by slice."""

    def __init__(self, listener: Listener, ordered: sa.Table) -> None:
        self._listener = listener
        key = [column.name for column in interactions.primary_key.columns]
        before = ordered.alias("before")
        known = sa.exists().where(*(interactions.c[name] == ordered.c[name] for name in key))
        # Rows of one key are neighbours: the first of them is the one that is kept.
        repeated = sa.exists().where(
            before.c.position == ordered.c.position - 1, *(before.c[name] == ordered.c[name] for name in key)
        )
        heard = {"topic": staged_mentions.c.topic, "word": staged_mentions.c.word}
        columns: list[Any] = [heard[name] if name in heard else ordered.c[name] for name in Mention._fields]
        columns[4] = sa.type_coerce(ordered.c.happened_at, sa.BigInteger)
        self._of_new = (
            sa.select(*columns)
            .select_from(ordered.join(staged_mentions, staged_mentions.c.line == ordered.c.line))
            .where(within(ordered), ~known, ~repeated)
        )

    def of_new(self, connection: Connection, cut: dict[str, int]) -> Sequence[Mention]:
        """What was heard in rows of the slice that are not stored yet."""
        return [Mention(*row) for row in connection.execute(self._of_new, cut)]

    def record(self, connection: Connection, heard: Sequence[Mention]) -> None:
        """Store it, now that its interactions are."""
        record(connection, self._listener, heard)
