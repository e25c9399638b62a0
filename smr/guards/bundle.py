"""Several due products in one message: one candidate leads, the others are named beside it.

Of the candidates of one playbook, step and customer that passed so far, the first by the playbook's rule
leads; those after it, up to `at_most` products, are `bundled`, and their rows name the leader. Free places
are filled with what is due within the next days. What becomes of the leader in the rest of the run becomes of
them, too. A message that comes to nothing sets them free again: the next run judges them anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr.conditions import NOW, Who
from smr.conditions.purchases import products_in_role
from smr.database import insert_missing, insert_or_update
from smr.events import CandidateState, MessageState, Reason
from smr.guards import chain
from smr.guards.chain import verdict
from smr.guards.frequency_cap import HIGH, KEY, LOW, RUN, is_passing, under_way
from smr.guards.handing_over import goes_to_a_person
from smr.guards.timeliness import reach
from smr.guards.verdict import Bench
from smr.playbook.model import Bundle, Library, Playbook, Step, bundles
from smr.settings import Settings
from smr.tables import (
    BUNDLED_CANDIDATES,
    OPEN_CANDIDATES,
    WINNER,
    candidates,
    messages,
    named,
    products,
    undecided_customers,
)

CAME_TO_NOTHING = (
    MessageState.CANCELLED,
    MessageState.EXPIRED,
    MessageState.FAILED,
    MessageState.UNDELIVERED,
)
"""States of a message in which whatever it named is free again."""


Early = Callable[[sa.FromClause], Iterable[tuple[sa.Select[Any], Mapping[str, Any]]]]
"""Gives what is due soon for the customers of a subquery: SELECTs of candidates, each with what is bound."""


@dataclass(frozen=True)
class Bundling:
    """The statements by which one step makes one message of several products."""

    playbook: str
    step: str
    gather: Any
    join: tuple[tuple[Any, Mapping[str, Any]], ...]
    fate: Any

    @classmethod
    def of(cls, dialect: str, bench: Bench, bundle: Bundle, early: Early) -> Bundling:
        """Build them; `early` is asked for what is due within the bundle's days."""
        leading = leads(bench, bundle)
        join = tuple((join_early(dialect, bench, leading, soon), bound) for soon, bound in early(leading))
        return cls(bench.playbook.name, bench.step.name, gather(bench, bundle), join, share_fate(bench))


def arrange(connection: Connection, wanted: Bundling, bound: Mapping[str, int]) -> int:
    """Make bundles of one step in a slice; returns how many were taken in that are not due yet."""
    connection.execute(wanted.gather, bound)
    return sum(connection.execute(join, {**bound, **more}).rowcount for join, more in wanted.join)


def queued(
    connection: Connection,
    playbooks: Sequence[Playbook],
    settings: Settings,
    *,
    now: int,
    run_id: int,
    low: int,
    high: int,
) -> None:
    """Note of what this run accepted, and of what is named beside it, that its message is in the outbox."""
    chain.queued(connection, playbooks, settings, now=now, run_id=run_id, low=low, high=high)
    if any(playbook.bundle for playbook in playbooks):
        for statement in _WITH_LEAD:
            connection.execute(statement, {"now": now, "run": run_id, "low": low, "high": high})


def bundlings(library: Library) -> Iterator[tuple[Playbook, Step, Bundle]]:
    """The steps of live playbooks whose texts name several products."""
    for playbook in library.playbooks:
        for step in playbook.steps:
            if playbook.status == "live" and playbook.bundle is not None and bundles(library, playbook, step):
                yield playbook, step, playbook.bundle


def gather(bench: Bench, bundle: Bundle) -> Any:
    """Let one of each customer's candidates of a step lead, and the others follow."""
    row = named(candidates, "row")
    whole = [row.c.bucket, row.c.customer_id]
    placed = (
        sa.select(
            *(row.c[name] for name in KEY),
            sa.func.row_number().over(partition_by=whole, order_by=_order(row, bench, bundle)).label("place"),
        )
        .where(is_passing(row), *_bundled_by(row, bench))
        .subquery("placed")
    )
    message = (placed.c.place - 1) // bundle.at_most
    of_message = [placed.c.bucket, placed.c.customer_id, message]
    led = sa.select(
        *(placed.c[name] for name in KEY),
        sa.func.first_value(placed.c.anchor)
        .over(partition_by=of_message, order_by=placed.c.place)
        .label("lead"),
    ).subquery("led")
    same = sa.and_(*(candidates.c[name] == led.c[name] for name in KEY))
    values = dict(zip(WINNER, (led.c.playbook, led.c.step, led.c.lead), strict=True))
    return (
        sa.update(candidates)
        .values({"reason": str(Reason.BUNDLED), **values})
        .where(same, led.c.lead != led.c.anchor)
    )


