"""One round of delivery.

In: the outbox, the playbooks (for the guards), the settings (for the channels), the instant to act at.
Out: a
`DeliveryReport`. First what dead workers left is taken up, then each channel's messages are sent, the
highest priority first.
Traps: the `sending` record is committed before the channel is called, and no transaction is open during the
call. `now` may be a stated time; leases run by the database's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Protocol

from sqlalchemy.engine import Connection

from smr import clock, guards, outbox
from smr.channels import Channel, open_channel
from smr.crash_points import reached
from smr.database import Database
from smr.delivery import unknown
from smr.delivery.report import DeliveryReport
from smr.delivery.send import send
from smr.errors import OperatorError
from smr.outbox import Claimed, Settlement, Stopped, Verdict
from smr.playbook.model import Library
from smr.settings import Settings

LEASE_SECONDS = 120
"""How long a worker may be silent before its messages are taken from it; longer than any call takes."""


class Recheck(Protocol):
    """The guards' last word on messages about to be sent: see `smr.guards.recheck`."""

    def __call__(
        self,
        connection: Connection,
        library: Library,
        settings: Settings,
        *,
        now: datetime,
        message_ids: Sequence[str],
    ) -> Mapping[str, Verdict]:
        """A verdict by id for messages that must not be sent now."""


@dataclass(frozen=True)
class Round:
    """What a round of delivery works with."""

    database: Database
    library: Library
    settings: Settings
    now: datetime
    owner: str
    lease_seconds: int
    recheck: Recheck
    stop: Callable[[], bool]

    def judge(self, connection: Connection, claimed: Sequence[Claimed]) -> Mapping[str, Verdict]:
        """The guards' verdicts on these messages."""
        ids = [message.message_id for message in claimed]
        return self.recheck(connection, self.library, self.settings, now=self.now, message_ids=ids)


def deliver(
    database: Database,
    library: Library,
    settings: Settings,
    *,
    now: datetime,
    owner: str,
    channels: Sequence[str] | None = None,
    limit: int | None = None,
    seconds: float | None = None,
    lease_seconds: int = LEASE_SECONDS,
    recheck: Recheck = guards.recheck,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> DeliveryReport:
    """Send what waits on these channels (all where None), at most `limit` messages.

    `stop` is asked between batches; once it says so, nothing more is claimed, what is in flight is finished
    and recorded, and the round ends. After `seconds` it ends in the same way, since `now` grows stale: who
    delivers for long makes one round after another. `report.more` tells whether there was more to send.
    `progress` is told how many of how many are done.
    """
    if seconds is not None:
        stop = _until(clock.monotonic() + seconds, stop)
    this = Round(database, library, settings, now, owner, lease_seconds, recheck, stop)
    report = DeliveryReport()
    _take_up(this, channels, report)
    with database.read() as connection:
        waiting = outbox.channels_waiting(connection, now=now)
    wanted = {name: count for name, count in waiting.items() if channels is None or name in channels}
    total = min(sum(wanted.values()), limit if limit is not None else sum(wanted.values()))
    for name in wanted:
        channel = _open(name, settings, report)
        if channel is not None:
            _empty(this, channel, report, limit, lambda: progress(report.done, total))
    return report


def _until(end: float, stop: Callable[[], bool]) -> Callable[[], bool]:
    """Stop when asked to, or when the time is over."""
    return lambda: stop() or clock.monotonic() >= end


def _take_up(this: Round, channels: Sequence[str] | None, report: DeliveryReport) -> None:
    """Rescue what dead workers held, ask about what may have gone out, and mark what came too late."""
    rescued = outbox.rescue(this.database, now=this.now)
    report.rescued.update({"queued": rescued.queued, "unknown": rescued.unknown})
    with this.database.read() as connection:
        found = outbox.unknown_messages(connection)
    for name, of_channel in groupby(found, key=lambda message: message.channel):
        channel = _open(name, this.settings, report) if channels is None or name in channels else None
        if channel is not None:
            unknown.settle(this.database, channel, list(of_channel), now=this.now, report=report)
    report.expired = outbox.expire(this.database, now=this.now)


def _open(name: str, settings: Settings, report: DeliveryReport) -> Channel | None:
    try:
        channel = open_channel(name, settings)
    except OperatorError as error:
        report.troubles[name] = str(error)
        return None
    return channel


def _empty(
    this: Round, channel: Channel, report: DeliveryReport, limit: int | None, moved: Callable[[], object]
) -> None:
    """Send a channel's messages, portion by portion, until none is left, the limit is reached or it stops."""
    size = channel.traits.max_batch
    with this.database.read() as connection:
        portions = outbox.portions(connection, channel.name, now=this.now, size=size)
    for portion in portions:
        full = True
        while full:
            most = size if limit is None else min(size, limit - report.done)
            if most > 0 and this.stop():
                report.more = True
            if most <= 0 or report.more or channel.name in report.troubles:
                return
            full = _batch(this, channel, report, portion.buckets, most)
            moved()


def _batch(this: Round, channel: Channel, report: DeliveryReport, buckets: Sequence[int], most: int) -> bool:
    """Claim, judge, send and settle one batch; returns whether there may be more in these buckets."""
    claimed = outbox.claim(
        this.database,
        channel.name,
        owner=this.owner,
        limit=most,
        lease_seconds=this.lease_seconds,
        now=this.now,
        buckets=buckets,
    )
    if not claimed:
        return False
    begun = _begin(this, claimed)
    _count_stopped(report, channel, begun.stopped)
    reached("before_send")
    settlements, trouble = send(channel, begun.sending, now=this.now)
    if trouble:
        report.troubles[channel.name] = trouble
    reached("before_settle")
    with this.database.write() as connection:
        settled = outbox.settle(connection, settlements, now=this.now)
    reached("after_settle")
    _count_settled(report, channel, settled)
    report.places[channel.name] = channel.place
    report.lost += len(claimed) - len(begun.stopped) - len(settled)
    return len(claimed) == most


def _begin(this: Round, claimed: Sequence[Claimed]) -> outbox.Begun:
    """The last judgement and the `sending` record; puts the messages back where that cannot be done."""
    try:
        with this.database.write() as connection:
            begun = outbox.begin_sending(
                connection, claimed, this.judge, lease_seconds=this.lease_seconds, now=this.now
            )
            reached("before_sending_commit")
    except Exception:
        with this.database.write() as connection:
            outbox.release(connection, claimed)
        raise
    return begun


def _count_stopped(report: DeliveryReport, channel: Channel, stopped: Sequence[Stopped]) -> None:
    report.messages.update((channel.name, one.state.value, one.reason.value) for one in stopped)


def _count_settled(report: DeliveryReport, channel: Channel, settled: Sequence[Settlement]) -> None:
    report.messages.update((channel.name, one.state.value, one.reason or "") for one in settled)
