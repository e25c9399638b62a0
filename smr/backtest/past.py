"""A shop's facts in a database of their own, where only those are visible that were known at a time.

In: the real database, which is only read. Out: a `Past`: a passing SQLite file whose tables the pipeline
works on as on the real ones. Facts later than the present moment wait in tables of their own until `advance`
lets them in and marks their customers as changed, as an import would.
Traps: a fact counts as known when it happened, for the tables do not tell when it was brought in. Tags,
addresses and what is said of a customer are kept as they are now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import tables
from smr.backtest.tables import later_customers, later_purchases, later_refunds, metadata
from smr.conditions import Who
from smr.database import Database, copy_rows, insert_missing, open_passing, snapshot
from smr.facts.known import products_as_known

AS_THEY_ARE = (
    tables.products,
    tables.product_changes,
    tables.substitutes,
    tables.staff,
    tables.stores,
    tables.calendar,
    tables.addresses,
    tables.consents,
    tables.interactions,
    tables.mentions,
)
"""Copied whole: they carry their own times, or have none."""

AS_TOLD = (tables.tags,)
"""Copied without what rules of the shop gave: a walk gives that anew."""

LET_IN_BY_DAY = (tables.customers, tables.purchases, tables.refunds)
"""Facts that come in on the day on which they become known."""

MADE_BY_RUNS = (
    tables.buyers,
    tables.candidates,
    tables.changed_customers,
    tables.cuts,
    tables.cycles,
    tables.days_ahead,
    tables.forecasts,
    tables.given_candidates,
    tables.handovers,
    tables.learned,
    tables.members,
    tables.messages,
    tables.next_changes,
    tables.roles,
    tables.odds,
    tables.publications,
    tables.rhythms,
    tables.runs,
    tables.sortings,
    tables.stages,
    tables.supplies,
    tables.undecided_customers,
    tables.unsorted_customers,
    tables.visitors,
)
"""Derived and decided: empty when a walk over the past begins; of a shop as it is, copied."""

NOT_DECIDED_BY = frozenset(
    table.name
    for table in (
        tables.channels,
        tables.daemons,
        tables.deliveries,
        tables.expected_messages,
        tables.firings,
        tables.imports,
        tables.incidents,
        tables.receipts,
        tables.rejected_rows,
        tables.run_slices,
        tables.tallies,
    )
)
"""Tables that no run reads, but its own rows of them."""

SINCE = sa.bindparam("since", type_=sa.BigInteger)
UNTIL = sa.bindparam("until", type_=sa.BigInteger)
DAY = sa.bindparam("day", type_=sa.BigInteger)

Told = Callable[[int, int | None, str | None], None]


@dataclass(frozen=True)
class Past:
    """The database of a walk, and the instant (seconds) up to which everything was copied."""

    database: Database
    horizon: int

    def advance(self, connection: Connection, *, since: int, until: int, number: int) -> None:
        """Let in what happened after `since`, up to `until`, and mark whom it is about.

        `number` (from 1) is that of the marks.
        """
        bound = {"since": since, "until": until, "day": number}
        for statement in _ADVANCE:
            connection.execute(statement, bound)
        products_as_known(connection, at=until, since=since)


@contextmanager
def past_of(shop: Database, *, at: int, horizon: int, told: Told) -> Iterator[Past]:
    """A shop's facts as they were known at an instant, later ones in waiting up to the horizon (seconds)."""
    with TemporaryDirectory(prefix="smr-backtest-") as folder:
        copied = open_passing(Path(folder) / "past.db")
        try:
            with copied.write() as target:
                tables.metadata.create_all(target)
                metadata.create_all(target)
            with snapshot(shop) as source, copied.write() as target:
                _copy(source, target, at, horizon, told)
            past = Past(copied, horizon)
            with copied.write() as connection:
                connection.execute(_WHEN_KNOWN)
                products_as_known(connection, at=at)
                past.advance(connection, since=at, until=at, number=1)
                connection.execute(_everyone_changed())
            yield past
        finally:
            copied.close()


@contextmanager
def present_of(shop: Database, *, at: int, told: Told) -> Iterator[Past]:
    """A shop as it is at an instant, with what was decided and sent so far. Nothing is still to come."""
    known = {
        tables.purchases.name: tables.purchases.c.purchased_at <= at,
        tables.refunds.name: tables.refunds.c.refunded_at <= at,
    }
    with TemporaryDirectory(prefix="smr-simulate-") as folder:
        copied = open_passing(Path(folder) / "present.db")
        try:
            with copied.write() as target:
                tables.metadata.create_all(target)
                metadata.create_all(target)
            wanted = [table for table in tables.metadata.sorted_tables if table.name not in NOT_DECIDED_BY]
            with snapshot(shop) as source, copied.write() as target:
                for number, table in enumerate(wanted):
                    told(number, len(wanted), f"copying {table.name}")
                    copy_rows(source, target, table, known.get(table.name, sa.true()))
            yield Past(copied, at)
        finally:
            copied.close()


