"""Whose segments, stages and tags are to be judged again: the rows of `unsorted_customers`.

Those whose facts changed, those about whom an instant has come (see `instants`), those written to where a
definition counts messages; and everybody when the definitions changed or the clock was set back.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.conditions import NOW
from smr.conditions import model as m
from smr.database import count_again, insert_missing, insert_or_update
from smr.playbook.model import Library
from smr.segments.bounds import HIGH, LOW
from smr.segments.instants import definitions, leaves, passed
from smr.segments.published import cut_now, publish_roles
from smr.settings import Settings
from smr.slices import Slice, customer_slices, cut
from smr.tables import (
    changed_customers,
    customers,
    messages,
    next_changes,
    sortings,
    supplies,
    undecided_customers,
    unsorted_customers,
)

A_SLICE = {"sqlite": 50_000, "postgresql": 200_000}
"""Customers judged in one transaction. Each touches all of the index by when answers may change; on SQLite
writers wait for it, some seconds, on PostgreSQL nobody does.
"""
WHAT = "customers"
KEY = ["bucket", "customer_id"]


def begin(connection: Connection, library: Library, settings: Settings, *, now: int) -> None:
    """Take note of the definitions as they are now; mark everybody where they or their cuts changed.

    Also where the clock was set back behind the last sorting.
    """
    changed = publish_roles(connection, library.catalog)
    changed |= cut_now(connection, library, settings, now=now)
    version = version_of(library, settings)
    known = connection.execute(sa.select(sortings).where(sortings.c.what == WHAT)).first()
    if changed or known is None or known.version != version or now < clock.seconds(known.now_at):
        everyone = sa.select(customers.c.bucket, customers.c.customer_id)
        connection.execute(_mark(connection, everyone))
    rows = [{"what": WHAT, "version": version, "now_at": now}, *_redefined(connection, library, now)]
    connection.execute(
        insert_or_update(connection.dialect.name, sortings, update=["version", "now_at"]), rows
    )


def _redefined(connection: Connection, library: Library, now: int) -> list[dict[str, Any]]:
    """Since when each definition is as it is, where that has changed.

    Whoever comes in by a change of the definition has not done anything: no trigger counts it.
    """
    known = {row.what: row.version for row in connection.execute(sa.select(sortings))}
    said = {f"{kind}:{name}": _hash(_said(library, kind, name)) for kind, name in library.order}
    return [
        {"what": what, "version": version, "now_at": now}
        for what, version in said.items()
        if known.get(what) != version
    ]


def _said(library: Library, kind: str, name: str) -> Any:
    """A definition with those that it uses."""
    own: Any = {"segment": library.segments, "ladder": library.ladders, "tag": library.tags}[kind].get(name)
    if own is None:
        return name
    conditions: list[Any] = [own.where] if kind == "segment" else [own.when] if kind == "tag" else []
    if kind == "ladder":
        conditions = [rung.where for rung in own if rung.where is not None]
    used: list[tuple[str, str]] = []
    for leaf in (leaf for condition in conditions for leaf in leaves(condition)):
        match leaf:
            case m.InSegment(segment=names):
                used += [("segment", one) for one in names]
            case m.AtStage(stage=stages):
                used += [("ladder", one) for one in stages]
            case m.HasTag(tag=names):
                used += [("tag", one) for one in names]
    return (own, [_said(library, *node) for node in used])


def _hash(said: Any) -> str:
    return sha256(repr(said).encode()).hexdigest()[:12]


def version_of(library: Library, settings: Settings) -> str:
    """A name for what the definitions say, and for the settings that they rest on."""
    said: Any = (library.order, library.segments, library.ladders, library.tags, library.catalog.roles)
    rest = (settings.shop.currency, sorted((name, repr(one)) for name, one in settings.channels.items()))
    return _hash((said, rest))


def note_changes(connection: Connection, *, low: int, high: int) -> None:
    """Mark those whose facts changed, before supplies work their marks off."""
    fresh = sa.select(changed_customers.c.bucket, changed_customers.c.customer_id).distinct()
    fresh = fresh.where(changed_customers.c.bucket.between(LOW, HIGH))
    connection.execute(_mark(connection, fresh), {"low": low, "high": high})


def note_supplies(connection: Connection, library: Library, *, low: int, high: int) -> None:
    """Mark those who have a supply, where a definition asks of supplies: what was learned moved them."""
    if any(isinstance(leaf, m.Supply) for condition in definitions(library) for leaf in leaves(condition)):
        moved = sa.select(supplies.c.bucket, supplies.c.customer_id).distinct()
        moved = moved.where(supplies.c.bucket.between(LOW, HIGH))
        connection.execute(_mark(connection, moved), {"low": low, "high": high})


def slices(connection: Connection, library: Library, *, now: int) -> list[Slice]:
    """Slices for judging whoever has to be; none where nobody has.

    One in a hundred or everybody: the way to them that is best for one is bad for the other.
    """
    count_again(connection, unsorted_customers)
    if counted_messages(library) is not None:
        return customer_slices(connection)
    marked = sa.select(sa.func.count()).select_from(unsorted_customers)
    come = sa.select(sa.func.count()).select_from(next_changes).where(next_changes.c.changes_at <= now)
    count = connection.execute(marked).scalar_one() + connection.execute(come).scalar_one()
    return cut(-(-count // A_SLICE[connection.dialect.name])) if count else []


def take(connection: Connection, library: Library, bound: dict[str, int]) -> bool:
    """Mark, in a slice, those whom the clock or a message concerns; whether anybody is marked at all."""
    come, forget = passed()
    connection.execute(_mark(connection, come), bound)
    connection.execute(forget, bound)
    within = counted_messages(library)
    if within is not None:
        at = sa.type_coerce(sa.func.coalesce(messages.c.sent_at, messages.c.send_after), sa.BigInteger)
        written = sa.select(messages.c.bucket, messages.c.customer_id).distinct()
        written = written.where(messages.c.bucket.between(LOW, HIGH), at > NOW - within)
        connection.execute(_mark(connection, written), bound)
    anybody = sa.select(sa.literal(1)).where(unsorted_customers.c.bucket.between(LOW, HIGH)).limit(1)
    return connection.execute(anybody, bound).first() is not None


def counted_messages(library: Library) -> int | None:
    """How far back definitions count messages, whose states change without a mark; None where none does."""
    asked = [
        leaf.messaged.within
        for condition in definitions(library)
        for leaf in leaves(condition)
        if isinstance(leaf, m.Messaged)
    ]
    if not asked:
        return None
    return max(clock.DAY * 365 * 100 if within is None else within for within in asked)


def undecided(connection: Connection) -> Any:
    """Note about whom a run is to decide again."""
    sorted_now = sa.select(unsorted_customers.c.bucket, unsorted_customers.c.customer_id)
    sorted_now = sorted_now.where(unsorted_customers.c.bucket.between(LOW, HIGH))
    return insert_missing(connection.dialect.name, undecided_customers, columns=KEY, select=sorted_now)


def _mark(connection: Connection, select: sa.Select[Any]) -> Any:
    return insert_missing(connection.dialect.name, unsorted_customers, columns=KEY, select=select)
