"""Rendering alone: context, subject and body of each message, beside the same by Jinja2's `Template.render`.

    python -m benchmarks.rendering URL CONFIG NOW

Decides as a run does, reads the rows of what was accepted as a run reads them, and makes the texts of each
chunk of rows, both ways in turn: values of the row into nested dicts, then subject and body. The sandbox, its
compiler and its filters are the same on both sides; smr checks length and characters, too. Prints one JSON
line with texts per second of processor time.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2.runtime import Context

from benchmarks.measure import middle
from smr import pipeline
from smr.database import open_database
from smr.garbage import look_rarely
from smr.messages.environment import LOOP_STEPS, Sandbox
from smr.messages.rendering import CHUNK, StepRenderer, open_candidates
from smr.messages.template import compile_template
from smr.playbook import load_library
from smr.settings import load_settings
from smr.slices import cut
from smr.tables import candidates

RUN_ID = 1_000_000
SUBJECT = "{{ customer.name }},{{ product.name }}该补货了"
ROUNDS = 5

Texts = tuple[str, str]
Make = Callable[[dict[str, Any]], Texts]


class Loose(Context):
    """Jinja2's own context, with what the sandbox's loops count on."""

    steps_left = LOOP_STEPS


def main() -> None:
    """Make all texts both ways, compare them, and tell how quick each was."""
    url, config, now = sys.argv[1:]
    look_rarely()  # as the program does; it helps both ways alike
    settings, at = load_settings(Path(config)), datetime.fromisoformat(now)
    library = load_library(settings.playbooks, settings)
    database = open_database(url)
    pipeline.decide(database, library, settings, now=at, run_id=RUN_ID)
    [whole] = cut(1)
    bound = {"run": RUN_ID, "low": whole.low, "high": whole.high}
    spent: dict[str, list[float]] = {"smr": [], "plain": []}
    count = 0
    steps = [
        StepRenderer.of(playbook, step, library, settings, candidates)
        for playbook in library.playbooks
        for step in playbook.steps
    ]
    with database.read() as connection:
        for round_ in range(ROUNDS):
            took, count = defaultdict[str, float](float), 0
            for step in steps:
                ways = {"smr": _by_smr(step), "plain": _by_jinja(step)}
                rows = connection.execute(open_candidates([step]), bound)
                for number, chunk in enumerate(rows.partitions(CHUNK)):
                    step.begin(connection, chunk, at)
                    # Whoever comes first finds nothing in the processor's cache.
                    turns = ("smr", "plain") if (round_ + number) % 2 else ("plain", "smr")
                    texts = {way: _timed(step, chunk, ways[way], took, way) for way in turns}
                    if texts["smr"] != texts["plain"]:
                        raise RuntimeError("both ways make the same texts, but they did not")
                    count += len(chunk)
            for way, seconds in took.items():
                spent[way].append(seconds)
    database.close()
    print(json.dumps({"texts": count, **{name: count / middle(times) for name, times in spent.items()}}))


def _timed(
    step: StepRenderer, rows: Sequence[Any], make: Make, took: dict[str, float], way: str
) -> list[Texts]:
    started = time.process_time()
    made = [make(step.values(row)) for row in rows]
    took[way] += time.process_time() - started
    return made


def _by_smr(step: StepRenderer) -> Make:
    subject, body = compile_template(SUBJECT, "line"), compile_template(_source(step))
    return lambda context: (subject.render(context), body.render(context))


def _by_jinja(step: StepRenderer) -> Make:
    sandbox = Sandbox(html=False)
    sandbox.context_class = Loose
    subject, body = sandbox.from_string(SUBJECT), sandbox.from_string(_source(step))
    return lambda context: (subject.render(context), body.render(context))


def _source(step: StepRenderer) -> str:
    if step.texts is None:
        raise RuntimeError(step.problem)
    return step.texts.body.source


if __name__ == "__main__":
    main()
