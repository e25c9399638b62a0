"""What a run (or a plan) did, in numbers by playbook, step and reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from smr.events import Reason
from smr.tables import customers, imports, purchases

ACCEPTED = "accepted"
HELD_OUT = "held_out"
EXPIRED = "expired"
LOST = ("winner", "winner_step", "loser", "loser_step", "reason", "count")
"""What is told of those that gave way to another one."""
DUE_NO_MORE = frozenset({EXPIRED, str(Reason.NOT_DUE), str(Reason.PAUSED)})
"""Verdicts on reminders that no trigger finds any more."""


_NUMBERS = ("customers", "purchases", "queued", "failed", "blast", "imports")
_COUNTERS = ("seen", "found", "verdicts", "lost")


@dataclass
class RunReport:
    """Counts of one pass.

    `verdicts` counts candidates by playbook, step and verdict: `accepted`, `held_out`, `expired`, or the
    reason that blocked. `lost` counts those that gave way to another one, by the winner's playbook and step,
    the loser's, and the reason. `seen` counts by playbook and step whatever is due, reminders that an
    earlier run made among them; `found` those still to be made, where all were looked for. `blast` is the
    number of customers the run wanted to write to when that was too many, else None. `took` is how many
    seconds of work each stage took, by its name; reports that differ in it alone are equal.
    """

    customers: int = 0
    purchases: int = 0
    queued: int = 0
    failed: int = 0
    blast: int | None = None
    imports: str | None = None
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    only_news: set[tuple[str, str]] = field(default_factory=set)
    verdicts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    lost: Counter[tuple[str, str, str, str, str]] = field(default_factory=Counter)
    before: Counter[tuple[str, str, str]] | None = None
    took: dict[str, float] = field(default_factory=dict, compare=False)

    def look(self, playbook: str, step: str, seen: int, found: int | None) -> None:
        """Count what a trigger found; `found` is None where it looked for what is new alone."""
        self.seen[playbook, step] += seen
        if found is None:
            self.only_news.add((playbook, step))
        else:
            self.found[playbook, step] += found

    def spent(self, stage: str, seconds: float) -> None:
        """Add to the seconds of a stage."""
        self.took[stage] = self.took.get(stage, 0.0) + seconds

    def judged(
        self,
        playbook: str,
        step: str,
        reason: str | None,
        winner_playbook: str | None,
        winner_step: str | None,
        count: int,
    ) -> None:
        """Count verdicts of one step, and to whom it lost."""
        self.verdicts[playbook, step, verdict_of(reason)] += count
        if reason is not None and winner_playbook is not None and winner_step is not None:
            self.lost[winner_playbook, winner_step, playbook, step, reason] += count

    def add(self, part: RunReport) -> None:
        """Take in what a part of the same pass counted."""
        self.queued += part.queued
        self.failed += part.failed
        for mine, others in zip(self._counters(), part._counters(), strict=True):
            for key, count in others.items():
                mine[key] += count
        for stage, seconds in part.took.items():
            self.spent(stage, seconds)
        self.only_news |= part.only_news
        self.blast = part.blast if self.blast is None else self.blast
        self.customers, self.purchases = self.customers + part.customers, self.purchases + part.purchases
        self.imports = self.imports or part.imports

    def as_plain(self) -> dict[str, Any]:
        """What was counted as plain data, to be read back by `from_plain`."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in _NUMBERS}
        plain |= {
            name: [[*key, count] for key, count in found.items()]
            for name, found in zip(_COUNTERS, self._counters(), strict=True)
        }
        return plain | {"only_news": sorted(map(list, self.only_news)), "took": self.took}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> RunReport:
        """What `as_plain` gave."""
        counted: dict[str, Any] = {
            name: Counter({tuple(key): count for *key, count in plain[name]}) for name in _COUNTERS
        }
        numbers = {name: plain[name] for name in _NUMBERS}
        only_news = {(book, step) for book, step in plain["only_news"]}
        return cls(**numbers, **counted, only_news=only_news, took=plain["took"])

    def _counters(self) -> list[Counter[Any]]:
        return [getattr(self, name) for name in _COUNTERS]

    def render_failed(self, failures: Iterable[tuple[str, str, str]]) -> None:
        """Count messages that could not be made, given as playbook, step and reason, among the blocked."""
        for playbook, step, reason in failures:
            self.failed += 1
            self.verdicts[playbook, step, ACCEPTED] -= 1
            self.verdicts[playbook, step, reason] += 1

    def count_facts(self, connection: Connection, last: dict[str, Any] | None) -> None:
        """Count what the database holds: what the last run counted, and what imports have added since.

        A whole history is counted only where that is not known: a day's run may cost less.
        """
        self.imports = _imports(connection)
        if last is not None and self.imports is not None and last.get("imports") == self.imports:
            self.customers, self.purchases = last["customers"], last["purchases"]
            return
        self.customers = connection.execute(sa.select(sa.func.count()).select_from(customers)).scalar_one()
        added = None if last is None else _purchases_since(connection, last, self.imports)
        if last is None or added is None:
            count = sa.select(sa.func.count()).select_from(purchases)
            self.purchases = connection.execute(count).scalar_one()
        else:
            self.purchases = last["purchases"] + added

    def compare(self, counts: dict[str, Any] | None) -> None:
        """Take the counts of an earlier run to show the difference."""
        if counts is not None:
            rows = counts.get("verdicts", [])
            self.before = Counter(
                {(playbook, step, verdict): count for playbook, step, verdict, count in rows}
            )

    @property
    def due(self) -> int:
        """Reminders that are due and were still to be made."""
        return sum(self._open().values())

    @property
    def settled(self) -> int:
        """Reminders that are due and were made by an earlier run."""
        still_open = self._open()
        return sum(max(count - still_open[step], 0) for step, count in self.seen.items())

    def _open(self) -> Counter[tuple[str, str]]:
        """Reminders still to be made, by playbook and step: found, or open from before and due as ever."""
        still_open = Counter(self.found)
        for (playbook, step, verdict), count in self.verdicts.items():
            if (playbook, step) in self.only_news and verdict not in DUE_NO_MORE:
                still_open[playbook, step] += count
        return still_open

    @property
    def accepted(self) -> int:
        """Candidates that passed every guard."""
        return self._sum(ACCEPTED)

    @property
    def held_out(self) -> int:
        """Candidates held out to compare with."""
        return self._sum(HELD_OUT)

    @property
    def expired(self) -> int:
        """Candidates that came to nothing."""
        return self._sum(EXPIRED)

    @property
    def blocked(self) -> dict[str, int]:
        """Blocked candidates by reason, the most frequent first."""
        reasons: Counter[str] = Counter()
        for (_, _, verdict), count in sorted(self.verdicts.items()):
            if verdict not in {ACCEPTED, HELD_OUT, EXPIRED}:
                reasons[verdict] += count
        return dict(reasons.most_common())

    def _sum(self, wanted: str) -> int:
        return sum(count for (_, _, verdict), count in self.verdicts.items() if verdict == wanted)

    def counts(self) -> dict[str, Any]:
        """Everything as plain data, for JSON and for the run's row."""
        return {
            "customers": self.customers,
            "purchases": self.purchases,
            "due": self.due,
            "settled_before": self.settled,
            "accepted": self.accepted,
            "blocked": self.blocked,
            "held_out": self.held_out,
            "expired": self.expired,
            "queued": self.queued,
            "failed": self.failed,
            "blast": self.blast,
            "verdicts": [[*key, count] for key, count in sorted(self.verdicts.items())],
            "lost": [dict(zip(LOST, (*key, count), strict=True)) for key, count in sorted(self.lost.items())],
        }

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Seconds of work by stage, to the millisecond, in their order."""
        return {stage: round(seconds, 3) for stage, seconds in self.took.items()}


def _imports(connection: Connection) -> str | None:
    """A name for the imports up to now, those under way among them; None where there was none."""
    latest, unfinished = (
        sa.func.max(imports.c.import_id),
        sa.func.count() - sa.func.count(imports.c.finished_at),
    )
    number, under_way = connection.execute(sa.select(latest, unfinished)).one()
    return None if number is None else f"{number}/{under_way}"


def _purchases_since(connection: Connection, last: dict[str, Any], present: str | None) -> int | None:
    """How many purchase lines imports have added since the last run; None where an import was, or is, under
    way, whose count is not known."""
    before = last.get("imports", "?") or "0/0"
    if present is None or not (before.endswith("/0") and present.endswith("/0")):
        return None
    c = imports.c
    since = sa.select(c.counts).where(c.import_id > int(before.partition("/")[0]), c.kind == "purchases")
    found = connection.scalars(since).all()
    return (
        sum(counts["new"] for counts in found) if all("new" in (counts or {}) for counts in found) else None
    )


def verdict_of(reason: str | None) -> str:
    """The verdict a reason leads to."""
    if reason is None:
        return ACCEPTED
    if reason == str(Reason.HOLDOUT):
        return HELD_OUT
    return EXPIRED if reason == str(Reason.EXPIRED) else reason
