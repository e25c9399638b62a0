"""Once a week the shop learns anew from all rhythms; in between, a supply moves when its customer buys.

What is learned stands on what happened before the week began, so that it is the same whenever in the week,
and in whatever order, facts came in.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import Connection

from smr import clock
from smr.database import insert_missing
from smr.due.catalog import EVERYTHING
from smr.due.forecasts import note_wanted, refresh_forecasts, wanted
from smr.due.goods import KINDS, learns
from smr.due.learning import learn, write_odds
from smr.due.projection import projected
from smr.due.rhythms import NEW_WEEK, VISIT, week_of
from smr.due.visits import visit_factors
from smr.playbook.model import Library
from smr.tables import NEVER, buyers, changed_customers, forecasts, learned, odds, rhythms

OUTDATED, UNAPPLIED = "outdated", "unapplied"
"""What a run that is killed leaves to the next: rhythms changed, or more was learned than supplies say."""

Changed = Mapping[str, list[str] | None]
"""Lines by their kind of which more became known; None stands for all of them."""


def begin_week(connection: Connection, library: Library, *, now: int, offset: int) -> bool:
    """Where a week has begun since it was learned, mark those whose purchases became known with it."""
    if note_wanted(connection, library):
        _note(connection, UNAPPLIED)
    if not learns(library.catalog):
        _forget_all(connection)
        return False
    week = week_of(now, offset)
    before = connection.execute(sa.select(sa.func.min(learned.c.as_of))).scalar_one()
    if before == week:
        return False
    _note(connection, OUTDATED)
    mark = (sa.literal(NEW_WEEK, sa.BigInteger), sa.literal(NEVER, sa.BigInteger))
    whose = sa.select(buyers.c.bucket, buyers.c.customer_id, *mark)
    if before is not None:
        since = min(before, week) * clock.DAY - offset
        whose = whose.where(sa.type_coerce(buyers.c.last_purchased_at, sa.BigInteger) >= since)
    columns = ["bucket", "customer_id", "import_id", "bought_since"]
    connection.execute(
        insert_missing(connection.dialect.name, changed_customers, columns=columns, select=whose)
    )
    return True


def learn_lines(connection: Connection, library: Library, *, now: int, offset: int) -> Changed:
    """Learn as of the week of `now`, where rhythms changed; the lines of which more or less is known."""
    unapplied: Changed = dict.fromkeys(KINDS[library.catalog.track]) if _noted(connection, UNAPPLIED) else {}
    if not learns(library.catalog) or not _noted(connection, OUTDATED):
        return unapplied
    week = week_of(now, offset)
    kinds = KINDS[library.catalog.track]
    for table in (learned, odds):
        connection.execute(sa.delete(table).where(table.c.kind.not_in([*kinds, EVERYTHING])))
    found = {kind: learn(connection, kind, week) for kind in kinds}
    for kind in kinds:
        factors = visit_factors(connection, kind, week=week, offset=offset)
        if factors is not None and write_odds(connection, kind, VISIT, factors) and wanted(library):
            found[kind] = None
    changed = unapplied or {kind: lines for kind, lines in found.items() if lines is None or lines}
    _settle(connection, OUTDATED)
    if changed:
        _note(connection, UNAPPLIED)
    return changed


def outdated(connection: Connection) -> None:
    """Say that rhythms changed: it is to be learned from them."""
    _note(connection, OUTDATED)


def project(connection: Connection, library: Library, changed: Changed, *, low: int, high: int) -> None:
    """Let the supplies of those lines take what was learned, in buckets low..high, and their forecasts."""
    for kind, lines in changed.items() if learns(library.catalog) else ():
        statement = projected(connection.dialect.name, kind, "all" if lines is None else "lines")
        bound = {"low": low, "high": high} | ({} if lines is None else {"lines": lines})
        connection.execute(statement, bound)
    refresh_forecasts(connection, library, "all", {"low": low, "high": high}, tuple(changed))


def applied(connection: Connection) -> None:
    """Say that all supplies have taken what was learned."""
    _settle(connection, UNAPPLIED)


def _note(connection: Connection, what: str) -> None:
    connection.execute(
        insert_missing(connection.dialect.name, odds),
        [{"kind": EVERYTHING, "what": what, "step": 0, "share": 1}],
    )


def _noted(connection: Connection, what: str) -> bool:
    of = sa.and_(odds.c.kind == EVERYTHING, odds.c.what == what)
    return connection.execute(sa.select(odds.c.step).where(of)).first() is not None


def _settle(connection: Connection, what: str) -> None:
    connection.execute(sa.delete(odds).where(odds.c.kind == EVERYTHING, odds.c.what == what))


def _forget_all(connection: Connection) -> None:
    """Where nothing may be learned any more, what was learned goes."""
    if connection.execute(sa.select(learned.c.kind).limit(1)).first() is not None:
        for table in (learned, odds, forecasts, rhythms):
            connection.execute(sa.delete(table))
