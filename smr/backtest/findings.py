"""What came of a walk: reminders beside the purchases that followed, counted by playbook and step.

In: a walked `Past` and the library that was walked. Out: `Findings`, plain numbers.
A hit is a purchase of the playbook's goods after the reminder, up to the end of the Nth day after it. It may
have come without the reminder, too: it measures timing and relevance, not effect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from smr import channels, clock
from smr.backtest.past import Past
from smr.backtest.tables import closings, reminders
from smr.backtest.walk import Days
from smr.conditions import Who
from smr.conditions.purchases import kept, line_products, of_goods
from smr.errors import OperatorError
from smr.events import CandidateState
from smr.playbook.model import Library, Playbook, Purchased, RunsOut
from smr.report import verdict_of
from smr.settings import Settings
from smr.tables import candidates, named, purchases

POINTS = 40
"""How many points a curve has at most."""
NEAR = (3, 7)
"""Days within which a date counts as met."""


@dataclass(frozen=True)
class Point:
    """The surest reminders: how many of them, and which share was followed by a purchase.

    `least` is the least chance among them (where supplies tell one), else the least number of purchases
    behind.
    """

    volume: int
    precision: float
    least: float


@dataclass
class StepFindings:
    """One step of a playbook.

    `sent` would have gone out; `open` of these are so late that what came of them is not known yet. `hits`
    were followed by a purchase in time. `bought_before`: the line was bought again before the step's day
    came, so that there was nothing to remind of. `days` counts hits by whole days from reminder to purchase.
    `stopped` counts by reason what was due and not sent, as last judged.
    """

    playbook: str
    step: str
    sent: int = 0
    open: int = 0
    hits: int = 0
    bought_before: int = 0
    held_out: int = 0
    days: Counter[int] = field(default_factory=Counter)
    stopped: Counter[str] = field(default_factory=Counter)
    channels: Counter[str] = field(default_factory=Counter)

    @property
    def judged(self) -> int:
        """Reminders of which is known what came."""
        return self.sent - self.open

    @property
    def precision(self) -> float | None:
        """The share of reminders followed by a purchase; None where there is none to tell."""
        return self.hits / self.judged if self.judged else None

    @property
    def per_hit(self) -> float | None:
        """Reminders sent for one hit."""
        return self.judged / self.hits if self.hits else None

    def counts(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "playbook": self.playbook,
            "step": self.step,
            "would_have_sent": self.sent,
            "outcome_open": self.open,
            "hits": self.hits,
            "precision": _rounded(self.precision),
            "reminders_per_hit": _rounded(self.per_hit),
            "already_bought": self.bought_before,
            "held_out": self.held_out,
            "median_days_to_purchase": middle(self.days),
            "stopped": dict(self.stopped.most_common()),
            "channels": dict(self.channels.most_common()),
        }


@dataclass
class PlaybookFindings:
    """One playbook over all its steps.

    `repurchases` are purchases of a line that was bought before, in the walked days; `covered` of these
    followed a reminder in time. `errors` counts, over all of them, whole days between the predicted run-out
    and the purchase. `contacts` counts customers by how many messages they would have got; `taps` are
    messages that staff would have had to send by hand.
    """

    playbook: str
    steps: list[StepFindings] = field(default_factory=list)
    repurchases: int | None = None
    covered: int | None = None
    errors: Counter[int] = field(default_factory=Counter)
    contacts: Counter[int] = field(default_factory=Counter)
    taps: int = 0
    curve: list[Point] = field(default_factory=list)

    @property
    def whole(self) -> StepFindings:
        """All steps together."""
        total = StepFindings(self.playbook, "")
        for step in self.steps:
            for name in ("sent", "open", "hits", "bought_before", "held_out"):
                setattr(total, name, getattr(total, name) + getattr(step, name))
            total.days += step.days
            total.stopped += step.stopped
            total.channels += step.channels
        return total

    @property
    def coverage(self) -> float | None:
        """The share of repurchases that followed a reminder in time."""
        return self.covered / self.repurchases if self.repurchases and self.covered is not None else None

    @property
    def customers(self) -> int:
        """Customers who would have got a message."""
        return sum(self.contacts.values())

    @property
    def per_customer(self) -> float | None:
        """Messages a customer would have got, of those who got any."""
        return self.whole.sent / self.customers if self.customers else None

    def counts(self) -> dict[str, Any]:
        """As plain data."""
        total = self.whole.counts()
        del total["step"], total["already_bought"]
        return {
            **total,
            "repurchases": self.repurchases,
            "covered": self.covered,
            "coverage": _rounded(self.coverage),
            "timing_error": timing(self.errors),
            "customers": self.customers,
            "contacts_per_customer": _rounded(self.per_customer),
            "most_contacts": max(self.contacts, default=0),
            "staff_taps": self.taps,
            "steps": [step.counts() for step in self.steps],
            "curve": [
                {"volume": one.volume, "precision": _rounded(one.precision), "least": _rounded(one.least)}
                for one in self.curve
            ],
        }


@dataclass
class Findings:
    """What came of one walk. `ranked_by` says what the curves rank by: `chance` or `purchases`.

    `blast_days` are days on which the run stopped because it would have written to too many.
    """

    library: str
    days: Days
    within: int
    playbooks: list[PlaybookFindings]
    contacts: Counter[int]
    ranked_by: str
    by_day: dict[str, Counter[str]]
    blast_days: list[str]

    def counts(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        people = sum(self.contacts.values())
        sent = sum(count * times for times, count in self.contacts.items())
        return {
            "playbooks_from": self.library,
            "from": self.days.first,
            "to": self.days.last,
            "at": f"{self.days.at:%H:%M}",
            "hit_within_days": self.within,
            "would_have_sent": sent,
            "customers": people,
            "contacts_per_customer": _rounded(sent / people) if people else None,
            "contacts": {str(times): count for times, count in sorted(self.contacts.items())},
            "curve_ranked_by": self.ranked_by,
            "stopped_by_blast_limit": self.blast_days,
            "playbooks": [one.counts() for one in self.playbooks],
        }


def middle(counted: Counter[int]) -> int | None:
    """The median of counted whole numbers; None of none."""
    half, seen = sum(counted.values()) / 2, 0
    for value, count in sorted(counted.items()):
        seen += count
        if seen >= half:
            return value
    return None


def timing(errors: Counter[int]) -> dict[str, Any] | None:
    """Mean, median, and the share within a few days, of errors in days (negative: bought early)."""
    count = sum(errors.values())
    if not count:
        return None
    sizes: Counter[int] = Counter()
    for days, times in errors.items():
        sizes[abs(days)] += times
    found: dict[str, Any] = {
        "cycles": count,
        "mean_days": round(sum(size * times for size, times in sizes.items()) / count, 2),
        "median_days": middle(sizes),
    }
    for near in NEAR:
        close = sum(times for size, times in sizes.items() if size <= near)
        found[f"within_{near}_days"] = round(close / count, 4)
    return found


def read_findings(
    past: Past,
    library: Library,
    settings: Settings,
    days: Days,
    *,
    within: int,
    known_until: int,
    blast_days: list[str],
) -> Findings:
    """Look at what followed, and count. Purchases are complete up to `known_until` (seconds)."""
    moments = days.moments(settings)
    span = {"from": clock.seconds(moments[0]), "to": clock.seconds(moments[-1])}
    with past.database.write() as connection:
        past.advance(connection, since=span["to"], until=past.horizon, number=0)
        for playbook in library.playbooks:
            connection.execute(_hits(playbook), {"now": past.horizon})
    with past.database.read() as connection:
        found = {
            playbook.name: _of_playbook(connection, playbook, span, known_until)
            for playbook in library.playbooks
        }
        _count_sent(connection, found, known_until)
        _count_stopped(connection, found)
        _count_taps(found, settings)
        ranked_by = "chance" if connection.execute(_HAS_CHANCE).first() else "purchases"
        _draw_curves(connection, found, ranked_by, known_until)
        return Findings(
            str(library.folder),
            days,
            within,
            list(found.values()),
            _counted(connection, _contacts(None)),
            ranked_by,
            _by_day(connection),
            blast_days,
        )


def _counted(connection: Connection, select: Any, bound: dict[str, Any] | None = None) -> Counter[int]:
    found: Counter[int] = Counter()
    for value, count in connection.execute(select, bound or {}):
        found[value] = count
    return found


def _hits(playbook: Playbook) -> sa.Update:
    """The first purchase of the playbook's goods after each reminder, up to the end of its time."""
    line = named(purchases, "bought")
    found = (
        sa.select(sa.func.min(sa.type_coerce(line.c.purchased_at, sa.BigInteger)))
        .where(
            Who.of(reminders).owns(line),
            line.c.purchased_at > reminders.c.sent_at,
            line.c.purchased_at <= reminders.c.until_at,
            kept(line),
            *_goal(playbook, line),
        )
        .correlate(reminders)
        .scalar_subquery()
    )
    return sa.update(reminders).where(reminders.c.playbook == playbook.name).values(hit_at=found)


