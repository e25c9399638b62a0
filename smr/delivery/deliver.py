"""One round of delivery.

In: what waits in the outbox, the playbooks (for the guards), the settings (for the channels), the instant to
act at. Out: a `DeliveryReport`. First what dead workers left is taken up, then each channel's messages are
sent, the highest priority first; the channels do not wait for each other.
Traps: the `sending` record is committed before the channel is called, and no transaction is open during the
call. `now` may be a stated time; leases and rates run by the database's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from itertools import groupby

from smr import clock, guards, outbox
from smr.channel_kinds import kind_of
from smr.channels import Channel, Closing, open_channel
from smr.database import Database
from smr.delivery import receipts, staff, unknown
from smr.delivery.polling import poll
from smr.delivery.report import DeliveryReport
from smr.delivery.round import Budget, Recheck, Round
from smr.delivery.work import ChannelWork, lanes
from smr.errors import OperatorError, StateError
from smr.playbook.model import Library
from smr.settings import Settings

LEASE_SECONDS = 120
"""How long a worker may be silent before its messages are taken from it. It renews them each third of it."""


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

    `stop` is asked between calls; once it says so, nothing more is claimed, what is in flight is finished
    and recorded, and the round ends. After `seconds` it ends in the same way, since `now` grows stale: who
    delivers for long makes one round after another. `report.more` tells whether there was more to send.
    `progress` is told how many of how many are done.
    """
    if seconds is not None:
        stop = _until(clock.monotonic() + seconds, stop)
    this = Round(database, library, settings, now, owner, lease_seconds, recheck, stop)
    report = DeliveryReport()
    with ExitStack() as opened:
        channel_of = _Opened(settings, report, opened)
        _take_up(this, channels, channel_of, report)
        with database.read() as connection:
            waiting = outbox.channels_waiting(connection, now=now)
        wanted = {name: count for name, count in waiting.items() if channels is None or name in channels}
        total = min(sum(wanted.values()), limit if limit is not None else sum(wanted.values()))
        budget = Budget(limit)
        works: list[ChannelWork] = []

        def moved() -> object:
            return progress(sum(work.report.done for work in works), total)

        for name in wanted:
            channel = channel_of(name)
            if channel is not None:
                works += lanes(this, channel, budget, moved)
        for of_channel in _side_by_side(works):
            report.add(of_channel)
    return report


def _side_by_side(works: Sequence[ChannelWork]) -> list[DeliveryReport]:
    """Each lane in a thread of its own; one alone stays in this one. The first error is raised last."""
    if len(works) <= 1:
        return [work.run() for work in works]
    with ThreadPoolExecutor(len(works), "smr-lane") as pool:
        running = [pool.submit(work.run) for work in works]
    return [one.result() for one in running]


class _Opened:
    """The channels of a round, each opened once and closed at the end."""

    def __init__(self, settings: Settings, report: DeliveryReport, stack: ExitStack) -> None:
        self._settings = settings
        self._report = report
        self._stack = stack
        self._channels: dict[str, Channel | None] = {}

    def __call__(self, name: str) -> Channel | None:
        """The channel; None, and a trouble in the report, where it cannot be opened."""
        if name not in self._channels:
            self._channels[name] = self._open(name)
        return self._channels[name]

    def _open(self, name: str) -> Channel | None:
        try:
            channel = open_channel(name, self._settings)
            if channel.traits.call_seconds >= LEASE_SECONDS:
                raise StateError(
                    f"channels.{name}: one call may take {channel.traits.call_seconds:.0f} s, and must be "
                    f"shorter than the {LEASE_SECONDS} s for which a message is held; lower its timeout"
                )
        except (OperatorError, StateError) as error:
            self._report.troubles[name] = str(error)
            return None
        if isinstance(channel, Closing):
            self._stack.callback(channel.close)
        return channel


def _until(end: float, stop: Callable[[], bool]) -> Callable[[], bool]:
    """Stop when asked to, or when the time is over."""
    return lambda: stop() or clock.monotonic() >= end


def _take_up(
    this: Round, channels: Sequence[str] | None, channel_of: _Opened, report: DeliveryReport
) -> None:
    """Rescue what dead workers held, ask about what may have gone out, and mark what came too late."""
    rescued = outbox.rescue(this.database, now=this.now)
    report.rescued.update({"queued": rescued.queued, "unknown": rescued.unknown})
    with this.database.read() as connection:
        found = outbox.unknown_messages(connection)
    for name, of_channel in groupby(found, key=lambda message: message.channel):
        channel = channel_of(name) if channels is None or name in channels else None
        if channel is not None:
            unknown.settle(this.database, channel, list(of_channel), now=this.now, report=report)
    _hear(this, channels, channel_of, report)
    receipts.try_again(this.database, this.library, this.settings, now=this.now)
    report.expired = outbox.expire(this.database, now=this.now)


def _hear(this: Round, channels: Sequence[str] | None, channel_of: _Opened, report: DeliveryReport) -> None:
    """Ask providers that do not call, and see to what staff have had for too long."""
    with this.database.read() as connection:
        given = outbox.with_staff(connection)
    asked = [name for name, one in this.settings.channels.items() if kind_of(one.kind).polls]
    for name in sorted({*asked, *(one.channel for one in given)}):
        channel = channel_of(name) if channels is None or name in channels else None
        if channel is not None:
            poll(this.database, this.library, this.settings, channel, now=this.now, report=report)
            staff.take_back(this, channel, [one for one in given if one.channel == name], report)
