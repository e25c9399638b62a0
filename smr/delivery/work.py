"""The work on one channel during one round.

In: a channel, and the round. Out: a report. Messages go claimed → judged and recorded as being sent → called
→ recorded as ended. Calls run in threads, as many at once as the channel takes; everything else runs in the
one thread of a lane, and a channel has one or two of them (see `lanes`). One transaction records what has
come back and what is sent next, so that a slow disk is waited for once. What can go at once is claimed in
that transaction, too; only a channel that groups messages by what they say claims some before, to choose
from.
Traps: no transaction is open during a call. What came back must not be lost when the database is away for a
moment, so its record is tried again for as long as the lease lasts.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from smr import clock, guards, outbox
from smr.channels import Channel, Grouping, Outgoing
from smr.crash_points import reached
from smr.database.cache import widen_cache
from smr.database.turns import record_sending
from smr.delivery import gate
from smr.delivery.queue import Queue
from smr.delivery.report import DeliveryReport
from smr.delivery.round import Budget, Round
from smr.delivery.send import Answer, outgoing, send
from smr.errors import Refusal, StateError
from smr.events import MessageState
from smr.outbox import Claimed, Onward, Place, Settlement

LANES = 2
"""Where the database takes several writers at once: one's statements run while the other builds its own."""
AHEAD = 500
"""At least so many messages are claimed at once, where they can be sent soon."""
AHEAD_SECONDS = 10
LOOK_SECONDS = 0.5
"""How often the second lane looks whether there are other workers."""
NAP = 0.2
CLOSE_BEHIND = 0.05
"""At most so long what a call said waits for other calls."""
LONGEST_WAIT = 5
"""A channel that has leave only later than that is left for the next round."""
TRIES = 6
NOTED_EVERY = 10
Group = list[Claimed]
Done = TypeVar("Done")


@dataclass(frozen=True)
class Asked:
    """What one transaction is to begin: groups of messages that are held, or places to be claimed in it."""

    groups: Sequence[Group]
    places: Sequence[Place]
    token: str

    @property
    def count(self) -> int:
        """How many messages."""
        return len(self.places) + sum(map(len, self.groups))


