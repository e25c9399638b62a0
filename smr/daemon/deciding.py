"""The daemon's run: begun by whoever has its slot, and shared with all other daemons on PostgreSQL.

In: `Work`, a firing. Out: a run, and in the log what it did. On SQLite one process writes at a time, so a run
is made by one daemon alone.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from smr import clock, logs, pipeline, runs
from smr.daemon.work import BrokenOffError, Work
from smr.database.timing import database_now
from smr.events import Event
from smr.firings import Firing
from smr.report import RunReport
from smr.runs import is_gone
from smr.sharing import Place
from smr.tables import daemons
from smr.watch.status import SILENT


def decide(work: Work, firing: Firing) -> None:
    """Decide who is reminded; what is queued is sent at once."""
    runs.stop(work.database, work.owner)
    asked = {"now": clock.now(), "slot": f"daemon/{firing.slot}", "progress": work.progress}
    place = _place(work)
    try:
        done = _share(work, place, **asked) if place.of > 1 else _alone(work, **asked)
    except BaseException:
        runs.stop(work.database, work.owner)
        raise
    if isinstance(done, runs.UnderWay):
        return
    logs.tell(
        Event.RUN_FINISHED,
        slot=firing.slot,
        due=done.due,
        accepted=done.accepted,
        held_out=done.held_out,
        queued=done.queued,
        failed=done.failed,
        blast=done.blast,
    )
    _send(work, done)


def join(work: Work) -> None:
    """Work at a shared run that somebody else has begun by the same rules, until it is over."""
    if work.database.dialect == "sqlite":
        return
    with work.database.read() as connection:
        slot = runs.open_to_others(connection)
    if slot is None:
        return
    place = _place(work)
    beside = Place(place.number, max(2, place.of))
    with suppress(BrokenOffError):  # what it had in hand is done by the others
        done = _share(work, beside, now=clock.now(), slot=slot, progress=work.progress)
        if isinstance(done, RunReport):
            logs.tell(Event.RUN_SHARED, slot=slot)
            _send(work, done)


def _alone(work: Work, **asked: Any) -> RunReport | runs.UnderWay:
    return pipeline.run(work.database, work.library, work.settings, **asked)


def _share(work: Work, place: Place, **asked: Any) -> RunReport | runs.UnderWay:
    """A run of another instant is joined: one that was begun before for the same slot, too."""
    shop = (work.database, work.library, work.settings)
    return pipeline.share(*shop, place=place, stated_now=False, **asked)


def _send(work: Work, done: RunReport) -> None:
    if done.queued:
        work.soon("deliver", None)


def _place(work: Work) -> Place:
    """Which of the living daemons this one is."""
    if work.database.dialect == "sqlite":
        return Place(1, 1)
    heard_of = sa.type_coerce(daemons.c.seen_at, sa.BigInteger) > database_now() - SILENT
    asked = sa.select(daemons.c.owner).where(daemons.c.state == "working", heard_of)
    with work.database.read() as connection:
        others = {owner for owner in connection.execute(asked).scalars() if not is_gone(owner)}
    owners = sorted(others | {work.owner})
    return Place(owners.index(work.owner) + 1, len(owners))