def leads(bench: Bench, bundle: Bundle) -> sa.FromClause:
    """The leaders of this run with places left, how many (`free`): of a step, in the slice."""
    row, other = named(candidates, "leading"), named(candidates, "led_by")
    followers = (
        sa.select(sa.func.count())
        .select_from(other)
        .where(_follows(other, row), other.c.run_id == RUN)
        .scalar_subquery()
    )
    free = bundle.at_most - 1 - followers
    counted = (
        sa.select(row.c.bucket, row.c.customer_id, row.c.anchor, free.label("free"))
        .where(is_passing(row), *_bundled_by(row, bench))
        .subquery("counted")
    )
    # Of several messages only the last one has room.
    return sa.select(*counted.c).where(counted.c.free > 0).subquery("leads")


def join_early(dialect: str, bench: Bench, leading: sa.FromClause, early: sa.Select[Any]) -> Any:
    """Take what is due soon into messages with places left, where no guard objects."""
    soon = early.subquery("soon")
    judged_as = verdict(soon, bench)
    names = [column.name for column in soon.columns if column.name not in judged_as]
    settled = named(candidates, "settled")
    same_key = sa.and_(*(settled.c[name] == soon.c[name] for name in KEY))
    still_open = settled.c.queued_at.is_(None) & settled.c.state.in_(["due", "blocked", "accepted"])
    done = sa.select(sa.literal(1)).select_from(settled).where(same_key, sa.not_(still_open)).exists()
    judged = (
        sa.select(
            *(soon.c[name] for name in names),
            *(
                sa.cast(value, candidates.c[name].type).label(name)
                for name, value in judged_as.items()
                if name not in ("reason", *WINNER)
            ),
            judged_as["reason"].label("objection"),
        )
        .where(sa.not_(done))
        .subquery("judged")
    )
    place = sa.func.row_number().over(
        partition_by=[judged.c.bucket, judged.c.customer_id], order_by=[judged.c.due_at, judged.c.anchor]
    )
    placed = (
        sa.select(
            *(column for column in judged.c if column.name != "objection"),
            place.label("place"),
            leading.c.anchor.label("lead"),
            leading.c.free.label("free"),
        )
        .select_from(judged.join(leading, Who.of(judged).owns(leading)))
        .where(judged.c.objection.is_(None), *_not_for_a_person(judged, bench))
        .subquery("placed_early")
    )
    known = [column.name for column in judged.c if column.name != "objection"]
    told = {
        "reason": sa.literal(str(Reason.BUNDLED), sa.Text),
        **dict(zip(WINNER, (placed.c.playbook, placed.c.step, placed.c.lead), strict=True)),
    }
    columns = [*known, *told]
    select = sa.select(*(placed.c[name] for name in known), *told.values())
    return insert_or_update(
        dialect,
        candidates,
        columns=columns,
        select=select.where(placed.c.place <= placed.c.free),
        update=[name for name in columns if name not in KEY],
        where=lambda _new: (
            candidates.c.queued_at.is_(None) & candidates.c.state.in_(["due", "blocked", "accepted"])
        ),
    ).execution_options(preserve_rowcount=True)


def share_fate(bench: Bench) -> Any:
    """Those beside a leader that is not sent are not sent for its reason; what is early was not due."""
    lead = named(candidates, "lead")
    early = candidates.c.due_at > reach(bench)
    held_out = lead.c.reason == str(Reason.HOLDOUT)
    reason = sa.case((early, str(Reason.NOT_DUE)), else_=lead.c.reason)
    # Whom a leader's holdout keeps from being written to counts once for the caps: by the leader.
    winner = {
        name: sa.case((early, sa.null()), (held_out, candidates.c[name]), else_=lead.c[name])
        for name in WINNER
    }
    return (
        sa.update(candidates)
        .values({"reason": reason, **winner})
        .where(
            OPEN_CANDIDATES,
            candidates.c.bucket.between(LOW, HIGH),
            candidates.c.playbook == bench.playbook.name,
            candidates.c.step == bench.step.name,
            candidates.c.run_id == RUN,
            BUNDLED_CANDIDATES,
            _follows(candidates, lead),
            lead.c.run_id == RUN,
            lead.c.reason.is_not(None),
        )
    )


def _settled_with_lead() -> tuple[Any, ...]:
    """What is named in a message that is in the outbox is settled; where it could not be made, it is not."""
    lead = named(candidates, "lead")
    mine = (
        OPEN_CANDIDATES,
        candidates.c.bucket.between(LOW, HIGH),
        candidates.c.run_id == RUN,
        BUNDLED_CANDIDATES,
    )
    theirs = (_follows(candidates, lead), lead.c.run_id == RUN)
    queued = sa.update(candidates).values(queued_at=NOW).where(*mine, *theirs)
    failed = sa.update(candidates).values(reason=lead.c.reason).where(*mine, *theirs)
    return queued.where(lead.c.queued_at.is_not(None)), failed.where(lead.c.reason.is_not(None))


