"""How the contact policy acted in a period: what each rule held back and what became of it, how often
customers were written to, and which playbook won a place over which.

In: a connection, a period. Out: a `PolicyReport`. Candidates carry when they were first held back by a rule
of the policy, and by which rules so far (`held_at`, `held_by`); the report follows those of the period.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr.conditions import NOW, Who
from smr.events import POLICY, CandidateState, MessageState, Reason
from smr.settings import Settings
from smr.tables import candidates, customers, messages

OUTCOMES = ("sent", "waiting", "expired", "stopped")
"""What becomes of what a rule held back: it went out later, may still, came too late, or another reason
stopped it."""
PERSONAL = "*"
"""All channels on which each customer gets an own message, together."""
MANY = 10
"""From so many contacts on, customers are counted together."""


@dataclass
class RuleActed:
    """What a rule did: candidates that it held back, by what became of them, and by playbook."""

    held: int = 0
    became: Counter[str] = field(default_factory=Counter)
    playbooks: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class PolicyReport:
    """How the policy acted from `begin` to `end` (not included).

    `contacts`: by channel, how many customers have had 0, 1, 2, … messages; MANY stands for that and more.
    `lost`: how often a loser made way for a winner in its first run.
    """

    begin: datetime
    end: datetime
    customers: int
    rules: Mapping[Reason, RuleActed]
    contacts: Mapping[str, Mapping[int, int]]
    messages: Mapping[str, int]
    lost: Mapping[tuple[str, str], int]


def policy_report(
    connection: Connection, settings: Settings, *, begin: datetime, end: datetime, now: datetime
) -> PolicyReport:
    """How the policy acted in a period, with what became of it by now."""
    known = connection.execute(sa.select(sa.func.count()).select_from(customers)).scalar_one()
    contacts, sent = _contacts(connection, settings, begin, end, int(known))
    rules = _rules(connection, begin, end, now)
    lost = _lost(connection, begin, end)
    return PolicyReport(begin, end, int(known), rules, contacts, sent, lost)


def _rules(connection: Connection, begin: datetime, end: datetime, now: datetime) -> dict[Reason, RuleActed]:
    c = candidates.c
    same = sa.and_(
        Who.of(candidates).owns(messages),
        *(messages.c[name] == c[name] for name in ("playbook", "step", "anchor")),
    )
    became = _became().label("became")
    asked = (
        sa.select(c.held_by, c.playbook, became, sa.func.count())
        .select_from(candidates.outerjoin(messages, same))
        .where(c.held_at >= begin, c.held_at < end)
        .group_by(c.held_by, c.playbook, became)
    )
    found: dict[Reason, RuleActed] = {reason: RuleActed() for reason in POLICY}
    for held_by, playbook, outcome, count in connection.execute(asked, {"now": int(now.timestamp())}):
        for name in held_by.split():
            acted = found[Reason(name)]
            acted.held += count
            acted.became[outcome] += count
            acted.playbooks[playbook] += count
    return {reason: acted for reason, acted in found.items() if acted.held}


def _became() -> sa.ColumnElement[str]:
    """What became of a candidate by now."""
    m, c, state = messages.c, candidates.c, MessageState
    gone = [str(one) for one in (state.SENDING, state.WITH_STAFF, state.SENT, state.DELIVERED, state.UNKNOWN)]
    waiting = [str(state.QUEUED), str(state.CLAIMED)]
    open_ones = c.state.in_([str(CandidateState.BLOCKED), str(CandidateState.ACCEPTED)])
    held = sa.and_(open_ones, c.reason.in_([str(reason) for reason in POLICY]))
    return sa.case(
        (m.state.in_(gone), "sent"),
        (sa.and_(m.state.in_(waiting), m.expires_at > NOW), "waiting"),
        (m.state.in_([*waiting, str(state.EXPIRED)]), "expired"),
        (m.state.is_not(None), "stopped"),
        (sa.or_(c.state == str(CandidateState.EXPIRED), c.expires_at <= NOW), "expired"),
        (held, "waiting"),
        else_="stopped",
    )


def _lost(connection: Connection, begin: datetime, end: datetime) -> dict[tuple[str, str], int]:
    """By loser and winner: how often a candidate first made way for the message that the same run queued."""
    c, m = candidates.c, messages.c
    winner = (
        sa.select(m.playbook)
        .where(Who.of(candidates).owns(messages), m.queued_at == c.held_at)
        .order_by(m.priority.desc(), m.due_at, m.playbook)
        .limit(1)
        .correlate(candidates)
        .scalar_subquery()
    )
    pairs = (
        sa.select(c.playbook.label("loser"), winner.label("winner"))
        .where(c.held_at >= begin, c.held_at < end, c.held_by.startswith(str(Reason.SUPERSEDED)))
        .subquery("pairs")
    )
    asked = sa.select(pairs.c.loser, pairs.c.winner, sa.func.count()).where(pairs.c.winner.is_not(None))
    rows = connection.execute(asked.group_by(pairs.c.loser, pairs.c.winner))
    return {(loser, winner): count for loser, winner, count in rows}


def _contacts(
    connection: Connection, settings: Settings, begin: datetime, end: datetime, known: int
) -> tuple[dict[str, dict[int, int]], dict[str, int]]:
    """By channel, and over all personal ones: customers by how many messages they had; and the messages."""
    m = messages.c
    sent = sa.and_(m.sent_at >= begin, m.sent_at < end)
    many = [name for name in settings.channel_names if not settings.is_personal(name)]
    owner = (m.bucket, m.customer_id)
    by_channel = sa.select(*owner, m.channel, sa.func.count().label("contacts")).where(sent)
    whole = sa.select(*owner, sa.literal(PERSONAL).label("channel"), sa.func.count().label("contacts"))
    each = sa.union_all(
        by_channel.group_by(*owner, m.channel), whole.where(sent, m.channel.not_in(many)).group_by(*owner)
    ).subquery("each_one")
    asked = sa.select(each.c.channel, each.c.contacts, sa.func.count()).group_by(
        each.c.channel, each.c.contacts
    )
    found: dict[str, Counter[int]] = defaultdict(Counter)
    total: Counter[str] = Counter()
    for channel, contacts, people in connection.execute(asked):
        found[channel][min(contacts, MANY)] += people
        total[channel] += contacts * people
    told: dict[str, dict[int, int]] = {}
    for channel, counted in sorted(found.items()):
        counted[0] = known - sum(counted.values())
        told[channel] = dict(sorted(counted.items()))
    return told, dict(total)


def as_json(report: PolicyReport) -> dict[str, Any]:
    """The report as plain values."""
    return {
        "from": report.begin,
        "to": report.end,
        "customers": report.customers,
        "rules": {
            str(reason): {
                "held": acted.held,
                **{outcome: acted.became[outcome] for outcome in OUTCOMES},
                "playbooks": dict(acted.playbooks.most_common()),
            }
            for reason, acted in report.rules.items()
        },
        "contacts": {
            "personal" if channel == PERSONAL else channel: {
                "messages": report.messages[channel],
                "customers": {str(number): people for number, people in counted.items()},
            }
            for channel, counted in report.contacts.items()
        },
        "superseded": [
            {"loser": loser, "winner": winner, "candidates": count}
            for (loser, winner), count in sorted(report.lost.items(), key=lambda one: -one[1])
        ],
    }
