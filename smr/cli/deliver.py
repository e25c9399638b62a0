"""`smr deliver`: send what waits in the outbox."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from smr import clock, runs
from smr.cli.say import bar, facts, give_json, talk
from smr.cli.shop import ConfigOption, JsonOption, NowOption, open_shop
from smr.delivery import DeliveryReport
from smr.delivery import deliver as deliver_round
from smr.delivery.deliver import LEASE_SECONDS
from smr.errors import OperatorError, StateError, did_you_mean
from smr.settings import Settings
from smr.watch import tally
from smr.words import reason_in

ROUND_SECONDS = 60
"""After so long the instant of sending is read anew: quiet hours may have begun."""


def deliver(
    config: ConfigOption = None,
    now: NowOption = None,
    channel: Annotated[
        list[str] | None, typer.Option("--channel", help="Only this channel; may be repeated.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many messages.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Send the messages that wait in the outbox.

    Each is judged once more before it goes: who bought since, or opted out, is left in peace. Safe at
    any time, any number of times, and beside other deliveries.
    """
    shop = open_shop(config)
    at = shop.now(now)
    _known(channel, shop.settings)
    with bar("delivering") as progress, _stopping() as stopped:
        report = DeliveryReport()
        began = clock.monotonic()
        while True:
            this = deliver_round(
                shop.database,
                shop.library,
                shop.settings,
                now=at + timedelta(seconds=round(clock.monotonic() - began)),
                owner=runs.this_process(),
                channels=channel,
                limit=None if limit is None else limit - report.done,
                seconds=ROUND_SECONDS,
                lease_seconds=int(os.environ.get("SMR_TEST_LEASE_SECONDS", LEASE_SECONDS)),
                stop=lambda: bool(stopped),
                progress=progress,
            )
            tally.record(shop.database, this, now=at)
            report.add(this)
            if stopped or not this.more or report.done == limit:
                break
    if as_json:
        give_json({"now": at, **report.as_json()})
    else:
        show_delivery(report, shop.settings.shop.language)
    if report.troubles:
        raise StateError("; ".join(f"{name}: {trouble}" for name, trouble in sorted(report.troubles.items())))


def show_delivery(report: DeliveryReport, language: str) -> None:
    """Print what a round of delivery did, and where the messages lie."""
    _say_rescued(report)
    if report.expired:
        facts.print(f"{report.expired:,} waited too long to be useful and expired")
    if not report.messages:
        facts.print("Nothing waits to be sent. `smr run` decides who is to be reminded now.")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("channel", "messages"):
        table.add_column(name)
    table.add_column("", justify="right")
    table.add_column("")
    for (channel, state, reason), count in sorted(report.messages.items()):
        why = reason_in(language, reason) if reason else ""
        table.add_row(*(Text(cell) for cell in (channel, state, f"{count:,}", why)))
    facts.print(table)
    for channel, place in sorted(report.places.items()):
        facts.print(f"{channel}: {place}", markup=False)


def _say_rescued(report: DeliveryReport) -> None:
    said = {
        "queued": "were left claimed by a worker that died, and wait again",
        "unknown": "were being sent by a worker that died",
        "found_sent": "of unknown fate were found to have arrived",
        "sent_again": "of unknown fate had not arrived and are sent again",
    }
    for key, words in said.items():
        if report.rescued[key]:
            talk.print(f"{report.rescued[key]:,} {words}")
    if report.lost:
        talk.print(f"{report.lost:,} were taken over by another worker")


def _known(channels: list[str] | None, settings: Settings) -> None:
    for name in channels or ():
        if not settings.is_channel(name):
            raise OperatorError(
                f"--channel: there is no channel {name!r}; {did_you_mean(name, settings.channel_names)}"
            )


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """Note the first SIGTERM or SIGINT, to finish the batch in hand; the second ends at once."""
    seen: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        seen.append(number)
        talk.print("stopping after the batch in hand; once more to stop at once")
        signal.signal(number, before[signal.Signals(number)])

    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    for each in before:
        signal.signal(each, note)
    try:
        yield seen
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