def _goal(playbook: Playbook, line: Any) -> list[ColumnElement[bool]]:
    """Which purchases are the playbook's success: its goal's goods, else what it reminds of, else any."""
    if playbook.goal is not None:
        return of_goods(line.c.product_id, playbook.goal.purchase)
    if isinstance(playbook.trigger, RunsOut):
        return [line_products(reminders.c.kind, reminders.c.line, line.c.product_id)]
    if isinstance(playbook.trigger, Purchased):
        return of_goods(line.c.product_id, playbook.trigger.purchase)
    return []


def _of_playbook(
    connection: Connection, playbook: Playbook, span: dict[str, int], known_until: int
) -> PlaybookFindings:
    found = PlaybookFindings(playbook.name)
    found.steps = [StepFindings(playbook.name, step.name) for step in playbook.steps]
    found.contacts = _counted(connection, _contacts(playbook.name))
    if isinstance(playbook.trigger, RunsOut):
        lines = _lines_of(playbook.trigger)
        bound = {**span, "playbook": playbook.name}
        found.repurchases = connection.execute(_repurchases(lines), bound).scalar_one()
        found.covered = connection.execute(_covered(lines), bound).scalar_one()
        found.errors = _counted(connection, _errors(lines), bound)
        for step, about in zip(playbook.steps, found.steps, strict=True):
            if step.send.base == "due":
                early = {**bound, "step": step.name, "offset": step.send.offset}
                about.bought_before = connection.execute(_bought_before(lines), early).scalar_one()
    return found


