"""The render stage: accepted candidates of a run become rows for the outbox.

In: candidates that the guards accepted and that are not queued yet. Out: a `RenderedMessage` for each, or a
`FailedMessage` for that customer alone; nothing is written here.
The rows come in the order of the open candidates' index, so that nothing is sorted and little is held.
Trap: read what you asked for to its end before changing those candidates on the same connection.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import islice
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, FromClause

from smr import clock
from smr.discretion import Discretion, Search
from smr.events import CandidateState, Reason
from smr.messages.check import channel_limit
from smr.messages.fault import TemplateError, ValueRefused
from smr.messages.fetching import (
    ADDRESS,
    ANCHOR,
    BUCKET,
    CHANNEL,
    CUSTOMER,
    DUE_AT,
    EXPIRES_AT,
    PLAYBOOK,
    SEND_AFTER,
    STEP,
    Fetch,
    Row,
    fetch_for,
)
from smr.messages.hushed import hushed
from smr.messages.texts import StepTexts, step_texts
from smr.playbook.model import Library, Playbook, Step
from smr.settings import Settings
from smr.tables import OPEN, candidates

CHUNK = 1_000

Key = tuple[int, str, str, str, str]
"""bucket, customer_id, playbook, step, anchor"""


class RenderedMessage(NamedTuple):
    """A message ready for the outbox, in the order of its columns.

    Times are whole seconds; attachments are JSON text.
    """

    bucket: int
    customer_id: str
    playbook: str
    step: str
    anchor: str
    message_id: str
    channel: str
    address: str
    purpose: str
    subject: str | None
    body: str
    html: str | None
    attachments: str | None
    priority: int
    due_at: int
    send_after: int
    expires_at: int
    run_id: int
    version: str
    queued_at: int

    @property
    def key(self) -> Key:
        """The candidate it was made from."""
        return self[:5]

    @property
    def row(self) -> tuple[Any, ...]:
        """Its values, as the outbox takes them."""
        return self


class FailedMessage(NamedTuple):
    """A candidate whose message could not be made; `detail` is for the operator."""

    bucket: int
    customer_id: str
    playbook: str
    step: str
    anchor: str
    reason: str
    detail: str

    @property
    def key(self) -> Key:
        """The candidate it would have been made from."""
        return self[:5]


def message_id(playbook: str, step: str, bucket: int, customer_id: str, anchor: str) -> str:
    """The message's id: its bucket in three hex digits, then a hash of its unique key; 32 characters."""
    digest = sha256(f"{playbook}\0{step}\0{customer_id}\0{anchor}".encode()).hexdigest()
    return f"{bucket:03x}{digest[:29]}"


def render(
    connection: Connection,
    library: Library,
    settings: Settings,
    *,
    now: datetime,
    run_id: int,
    low: int,
    high: int,
    limit: int | None = None,
) -> Iterator[RenderedMessage | FailedMessage]:
    """The messages of what this run accepted in buckets low..high, at most `limit`.

    With a limit, by falling priority of the playbooks, then step by step, then by customer.
    """
    bound = {"run": run_id, "low": low, "high": high}
    if limit is None:
        return _all(connection, _prepared(library, settings), now, bound)
    one_by_one = [_Group.of([step]) for step in _steps(library, settings)]
    return islice(_all(connection, one_by_one, now, bound), limit)


def _all(
    connection: Connection, groups: Sequence[_Group], now: datetime, bound: dict[str, int]
) -> Iterator[RenderedMessage | FailedMessage]:
    for group in groups:
        rows = connection.execute(group.select, bound, execution_options={"yield_per": CHUNK})
        with rows:
            for chunk in rows.partitions(CHUNK):
                yield from group.render(connection, chunk, now, bound["run"])


class _Kept(threading.local):
    """The steps a thread prepared last: a run asks for the same library again and again, slice by slice."""

    def __init__(self) -> None:
        self.library: Library | None = None
        self.settings: Settings | None = None
        self.groups: list[_Group] = []


_kept = _Kept()