def _copy(source: Connection, target: Connection, at: int, horizon: int, told: Told) -> None:
    for table in AS_THEY_ARE:
        copy_rows(source, target, table)
    copy_rows(source, target, tables.tags, tables.tags.c.source != "rule")
    copy_rows(source, target, later_customers, of=tables.customers)
    bought, back = tables.purchases, tables.refunds
    total = source.execute(
        sa.select(sa.func.count()).select_from(bought).where(bought.c.purchased_at <= horizon)
    ).scalar_one()
    then = copy_rows(
        source, target, bought, bought.c.purchased_at <= at, told=lambda n: told(n, total, "copying")
    )
    copy_rows(
        source,
        target,
        later_purchases,
        bought.c.purchased_at > at,
        bought.c.purchased_at <= horizon,
        of=bought,
        told=lambda n: told(then + n, total, "copying"),
    )
    copy_rows(source, target, back, back.c.refunded_at <= at)
    copy_rows(source, target, later_refunds, back.c.refunded_at > at, back.c.refunded_at <= horizon, of=back)


def _when_known() -> sa.Update:
    """When each customer was known: first seen, bought so far, or first consented.

    Those whom a later purchase makes known come in with it.
    """
    person = later_customers
    earliest: Any = sa.type_coerce(person.c.first_seen_at, sa.BigInteger)
    for table, at in (
        (tables.purchases, tables.purchases.c.purchased_at),
        (tables.consents, tables.consents.c.decided_at),
    ):
        first = (
            sa.select(sa.func.min(sa.type_coerce(at, sa.BigInteger)))
            .where(Who.of(person).owns(table))
            .scalar_subquery()
        )
        earliest = sa.func.min(earliest, sa.func.coalesce(first, person.c.first_seen_at))
    return sa.update(person).values(known_at=earliest)


def _let_in(table: sa.Table, waiting: sa.Table, known_at: Any) -> Iterator[Any]:
    names = [column.name for column in table.columns]
    known = known_at <= UNTIL
    select = sa.select(*(waiting.c[name] for name in names)).where(known)
    yield insert_missing("sqlite", table, columns=names, select=select)
    yield sa.delete(waiting).where(known)


def _newcomers() -> Iterator[Any]:
    """Customers not known yet who bought now."""
    bought, person = later_purchases, later_customers
    owner = (bought.c.bucket, bought.c.customer_id)
    now = sa.select(*owner).where(bought.c.purchased_at <= UNTIL).distinct().subquery("now")
    names = [column.name for column in tables.customers.columns]
    select = sa.select(*(person.c[name] for name in names)).select_from(
        now.join(person, Who.of(now).owns(person))
    )
    yield insert_missing("sqlite", tables.customers, columns=names, select=select)


def _marks() -> Iterator[Any]:
    """Whom the news are about, and since when purchases differ; a refund may have changed anything.

    Purchases and refunds of one day have marks of their own, with an even and an odd number.
    """
    bought, back = later_purchases, later_refunds
    since = sa.func.min(sa.type_coerce(bought.c.purchased_at, sa.BigInteger))
    owner = (bought.c.bucket, bought.c.customer_id)
    new = sa.select(*owner, 2 * DAY, since).where(bought.c.purchased_at <= UNTIL).group_by(*owner)
    columns = ["bucket", "customer_id", "import_id", "bought_since"]
    yield insert_missing("sqlite", tables.changed_customers, columns=columns, select=new)
    returned = sa.select(back.c.bucket, back.c.customer_id, 2 * DAY + 1).where(back.c.refunded_at <= UNTIL)
    yield insert_missing("sqlite", tables.changed_customers, columns=columns[:3], select=returned.distinct())


def _everyone_changed() -> Any:
    person = tables.customers
    select = sa.select(person.c.bucket, person.c.customer_id, sa.literal(1, sa.BigInteger))
    columns = ["bucket", "customer_id", "import_id"]
    return insert_missing("sqlite", tables.changed_customers, columns=columns, select=select)


_WHEN_KNOWN = _when_known()
_ADVANCE = (
    *_let_in(tables.customers, later_customers, later_customers.c.known_at),
    *_newcomers(),
    *_marks(),
    *_let_in(tables.purchases, later_purchases, later_purchases.c.purchased_at),
    *_let_in(tables.refunds, later_refunds, later_refunds.c.refunded_at),
)