def _lines_of(trigger: RunsOut) -> list[ColumnElement[bool]]:
    """The closings that are of the trigger's lines."""
    goods = trigger.runs_out
    named_lines = [
        sa.and_(closings.c.kind == kind, closings.c.line.in_(lines))
        for kind, lines in (("category", goods.category), ("product", goods.product))
        if lines is not None
    ]
    return [sa.or_(*named_lines)] if named_lines else []


_IN_SPAN = sa.and_(
    closings.c.closed_at > sa.bindparam("from", type_=sa.BigInteger),
    closings.c.closed_at <= sa.bindparam("to", type_=sa.BigInteger),
)


def _repurchases(lines: list[ColumnElement[bool]]) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(closings).where(_IN_SPAN, *lines)


def _reminded(*where: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a message of the playbook went out for the supply that closed, before it closed."""
    return (
        sa.select(sa.literal(1))
        .select_from(reminders)
        .where(
            Who.of(closings).owns(reminders),
            reminders.c.playbook == sa.bindparam("playbook", type_=sa.Text),
            reminders.c.kind == closings.c.kind,
            reminders.c.line == closings.c.line,
            reminders.c.order_id == closings.c.order_id,
            reminders.c.sent_at < closings.c.closed_at,
            *where,
        )
        .correlate(closings)
        .exists()
    )


def _covered(lines: list[ColumnElement[bool]]) -> sa.Select[Any]:
    return _repurchases(lines).where(_reminded(reminders.c.until_at >= closings.c.closed_at))


def _errors(lines: list[ColumnElement[bool]]) -> Any:
    late = sa.type_coerce(closings.c.closed_at, sa.BigInteger) - sa.type_coerce(
        closings.c.runs_out_at, sa.BigInteger
    )
    days = sa.cast(sa.func.round(late / float(clock.DAY)), sa.Integer)
    return sa.select(days, sa.func.count()).where(_IN_SPAN, *lines).group_by(days)


def _bought_before(lines: list[ColumnElement[bool]]) -> sa.Select[Any]:
    due_at = sa.type_coerce(closings.c.runs_out_at, sa.BigInteger) + sa.bindparam(
        "offset", type_=sa.BigInteger
    )
    of_step = reminders.c.step == sa.bindparam("step", type_=sa.Text)
    return _repurchases(lines).where(due_at > closings.c.closed_at, sa.not_(_reminded(of_step)))


def _contacts(playbook: str | None) -> Any:
    """Customers by the number of messages they would have got."""
    owner = (reminders.c.bucket, reminders.c.customer_id)
    each = sa.select(*owner, sa.func.count().label("times")).group_by(*owner)
    if playbook is not None:
        each = each.where(reminders.c.playbook == playbook)
    counted = each.subquery("counted")
    return sa.select(counted.c.times, sa.func.count()).group_by(counted.c.times)


def _count_sent(connection: Connection, found: dict[str, PlaybookFindings], known_until: int) -> None:
    is_open = sa.case((reminders.c.until_at > known_until, 1), else_=0)
    waited = sa.type_coerce(reminders.c.hit_at, sa.BigInteger) - sa.type_coerce(
        reminders.c.sent_at, sa.BigInteger
    )
    days = sa.case((is_open == 0, waited / clock.DAY))
    columns = (
        reminders.c.playbook,
        reminders.c.step,
        reminders.c.channel,
        is_open,
        sa.cast(days, sa.Integer),
    )
    rows = connection.execute(sa.select(*columns, sa.func.count()).group_by(*columns))
    for playbook, step_name, channel, unknown, after, count in rows:
        step = next(one for one in found[playbook].steps if one.step == step_name)
        step.sent += count
        step.channels[channel] += count
        step.open += count if unknown else 0
        if after is not None:
            step.hits += count
            step.days[after] += count


def _count_stopped(connection: Connection, found: dict[str, PlaybookFindings]) -> None:
    """What was due and not sent, by the reason it was last given."""
    columns = (candidates.c.playbook, candidates.c.step, candidates.c.state, candidates.c.reason)
    not_sent = candidates.c.state != str(CandidateState.ACCEPTED)
    rows = connection.execute(sa.select(*columns, sa.func.count()).where(not_sent).group_by(*columns))
    for playbook, step_name, state, reason, count in rows:
        step = next(one for one in found[playbook].steps if one.step == step_name)
        if state == str(CandidateState.HELD_OUT):
            step.held_out += count
        else:
            step.stopped[verdict_of(reason)] += count


def _count_taps(found: dict[str, PlaybookFindings], settings: Settings) -> None:
    for playbook in found.values():
        for channel, count in playbook.whole.channels.items():
            if _staff_confirm(channel, settings):
                playbook.taps += count


def _staff_confirm(channel: str, settings: Settings) -> bool:
    try:
        return channels.open_channel(channel, settings).traits.staff_confirms
    except OperatorError:  # not set up on this machine; what it needs shows when messages are delivered
        return False


_HAS_CHANCE = sa.select(sa.literal(1)).select_from(reminders).where(reminders.c.chance.is_not(None)).limit(1)


def _draw_curves(
    connection: Connection, found: dict[str, PlaybookFindings], ranked_by: str, known_until: int
) -> None:
    rank = sa.func.round(reminders.c.chance, 3) if ranked_by == "chance" else reminders.c.rank
    hit = sa.func.count(reminders.c.hit_at)
    rows = connection.execute(
        sa.select(reminders.c.playbook, sa.func.coalesce(rank, 0.0), sa.func.count(), hit)
        .where(reminders.c.until_at <= known_until)
        .group_by(reminders.c.playbook, sa.func.coalesce(rank, 0.0))
        .order_by(reminders.c.playbook, sa.func.coalesce(rank, 0.0).desc())
    )
    steps: dict[str, list[tuple[float, int, int]]] = {}
    for playbook, least, count, hits in rows:
        steps.setdefault(playbook, []).append((least, count, hits))
    for playbook, ranked in steps.items():
        found[playbook].curve = list(_curve(ranked))


def _curve(ranked: list[tuple[float, int, int]]) -> Iterator[Point]:
    """Points of rising volume; the last one is everything."""
    total = sum(count for _, count, _ in ranked)
    volume = hits = 0
    shown = 0.0
    for number, (least, count, more) in enumerate(ranked, start=1):
        volume, hits = volume + count, hits + more
        if number == len(ranked) or volume - shown >= total / POINTS:
            shown = volume
            yield Point(volume, hits / volume, least)


def _by_day(connection: Connection) -> dict[str, Counter[str]]:
    """Messages by the day they would have gone out on, and playbook."""
    columns = (reminders.c.day, reminders.c.playbook)
    found: dict[str, Counter[str]] = {}
    for day, playbook, count in connection.execute(
        sa.select(*columns, sa.func.count()).group_by(*columns).order_by(*columns)
    ):
        found.setdefault(day, Counter())[playbook] = count
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