def _prepared(library: Library, settings: Settings) -> list[_Group]:
    if _kept.library is not library or _kept.settings is not settings:
        alike: dict[Hashable, list[StepRenderer]] = {}
        for step in _steps(library, settings):
            alike.setdefault(step.asks, []).append(step)
        _kept.groups = [_Group.of(steps) for steps in alike.values()]
        _kept.library, _kept.settings = library, settings
    return _kept.groups


def _steps(library: Library, settings: Settings) -> Iterator[StepRenderer]:
    for playbook in library.playbooks:
        for step in playbook.steps:
            yield StepRenderer.of(playbook, step, library, settings, candidates)


@dataclass(frozen=True)
class _Group:
    """Steps whose texts need the same of the database, so that one SELECT reads the candidates of all."""

    steps: dict[tuple[str, str], StepRenderer]
    select: sa.Select[Any]

    @classmethod
    def of(cls, steps: Sequence[StepRenderer]) -> _Group:
        """A group of these."""
        return cls({one.key: one for one in steps}, open_candidates(steps))

    def render(
        self, connection: Connection, rows: Sequence[Row], now: datetime, run_id: int
    ) -> Iterator[RenderedMessage | FailedMessage]:
        """The messages of these rows, step by step; rows of steps that only look like these are left out."""
        of_steps: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            of_steps.setdefault((row[PLAYBOOK], row[STEP]), []).append(row)
        for key, some in of_steps.items():
            if key in self.steps:
                yield from self.steps[key].render(connection, some, now, run_id)


