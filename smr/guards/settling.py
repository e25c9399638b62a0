"""The end of judging: who is held out, what a person is to write, then reasons become states.

In: the candidates that a run judged. Out: the same, with their states; how many came to which reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr.events import CandidateState, Reason
from smr.guards.chain import open_of
from smr.guards.frequency_cap import RUN
from smr.guards.handing_over import case_of_each, goes_to_a_person, settled
from smr.guards.held import is_held, noted
from smr.guards.holdout import held_out
from smr.guards.kept import kept_for
from smr.playbook.model import Playbook
from smr.settings import Settings
from smr.tables import WINNER, candidates


class Judged(NamedTuple):
    """How many candidates of a step came to a reason (None: accepted), and to whom they gave way, if so."""

    playbook: str
    step: str
    reason: str | None
    winner_playbook: str | None
    winner_step: str | None
    number: int


@dataclass(frozen=True)
class Settling:
    """The statements that settle what was judged of some playbooks.

    `drawn` hold out and hand over; `cases` open a case for each round that is handed over.
    """

    drawn: tuple[Any, ...]
    cases: tuple[Any, ...]
    counted: Any
    ended: Any

    @classmethod
    def of(cls, dialect: str, playbooks: Sequence[Playbook], settings: Settings) -> Settling:
        """Those of these playbooks, from an earlier run where they are the same."""
        made: Settling = kept_for(
            (dialect, settings, *playbooks), lambda: cls._of(dialect, playbooks, settings)
        )
        return made

    @classmethod
    def _of(cls, dialect: str, playbooks: Sequence[Playbook], settings: Settings) -> Settling:
        names = [playbook.name for playbook in playbooks]
        columns = [candidates.c[name] for name in ("playbook", "step", "reason", *WINNER[:2])]
        undone = sa.and_(candidates.c.reason.is_not(None), candidates.c.state == str(CandidateState.ACCEPTED))
        ended = {"state": _state(), **noted(is_held(candidates), candidates.c.reason)}
        return cls(
            drawn=tuple(_drawn(playbooks, settings)),
            cases=tuple(case_of_each(dialect, one, settings) for one in playbooks if one.hand_over),
            counted=sa.select(*columns, sa.func.count()).where(open_of(names)).group_by(*columns),
            ended=sa.update(candidates).values(ended).where(open_of(names), undone),
        )


def settle(
    connection: Connection, settling: Settling, bound: Mapping[str, int], *, shared: Iterable[Any] = ()
) -> list[Judged]:
    """Hold out who is to be held out, hand over what a person is to write, then turn reasons into states.

    `bound` are `now`, `run` and the slice's `low` and `high`; `shared` are the statements by which candidates
    share the fate of others. Returns how many were judged.
    """
    for statement in (*settling.drawn, *shared, *settling.cases):
        connection.execute(statement, bound)
    counts = connection.execute(settling.counted, bound).all()
    if any(row.reason is not None for row in counts):
        connection.execute(settling.ended, bound)
    if any(row.reason == str(Reason.HANDED_OVER) for row in counts):
        connection.execute(settled(), bound)
    return [Judged._make(row) for row in counts]


def _drawn(playbooks: Iterable[Playbook], settings: Settings) -> Iterator[Any]:
    for playbook in playbooks:
        for reason, drawn in (
            (Reason.HOLDOUT, held_out(candidates, playbook, settings)),
            (Reason.HANDED_OVER, goes_to_a_person(candidates, playbook, settings)),
        ):
            if drawn is not None:
                passed = sa.and_(candidates.c.run_id == RUN, candidates.c.reason.is_(None), drawn)
                out = sa.update(candidates).values(reason=str(reason))
                yield out.where(open_of([playbook.name]), passed)


def _state() -> ColumnElement[Any]:
    return sa.case(
        (candidates.c.reason == str(Reason.HOLDOUT), str(CandidateState.HELD_OUT)),
        (candidates.c.reason == str(Reason.EXPIRED), str(CandidateState.EXPIRED)),
        else_=str(CandidateState.BLOCKED),
    )
