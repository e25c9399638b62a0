"""smr's own evaluation of one playbook, timed in its process: finding who is due, and judging them.

    python -m benchmarks.evaluation URL CONFIG NOW REPEATS

The statements of a run between the refresh and the texts, slice by slice, candidates and reasons written
down. Each repeat happens in a transaction that is rolled back, and begins with the loaded playbooks, as a
run of a daemon does: statements built before are kept. Prints one JSON line with the median.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Hashable
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from benchmarks.measure import middle
from smr import clock, due, guards
from smr.database import count_grown, open_database
from smr.playbook import load_library
from smr.playbook.model import Library, Step
from smr.settings import Settings, load_settings
from smr.slices import customer_slices
from smr.tables import candidates

RUN_ID = 1


def main() -> None:
    """Time the playbook of the highest priority."""
    url, config, now, repeats = sys.argv[1:]
    settings = load_settings(Path(config))
    library = load_library(settings.playbooks, settings)
    database = open_database(url)
    times = []
    found = accepted = 0
    for _ in range(int(repeats)):
        with database.trial() as connection:
            started = time.perf_counter()
            _evaluate(connection, library, settings, datetime.fromisoformat(now))
            times.append(time.perf_counter() - started)
            found, accepted = _counted(connection)
    database.close()
    print(json.dumps({"due": found, "accepted": accepted, "seconds": middle(times)}))


def _evaluate(connection: Connection, library: Library, settings: Settings, now: datetime) -> None:
    playbook, *_ = library.playbooks
    shop = (library, settings, now)
    quiet = guards.quiet_now(connection, now, settings)
    bench = guards.Bench(playbook, playbook.steps[0], *shop, quiet)

    def judge(_step: Step, write: due.Write, *, given: bool, alike: Hashable | None, anyones: bool) -> Any:
        return guards.with_verdict(bench, write, alike)

    search = due.search(connection.dialect.name, playbook, *shop, judge)
    judgements = guards.judgements([[bench]])
    arbitrations = list(guards.arbitrations(library, settings, bench.moments))
    spans: list[dict[str, Any]] = [
        {"now": clock.seconds(now), "run_id": RUN_ID, "low": part.low, "high": part.high}
        for part in customer_slices(connection, playbooks=1)
    ]
    for span in spans:
        any_before = guards.any_open(connection, low=span["low"], high=span["high"])
        seen = sum(tally.seen for _, tally in due.find(connection, [search], **span))
        count_grown(connection, candidates, seen)
        if any_before:
            guards.judge(connection, judgements, **span)
        guards.arbitrate(connection, arbitrations, **span)
    guards.limit_run(connection, library, settings, run_id=RUN_ID)
    settling = guards.Settling.of(connection.dialect.name, [playbook], settings)
    for span in spans:
        guards.settle(connection, settling, {"run": RUN_ID, **span})


def _counted(connection: Connection) -> tuple[int, int]:
    passed = sa.func.sum(sa.case((candidates.c.state == "accepted", 1), else_=0))
    count, accepted = connection.execute(sa.select(sa.func.count(), passed).select_from(candidates)).one()
    return int(count), int(accepted or 0)


if __name__ == "__main__":
    main()