def set_free(connection: Connection, *, now: int, low: int, high: int) -> None:
    """Open again what was named in messages that came to nothing, in buckets low..high.

    A message that was taken back since something named beside had been bought gives way to a new one.
    """
    bound = {"now": now, "low": low, "high": high}
    if connection.execute(_ANY, bound).first() is None:
        return
    connection.execute(_who_is_undecided(connection.dialect.name), bound)
    lost = [dict(row) for row in connection.execute(_LOST_LEADS, bound).mappings()]
    connection.execute(_FREE, bound)
    if lost:
        connection.execute(_LEADS_AGAIN, lost)
        connection.execute(_TAKEN_BACK, lost)


def _order(row: Any, bench: Bench, bundle: Bundle) -> list[ColumnElement[Any]]:
    """Who leads: a round that is under way, then the preferred roles, then the dearest or the earliest."""
    order: list[Any] = [sa.case((under_way(row), 0), else_=1)]
    order += [
        sa.case((row.c.product_id.in_(products_in_role([role])), 0), else_=1) for role in bundle.prefer or ()
    ]
    if bundle.lead == "dearest":
        product = named(products, "dear")
        price = (
            sa.select(product.c.price)
            .where(product.c.product_id == sa.func.coalesce(row.c.offer_id, row.c.product_id))
            .correlate_except(product)
            .scalar_subquery()
        )
        order.append(sa.func.coalesce(price, 0).desc())
    return [*order, row.c.due_at, row.c.anchor]


def _bundled_by(row: Any, bench: Bench) -> list[ColumnElement[bool]]:
    mine = [row.c.playbook == bench.playbook.name, row.c.step == bench.step.name]
    return [*mine, *_not_for_a_person(row, bench)]


def _not_for_a_person(row: Any, bench: Bench) -> list[ColumnElement[bool]]:
    """What a person is to write about is not named by the robot."""
    handed = goes_to_a_person(row, bench.playbook, bench.settings)
    return [] if handed is None else [sa.not_(handed)]


def _follows(row: Any, lead: Any) -> ColumnElement[bool]:
    return sa.and_(
        Who.of(row).owns(lead), *(row.c[name] == lead.c[name.removeprefix("winner_")] for name in WINNER)
    )


def _lost_message(row: Any) -> Any:
    """The message that names a bundled candidate, where it came to nothing."""
    made = named(messages, "naming")
    states = [str(state) for state in CAME_TO_NOTHING]
    return made, sa.and_(_follows(row, made), made.c.state.in_(states))


def _mine() -> tuple[Any, ...]:
    """Candidates that were named in a message and are still useful, in the slice."""
    in_time = sa.type_coerce(candidates.c.expires_at, sa.BigInteger) > NOW
    in_outbox = candidates.c.queued_at.is_not(None)
    return BUNDLED_CANDIDATES, candidates.c.bucket.between(LOW, HIGH), in_time, in_outbox


def _any() -> sa.Select[Any]:
    made, lost = _lost_message(candidates)
    return sa.select(sa.literal(1)).select_from(candidates.join(made, lost)).where(*_mine()).limit(1)


def _who_is_undecided(dialect: str) -> Any:
    made, lost = _lost_message(candidates)
    select = (
        sa.select(candidates.c.bucket, candidates.c.customer_id)
        .select_from(candidates.join(made, lost))
        .where(*_mine())
        .distinct()
    )
    return insert_missing(dialect, undecided_customers, columns=("bucket", "customer_id"), select=select)


def _free() -> Any:
    made, lost = _lost_message(candidates)
    message = sa.select(sa.literal(1)).select_from(made).where(lost).exists()
    return sa.update(candidates).values(**_open_again()).where(*_mine(), message)


def _lost_leads() -> sa.Select[Any]:
    """The keys of leaders whose message was taken back unsent since what it named beside had changed."""
    made, lost = _lost_message(candidates)
    changed = (made.c.reason == str(Reason.BUNDLE_CHANGED), made.c.attempts == 0, made.c.expires_at > NOW)
    key = (made.c[name].label(f"key_{name}") for name in KEY)
    return sa.select(*key).select_from(candidates.join(made, lost)).where(*_mine(), *changed).distinct()


def _of_key(table: sa.Table) -> tuple[ColumnElement[bool], ...]:
    return tuple(table.c[name] == sa.bindparam(f"key_{name}") for name in KEY)


def _open_again() -> dict[str, Any]:
    nothing = dict.fromkeys(("queued_at", "reason", "detail", *WINNER))
    return {**nothing, "state": str(CandidateState.DUE)}


_ANY = _any()
_FREE = _free()
_LOST_LEADS = _lost_leads()
_LEADS_AGAIN = sa.update(candidates).values(**_open_again()).where(*_of_key(candidates))
_TAKEN_BACK = sa.delete(messages).where(*_of_key(messages))
_WITH_LEAD = _settled_with_lead()