def lanes(this: Round, channel: Channel, budget: Budget, moved: Callable[[], object]) -> list[ChannelWork]:
    """The work on a channel: one lane, or two that share its calls and its queue.

    Two only where neither waits for the other: not for SQLite's one writer, for the row with a channel's
    rate, or for the one call that a channel takes at once. The second ends where other workers are at it.
    """
    traits = channel.traits
    alone = isinstance(channel, Grouping) or traits.rate is not None or this.database.dialect == "sqlite"
    count = 1 if alone else min(LANES, traits.parallel)
    queue = Queue(this.database, channel.name, this.now)
    shares = [traits.parallel // count + (number < traits.parallel % count) for number in range(count)]
    return [
        ChannelWork(this, channel, budget, moved, queue, share, spare=number > 0)
        for number, share in enumerate(shares)
    ]


@dataclass
class ChannelWork:
    """What is in hand in one lane: `held` claims, `flying` calls, `parallel` of which there may be at once.

    `queue` has what is to be claimed next.
    """

    this: Round
    channel: Channel
    budget: Budget
    moved: Callable[[], object]
    queue: Queue
    parallel: int
    spare: bool
    report: DeliveryReport = field(default_factory=DeliveryReport)
    held: deque[Claimed] = field(default_factory=deque)
    flying: dict[Future[Answer], Group] = field(default_factory=dict)
    leased_at: float = field(default_factory=clock.monotonic)
    noted_at: float = -NOTED_EVERY
    looked_at: float = -LOOK_SECONDS
    recording: float = 0  # seconds that the last transaction took
    wait: float = 0
    exhausted: bool = False
    over: bool = False
    together: Callable[[Outgoing], Hashable] | None = None

    def __post_init__(self) -> None:
        self.together = self.channel.together if isinstance(self.channel, Grouping) else None

    def run(self) -> DeliveryReport:
        """Send until nothing is left, the limit or the time is reached, or the channel may not go on."""
        with ThreadPoolExecutor(self.parallel, "smr-send") as pool:
            try:
                while self._turn(pool):
                    pass
            finally:
                self._let_go()
        return self.report

    def _turn(self, pool: ThreadPoolExecutor) -> bool:
        """Record what came back, send what may go, wait for what flies; whether there is more to do."""
        landed = self._landed()
        slots = 0 if self._is_ending() else self.parallel - len(self.flying)
        if slots:
            self._look_ahead(slots * self.channel.traits.max_batch)
        if landed or (slots and self._has_more()):
            self._record(pool, landed, slots)
        if self.flying:
            back, _ = wait(self.flying, timeout=self._patience(), return_when=FIRST_COMPLETED)
            if back:  # those close behind come along: they share the transaction
                wait(self.flying, timeout=min(self.recording / 2, CLOSE_BEHIND))
        elif self._has_more() and not self._is_ending() and self.wait:
            clock.pause(min(self.wait, NAP))
        self._renew()
        return bool(self.flying) or not (self._is_ending() or (self.exhausted and not self._has_more()))

    def _has_more(self) -> bool:
        """Whether it is known of something to send."""
        return bool(self.held or (self.together is None and self.queue))

    def _is_ending(self) -> bool:
        """Whether nothing more may be begun."""
        if not self.over and self.this.stop():
            self.over = self.report.more = True
        if self.spare and not self.over:
            self.over = self._others_at_it()
        return self.over or self.budget.is_spent

    def _others_at_it(self) -> bool:
        """Whether other workers send on this channel, too; asked now and then. No, where nobody answers."""
        if clock.monotonic() - self.looked_at < LOOK_SECONDS:
            return False
        self.looked_at = clock.monotonic()
        with suppress(StateError, DBAPIError), self.this.database.read() as connection:
            return outbox.others_at_it(connection, self.channel.name, owner=self.this.owner)
        return False

    def _landed(self) -> list[Answer]:
        """What the calls that have come back say."""
        back = [future for future in self.flying if future.done()]
        return [self._answer(self.flying.pop(future), future) for future in back]

    def _answer(self, group: Group, future: Future[Answer]) -> Answer:
        answer = future.result()
        if answer.trouble:
            self.report.troubles[self.channel.name] = answer.trouble
            self.over = True
        return answer

    def _patience(self) -> float:
        """How long to wait for calls before looking after other things."""
        quiet = self.this.lease_seconds / 3
        return min(quiet, max(self.wait, 0.001)) if self._has_more() and self.wait else quiet

    # Claiming

    def _look_ahead(self, room: int) -> None:
        """Know what is next; where messages are grouped, hold enough for the calls that may begin now."""
        if self.together is not None:
            self._fill(room)
        elif not self.exhausted:
            self.queue.draw_up()
            self.exhausted = not self.queue

    def _fill(self, room: int) -> None:
        """Hold enough messages for the calls that may begin now, and some more."""
        while len(self.held) < room and not self.exhausted:
            self.queue.draw_up()
            wanted = self.queue.take(min(max(room, self._ahead()) - len(self.held), self.budget.left))
            if not wanted:
                self.exhausted = True
                return
            self.held += outbox.claim(
                self.this.database,
                self.channel.name,
                owner=self.this.owner,
                limit=len(wanted),
                lease_seconds=self.this.lease_seconds,
                now=self.this.now,
                wanted=wanted,
            )

    def _ahead(self) -> int:
        rate = self.channel.traits.rate
        soon = AHEAD if rate is None else int(rate.count / rate.span * AHEAD_SECONDS)
        return max(1, min(AHEAD, soon))

    # Recording

    def _record(self, pool: ThreadPoolExecutor, landed: Sequence[Answer], slots: int) -> None:
        """One transaction: how calls ended, and what is sent next. Then the next calls."""
        asked = self._ask_for(slots) if slots else Asked((), (), outbox.new_token())
        if landed:
            reached("before_settle")
        began = clock.monotonic()
        settled, begun, leave = self._lasting(
            lambda connection, again: self._transact(connection, landed, asked, again), bool(landed)
        )
        self.recording = clock.monotonic() - began
        if landed:
            reached("after_settle")
        self._count(landed, settled, begun, asked, leave)
        if begun.sending:
            reached("before_send")
        for going in self._calls(begun.sending, asked):
            self.flying[pool.submit(send, self.channel, going, now=self.this.now)] = going

    def _ask_for(self, slots: int) -> Asked:
        """What is to be sent next: places to be claimed and begun at once, or groups of what is held."""
        if self.together is not None:
            return Asked(self._choose(slots), (), outbox.new_token())
        wanted = self.queue.take(slots * self.channel.traits.max_batch)
        most = self.budget.take(len(wanted))
        self.queue.put_back(wanted[most:])
        return Asked((), tuple(wanted[:most]), outbox.new_token())

    def _calls(self, sending: Sequence[Claimed], asked: Asked) -> list[Group]:
        """What goes in one call each."""
        if asked.places:
            size = self.channel.traits.max_batch
            return [list(sending[first : first + size]) for first in range(0, len(sending), size)]
        passed = {message.hold for message in sending}
        chosen = ([message for message in group if message.hold in passed] for group in asked.groups)
        return [group for group in chosen if group]

    def _transact(
        self, connection: Connection, landed: Sequence[Answer], asked: Asked, again: bool
    ) -> tuple[list[Settlement], outbox.Begun, gate.Leave]:
        widen_cache(connection)
        if asked.count:
            record_sending(connection)
        given = [one for answer in landed for one in answer.settlements]
        settled = outbox.settle(connection, self._onward(connection, given), now=self.this.now)
        self._note(connection, landed)
        if not asked.count:
            return settled, outbox.Begun((), ()), gate.Leave(0)
        rate = self.channel.traits.rate
        leave = gate.ask(connection, self.channel.name, rate, asked.count)
        begun = self._begin(connection, asked, leave.count, again)
        gate.give_back(connection, self.channel.name, rate, leave.count - len(begun.sending))
        reached("before_sending_commit")
        return settled, begun, leave

    def _begin(self, connection: Connection, asked: Asked, most: int, again: bool) -> outbox.Begun:
        this, owner = self.this, None
        if asked.places:
            recorded = outbox.recorded(connection, asked.places, asked.token) if again else []
            if recorded:
                return outbox.Begun(tuple(recorded), ())
            places, owner = asked.places[:most], this.owner
            wanted = outbox.take(connection, self.channel.name, places, token=asked.token, now=this.now)
        else:
            wanted = [message for group in asked.groups for message in group][:most]
        return outbox.begin_sending(
            connection,
            wanted,
            this.judge,
            lease_seconds=this.lease_seconds,
            now=this.now,
            owner=owner,
            again=again,
        )

    def _choose(self, slots: int) -> list[Group]:
        """The next messages, in groups that may go in one call each; they stay held until recorded."""
        size = self.channel.traits.max_batch
        groups: dict[Hashable, Group] = {}
        for number, message in enumerate(self.held):
            key = number // size if self.together is None else self.together(outgoing(message, self.this.now))
            if key not in groups and len(groups) == slots:
                if self.together is None:
                    break
                continue
            if len(groups.setdefault(key, [])) < size:
                groups[key].append(message)
        return self._within_budget(list(groups.values()))

    def _within_budget(self, groups: Sequence[Group]) -> list[Group]:
        left = self.budget.take(sum(map(len, groups)))
        cut = []
        for group in groups:
            cut.append(group[:left])
            left -= len(cut[-1])
        return [group for group in cut if group]

    def _onward(self, connection: Connection, settlements: Sequence[Settlement]) -> list[Settlement]:
        """What cannot arrive on this channel goes to the step's next one, where there is one."""
        lost = [
            one.message.message_id
            for one in settlements
            if one.state is MessageState.FAILED and one.reason == Refusal.UNREACHABLE.value
        ]
        if not lost:
            return list(settlements)
        rungs = self.this.next_rungs(connection, lost)
        return [_moved_on(one, rungs.get(one.message.message_id), self.this.now) for one in settlements]

    def _note(self, connection: Connection, landed: Sequence[Answer]) -> None:
        """Tell the other processes how the channel is doing."""
        for answer in landed:
            if answer.failure is not None:
                said = answer.failure
                gate.failed(
                    connection,
                    self.channel.name,
                    said.refusal,
                    said.detail,
                    asked=said.retry_after,
                    now=self.this.now,
                )
                self.noted_at = -NOTED_EVERY
        well = any(answer.failure is None and answer.settlements for answer in landed)
        if well and clock.monotonic() - self.noted_at >= NOTED_EVERY:
            gate.worked(connection, self.channel.name, now=self.this.now)
            self.noted_at = clock.monotonic()

    def _lasting(self, act: Callable[[Connection, bool], Done], landed: bool) -> Done:
        """Do it in one transaction, again and again while the database is away.

        A commit of which nobody knows whether it happened is found out by reading: what was done is not
        done again, for nothing is then in the state from which it was to be moved.
        """
        end = clock.monotonic() + (self.this.lease_seconds * 0.8 if landed else 0)
        tries = 0
        while True:
            try:
                with self.this.database.write() as connection:
                    return act(connection, tries > 0)
            except (StateError, DBAPIError):
                tries += 1
                if tries >= TRIES and clock.monotonic() >= end:
                    raise
                clock.pause(min(0.1 * 2**tries, 2))

    def _count(
        self,
        landed: Sequence[Answer],
        settled: Sequence[Settlement],
        begun: outbox.Begun,
        asked: Asked,
        leave: gate.Leave,
    ) -> None:
        name = self.channel.name
        for (state, reason), count in Counter((one.state, one.reason) for one in settled).items():
            self.report.messages[name, state.value, reason or ""] += count
        self.report.messages.update((name, one.state.value, one.reason.value) for one in begun.stopped)
        self.report.lost += sum(len(answer.settlements) for answer in landed) - len(settled)
        if settled:
            self.report.places[name] = self.channel.place
        # What others have taken meanwhile does not count for this round.
        moved = len(begun.sending) + len(begun.stopped) if asked.places else leave.count
        self.budget.give_back(asked.count - moved)
        self._drop(asked, leave.count)
        self.wait = leave.wait if asked.count else self.wait
        if leave.why or leave.wait > LONGEST_WAIT:
            self.over = True
            self.report.waits[name] = round(leave.wait, 1)
            if leave.why:
                self.report.troubles.setdefault(name, leave.why)
        if leave.troubled:
            self.noted_at = -NOTED_EVERY
        self.moved()

    def _drop(self, asked: Asked, count: int) -> None:
        """What was begun, stopped or taken over is not next any more; the rest is."""
        self.queue.put_back(asked.places[count:])
        gone = {message.hold for message in [one for group in asked.groups for one in group][:count]}
        if gone:
            self.held = deque(message for message in self.held if message.hold not in gone)

    # Holding on and letting go

    def _renew(self) -> None:
        """Hold what is in hand for longer, each third of a lease."""
        if clock.monotonic() - self.leased_at < self.this.lease_seconds / 3:
            return
        hands = [*self.held, *(message for group in self.flying.values() for message in group)]
        with suppress(StateError, DBAPIError), self.this.database.write() as connection:
            outbox.renew(connection, hands, lease_seconds=self.this.lease_seconds)
        self.leased_at = clock.monotonic()

    def _let_go(self) -> None:
        """Wait for the calls that still fly, record them, and give back what was not begun."""
        wait(self.flying)
        landed = self._landed()
        if landed:
            none = Asked((), (), "")
            self._lasting(lambda connection, again: self._transact(connection, landed, none, again), True)
        if self.held:
            with self.this.database.write() as connection:
                outbox.release(connection, list(self.held))


def _moved_on(settlement: Settlement, rung: guards.Rung | None, now: datetime) -> Settlement:
    """The message waits for the step's next channel instead, where there is one."""
    if rung is None:
        return settlement
    return settlement._replace(state=MessageState.QUEUED, send_after=now, onward=Onward(*rung))
