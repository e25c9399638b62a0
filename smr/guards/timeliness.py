"""Too late, too early, or not due any more."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement

from smr.conditions import NOW
from smr.guards.verdict import Bench

RUN = sa.bindparam("run", type_=sa.BigInteger)


def paused(_candidate: Any, bench: Bench) -> ColumnElement[bool] | None:
    """The playbook is a draft or paused."""
    return None if bench.playbook.status == "live" else sa.true()


def expired(candidate: Any, _bench: Bench) -> ColumnElement[bool]:
    """It would come too late to be useful."""
    return candidate.c.expires_at <= NOW  # type: ignore[no-any-return]


def not_due(candidate: Any, _bench: Bench) -> ColumnElement[bool]:
    """This run did not find it due again: its day moved, or what anchored it is gone."""
    return candidate.c.run_id != RUN  # type: ignore[no-any-return]


def before_publication(candidate: Any, bench: Bench) -> ColumnElement[bool] | None:
    """It was due before the playbook went live, earlier than its backfill allows."""
    if bench.playbook.backfill is None or bench.live_since is None:
        return None
    return candidate.c.due_at < bench.live_since - bench.playbook.backfill  # type: ignore[no-any-return]
