"""One scenario played: the clock jumps from moment to moment; at each, a real run and a real delivery.

In: a scenario, the library, the settings. Out: its `Moment`s, in order. At each, first the messages whose
quiet hours ended since the last one go out, then a run decides and its messages are sent.
Trap: the database is as it was at a moment only until the next one is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from smr import clock, delivery, pipeline, runs
from smr.database import Database
from smr.errors import StateError
from smr.facts.known import products_as_known
from smr.playbook.model import Library
from smr.publication import publish
from smr.scenarios.given import beginning, put_given
from smr.scenarios.model import Scenario, clock_of
from smr.scenarios.references import live_playbooks, moment_of
from smr.scenarios.stage import Stage, harmless
from smr.settings import Settings
from smr.tables import messages

LONG_AGO = timedelta(days=366)
"""How long before its beginning the playbooks of a scenario went live."""
OWNER = "scenario"


@dataclass(frozen=True)
class Moment:
    """One moment of a scenario, after its run and its delivery.

    `since` is the moment before; what was sent after it, up to `at`, belongs to this moment. `expectation`
    is the number of the expectation, None for a daily run that nothing is expected of.
    """

    database: Database
    library: Library
    settings: Settings
    at: datetime
    since: datetime
    expectation: int | None


def play(stage: Stage, scenario: Scenario, library: Library, settings: Settings) -> Iterator[Moment]:
    """The moments of a scenario, in order; each is at hand until the next is asked for."""
    running = replace(library, playbooks=live_playbooks(scenario, library))
    with stage.database() as (database, outbox):
        shop = harmless(settings, outbox, scenario.policy)
        _set_up(database, scenario, running, shop)
        since = beginning(scenario, shop)
        for at, number in _moments(scenario, shop):
            _wake(database, running, shop, at)
            _run(database, running, shop, at, scenario)
            _deliver(database, running, shop, at)
            yield Moment(database, running, shop, at, since, number)
            since = at


def _set_up(database: Database, scenario: Scenario, library: Library, settings: Settings) -> None:
    live_since = beginning(scenario, settings) - LONG_AGO
    if scenario.live_since is not None:
        live_since = clock_of(scenario.live_since, settings.shop.tz)
    with database.write() as connection:
        put_given(connection, scenario, settings, library.topics)
        publish(connection, library, now=live_since)


def _moments(scenario: Scenario, settings: Settings) -> Iterator[tuple[datetime, int | None]]:
    """The moments of the expectations, and the daily ones on days that have none."""
    stated = [moment_of(expectation, scenario, settings) for expectation in scenario.expect]
    found: list[tuple[datetime, int | None]] = [(at, number) for number, at in enumerate(stated)]
    if scenario.daily is not None:
        zone = settings.shop.tz
        taken = {clock.local_day(at, zone) for at in stated}
        day = min(taken)
        while day < max(taken):
            if day not in taken:
                found.append((clock_of(f"{day} {scenario.daily:%H:%M}", zone), None))
            day += timedelta(days=1)
    yield from sorted(found, key=lambda moment: moment[0])


def _run(database: Database, library: Library, settings: Settings, at: datetime, scenario: Scenario) -> None:
    # A handful of customers is always a large share of all: the limit counts only where the scenario sets it.
    _know(database, at)
    limited = scenario.policy is not None and "blast_limit" in scenario.policy.model_fields_set
    done = pipeline.run(database, library, settings, now=at, allow_blast=not limited)
    if isinstance(done, runs.UnderWay):
        raise StateError("another process is using the private database of a scenario")


def _wake(database: Database, library: Library, settings: Settings, at: datetime) -> None:
    """Send what waited for the end of quiet hours, each at its own time before `at`."""
    waits = sa.select(messages.c.send_after).where(messages.c.state == "queued", messages.c.send_after < at)
    with database.read() as connection:
        times = sorted(set(connection.execute(waits).scalars()))
    for time in times:
        _deliver(database, library, settings, time)


def _know(database: Database, at: datetime) -> None:
    """Let products cost what they cost then, and be in stock where they were."""
    with database.write() as connection:
        products_as_known(connection, at=clock.seconds(at))


def _deliver(database: Database, library: Library, settings: Settings, at: datetime) -> None:
    _know(database, at)
    report = delivery.deliver(database, library, settings, now=at, owner=OWNER)
    if report.troubles:
        raise StateError("; ".join(report.troubles.values()))