@dataclass
class StepRenderer:
    """One step with its texts compiled, and what it fetches; `problem` where its texts cannot be used."""

    playbook: Playbook
    step: Step
    texts: StepTexts | None
    problem: str
    fetch: Fetch
    static: dict[str, Any]
    limits: dict[str, tuple[int, str] | None]
    version: str
    settings: Settings
    discretion: Discretion
    sensitive: Search | None = None

    @classmethod
    def of(
        cls, playbook: Playbook, step: Step, library: Library, settings: Settings, source: FromClause
    ) -> StepRenderer:
        """Prepare a step for rows of `source`, which has the columns of candidates."""
        texts, problem = None, ""
        try:
            texts = step_texts(library, step)
        except TemplateError as error:
            problem = str(error)
        fetch = fetch_for(texts.names if texts else (), playbook, step, library, settings, source)
        discretion = Discretion.of(library, settings)
        return cls(
            playbook,
            step,
            texts,
            problem,
            fetch,
            static_values(playbook, step, settings),
            {channel: channel_limit(settings, channel) for channel in step.via},
            library.versions.get(playbook.name, ""),
            settings,
            discretion,
        )

    @property
    def key(self) -> tuple[str, str]:
        """Its playbook and its name, as candidates have them."""
        return self.playbook.name, self.step.name

    @property
    def asks(self) -> Hashable:
        """What it asks the database for: steps of which this is the same can be read by one SELECT."""
        if self.fetch.needs_lists or self.discretion.hushes(self.step.via):
            return self.key
        said = self.fetch.select().compile()
        return str(said), repr(said.params)

    def render(
        self, connection: Connection, rows: Sequence[Row], now: datetime, run_id: int
    ) -> Iterator[RenderedMessage | FailedMessage]:
        """The messages of these rows of what it fetches."""
        self.begin(connection, rows, now)
        at = clock.seconds(now)
        for row in rows:
            try:
                yield self.message(row, at, run_id)
            except (TemplateError, ValueRefused) as error:
                yield self.failed(row, Reason.TEMPLATE, str(error))
            except Exception as error:
                # Facts that no import of ours would have taken; they are this customer's alone.
                what = f"a value of this customer cannot be read ({type(error).__name__}: {error})"
                yield self.failed(row, Reason.TEMPLATE, what[:300])

    def begin(self, connection: Connection, rows: Sequence[Row], now: datetime) -> None:
        """Get ready for a chunk of rows: what day it is, and the lists they need."""
        self.fetch.today = clock.local_day(now, self.settings.shop.tz)
        self.static["today"] = self.fetch.today
        self.fetch.load_lists(connection, rows, now)
        if self.discretion.hushes(self.step.via):
            self.sensitive = self.discretion.search(connection)

    def context(self, connection: Connection, row: Row, now: datetime) -> dict[str, Any]:
        """The plain values of one row; raises ValueRefused."""
        self.begin(connection, [row], now)
        return self.values(row)

    def values(self, row: Row) -> dict[str, Any]:
        """The same, once all is read; with nothing sensitive in them where the channel is discreet."""
        context = self.fetch.context(row, self.static)
        if self.sensitive is None or row[CHANNEL] not in self.discretion.channels:
            return context
        return hushed(context, self.discretion, self.sensitive)

    def message(self, row: Row, at: int, run_id: int) -> RenderedMessage | FailedMessage:
        """One message; raises TemplateError or ValueRefused."""
        texts, name, step = self.texts, self.playbook.name, self.step.name
        if texts is None:
            return self.failed(row, Reason.TEMPLATE, self.problem)
        if row[ADDRESS] is None:
            return self.failed(row, Reason.UNREACHABLE, f"no address on {row[CHANNEL]}")
        identity = self.fetch.message_id = message_id(name, step, row[BUCKET], row[CUSTOMER], row[ANCHOR])
        context = self.values(row)
        body = texts.body.render(context).strip()
        self.check_body(body, row[CHANNEL])
        subject = None if texts.subject is None else texts.subject.render(context).strip()
        html = None if texts.html is None else texts.html.render(context).strip()
        attached = texts.attached(context)
        named = self.named(row[CHANNEL], subject, body, html, attached)
        if named is not None:
            return self.failed(row, Reason.SENSITIVE, f"it names {named}, and others may read {row[CHANNEL]}")
        return RenderedMessage(
            row[BUCKET],
            row[CUSTOMER],
            name,
            step,
            row[ANCHOR],
            identity,
            row[CHANNEL],
            row[ADDRESS],
            self.playbook.purpose,
            subject,
            body,
            html,
            attached,
            self.playbook.priority,
            row[DUE_AT],
            at if row[SEND_AFTER] is None else row[SEND_AFTER],
            row[EXPIRES_AT],
            run_id,
            self.version,
            at,
        )

    def named(self, channel: str, *texts: str | None) -> str | None:
        """Something sensitive that one of the texts names on a discreet channel."""
        if self.sensitive is None or channel not in self.discretion.channels:
            return None
        return self.sensitive.first(*texts)

    def check_body(self, body: str, channel: str) -> None:
        """Refuse an empty text, and one that is longer than its channel takes."""
        if not body:
            raise ValueRefused("the text is empty", "write what to say where a condition does not hold")
        limit = self.limits.get(channel)
        if limit is not None and 4 * len(body) > limit[0]:
            size = len(body) if limit[1] == "characters" else len(body.encode())
            if size > limit[0]:
                raise ValueRefused(f"the text has {size:,} {limit[1]}; {channel} takes {limit[0]:,}")

    def failed(self, row: Row, reason: Reason, detail: str) -> FailedMessage:
        """What to say of a candidate whose message cannot be made."""
        return FailedMessage(
            row[BUCKET], row[CUSTOMER], self.playbook.name, self.step.name, row[ANCHOR], reason.value, detail
        )


def static_values(playbook: Playbook, step: Step, settings: Settings) -> dict[str, Any]:
    """What is the same for every customer of a step (`today` is added by the run)."""
    return {
        "shop": {"name": settings.shop.name},
        "playbook": {"title": playbook.shown, "name": playbook.name},
        "step": {"name": step.name},
        "language": settings.shop.language,
        "currency": settings.shop.currency,
    }


def open_candidates(steps: Sequence[StepRenderer]) -> sa.Select[Any]:
    """What this run accepted of steps that ask for the same, read along the index of open candidates."""
    c = candidates.c
    return (
        steps[0]
        .fetch.select()
        .where(
            OPEN,
            c.playbook.in_(sorted({one.playbook.name for one in steps})),
            c.step.in_(sorted({one.step.name for one in steps})),
            c.bucket.between(sa.bindparam("low", type_=sa.Integer), sa.bindparam("high", type_=sa.Integer)),
            c.state == CandidateState.ACCEPTED.value,
            c.run_id == sa.bindparam("run", type_=sa.BigInteger),
        )
        .order_by(c.bucket, c.playbook, c.step, c.customer_id, c.anchor)
    )
