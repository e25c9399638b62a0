"""Anything may happen in any order: workers claim, begin, settle, sleep and die; operators meddle.

A plain model of the states is kept beside the outbox. After each step both must agree, and what was accepted
by the channel must never be queued again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from smr import outbox
from smr.database import Database, open_database
from smr.events import MessageState as S
from smr.events import Reason
from smr.guards import Verdict
from smr.outbox import Claimed, Settlement
from smr.tables import deliveries, messages, metadata
from tests.examples import many
from tests.outbox.rows import NOON, begin, claim, end_leases, message_id, queue, row

PEOPLE = ("ana", "ben", "cleo", "小林", "dan")
someone = st.sampled_from(PEOPLE)
some = st.sets(someone, min_size=1)
RESULTS = (S.SENT, S.FAILED, S.UNKNOWN, S.QUEUED)


class Outbox(RuleBasedStateMachine):
    """One outbox, some workers' hands, and what each message should be."""

    database: Database

    @initialize()
    def begin_empty(self) -> None:
        with self.database.write() as connection:
            connection.execute(sa.delete(deliveries))
            connection.execute(sa.delete(messages))
        self.now: datetime = NOON
        self.state: dict[str, S] = {}
        self.tries: dict[str, int] = {}
        self.due: dict[str, datetime] = {}
        self.hands: list[Claimed] = []
        self.held: dict[str, str] = {}

    @rule(people=some)
    def put(self, people: set[str]) -> None:
        new = people - self.state.keys()
        assert queue(
            self.database, *(row(one, expires_at=NOON + timedelta(days=3)) for one in people)
        ) == len(new)
        for one in new:
            self._goes(one, S.QUEUED)
            self.tries[one], self.due[one] = 0, NOON

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        waiting = {
            one for one, state in self.state.items() if state is S.QUEUED and self.due[one] <= self.now
        }
        waiting = waiting if self.now < NOON + timedelta(days=3) else set()
        claimed = claim(self.database, limit=limit, now=self.now)
        assert len(claimed) == min(limit, len(waiting))
        for message in claimed:
            assert message.customer_id in waiting
            self._goes(message.customer_id, S.CLAIMED)
            self.held[message.customer_id] = message.token
        self.hands += claimed

    @rule(blocked=st.dictionaries(someone, st.sampled_from([Reason.BOUGHT_ALREADY, Reason.QUIET_HOURS])))
    def begin(self, blocked: dict[str, Reason]) -> None:
        later = self.now + timedelta(hours=5)
        verdicts = {
            message_id(one): Verdict(reason, later if reason is Reason.QUIET_HOURS else None)
            for one, reason in blocked.items()
        }
        mine = {message.customer_id for message in self.hands if self._holds(message, S.CLAIMED)}
        begun = begin(self.database, self.hands, verdicts, now=self.now)
        assert {m.customer_id for m in begun.sending} | {s.message.customer_id for s in begun.stopped} == mine
        for stop in begun.stopped:
            self._goes(stop.message.customer_id, stop.state)
            self.due[stop.message.customer_id] = stop.send_after or self.due[stop.message.customer_id]
        for message in begun.sending:
            assert message.customer_id not in blocked
            self._goes(message.customer_id, S.SENDING)
            self.held[message.customer_id] = message.token
            self.tries[message.customer_id] += 1
        self.hands = [m for m in self.hands if m.customer_id not in mine] + list(begun.sending)

    @rule(ends=st.dictionaries(someone, st.sampled_from(RESULTS), min_size=1))
    def settle(self, ends: dict[str, S]) -> None:
        given = [
            Settlement(message, ends[message.customer_id], send_after=self.now + timedelta(minutes=1))
            for message in self.hands
            if message.customer_id in ends
        ]
        mine = {one.message.customer_id for one in given if self._holds(one.message, S.SENDING)}
        with self.database.write() as connection:
            settled = outbox.settle(connection, given, now=self.now)
        assert {one.message.customer_id for one in settled} == mine
        for one in settled:
            self._goes(one.message.customer_id, one.state)
            if one.state is S.QUEUED:
                self.due[one.message.customer_id] = self.now + timedelta(minutes=1)

    @rule()
    def release(self) -> None:
        mine = {message.customer_id for message in self.hands if self._holds(message, S.CLAIMED)}
        with self.database.write() as connection:
            assert outbox.release(connection, self.hands) == len(mine)
        for one in mine:
            self._goes(one, S.QUEUED)

    @rule()
    def all_leases_run_out(self) -> None:
        end_leases(self.database)
        found = outbox.rescue(self.database, now=self.now)
        claimed = [one for one, state in self.state.items() if state is S.CLAIMED]
        sending = [one for one, state in self.state.items() if state is S.SENDING]
        assert (found.queued, found.unknown) == (len(claimed), len(sending))
        for one in claimed:
            self._goes(one, S.QUEUED)
        for one in sending:
            self._goes(one, S.UNKNOWN)

    @rule(arrived=st.dictionaries(someone, st.booleans()))
    def ask(self, arrived: dict[str, bool]) -> None:
        with self.database.read() as connection:
            unknown = outbox.unknown_messages(connection)
        assert {u.customer_id for u in unknown} == {
            one for one, state in self.state.items() if state is S.UNKNOWN
        }
        answers = {message_id(one): answer for one, answer in arrived.items()}
        outbox.settle_unknown(self.database, unknown, answers, now=self.now)
        for one in (u.customer_id for u in unknown if u.customer_id in arrived):
            self._goes(one, S.SENT if arrived[one] else S.QUEUED)

    @rule(hours=st.integers(1, 30))
    def time_goes_by(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        late = [
            one
            for one, state in self.state.items()
            if state is S.QUEUED and self.now >= NOON + timedelta(days=3)
        ]
        assert outbox.expire(self.database, now=self.now) == len(late)
        for one in late:
            self._goes(one, S.EXPIRED)

    @rule(one=someone)
    def an_operator_cancels(self, one: str) -> None:
        can = self.state.get(one) in (S.QUEUED, S.CLAIMED)
        where = messages.c.customer_id == one
        assert outbox.cancel(self.database, where, actor="operator 李", now=self.now) == int(can)
        if can:
            self._goes(one, S.CANCELLED)

    @rule(one=someone)
    def an_operator_retries(self, one: str) -> None:
        useful = self.now < NOON + timedelta(days=3)
        can = useful and self.state.get(one) in (S.FAILED, S.UNKNOWN, S.CANCELLED)
        where = messages.c.customer_id == one
        assert outbox.retry(self.database, where, actor="operator 李", now=self.now) == int(can)
        if can:
            self._goes(one, S.QUEUED)
            self.due[one] = self.now

    @invariant()
    def the_outbox_is_as_it_should_be(self) -> None:
        with self.database.read() as connection:
            found: Any = connection.execute(sa.select(messages)).all()
            tries = connection.execute(sa.select(deliveries.c.customer_id, deliveries.c.result)).all()
        assert {one.customer_id: one.state for one in found} == getattr(self, "state", {})
        for one in found:
            results = [result for customer, result in tries if customer == one.customer_id]
            assert one.attempts == len(results) == self.tries[one.customer_id]
            assert ("sending" in results) == (one.state == S.SENDING)
            assert (one.token is not None) == (one.state in (S.CLAIMED, S.SENDING))
            assert (one.sent_at is not None) == (one.state == S.SENT) == ("sent" in results)

    def _goes(self, one: str, state: S) -> None:
        assert self.state.get(one) is not S.SENT, "what went out is never touched again"
        self.state[one] = state

    def _holds(self, message: Claimed, state: S) -> bool:
        return self.state[message.customer_id] is state and self.held[message.customer_id] == message.token


def test_the_outbox_agrees_with_its_model_whatever_happens() -> None:
    with TemporaryDirectory() as folder:
        Outbox.database = open_database(f"sqlite:///{Path(folder)}/shop.db")
        with Outbox.database.write() as connection:
            metadata.create_all(connection)
        case = Outbox.TestCase
        case.settings = settings(
            max_examples=many(40),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        case().runTest()
        Outbox.database.close()
