"""`smr channels`: how each channel is; send one message by the real path."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any

import sqlalchemy as sa
import typer
from rich.table import Table
from rich.text import Text

from smr import clock, logs
from smr.channels import Accepted, Channel, Closing, Outgoing, Probing, open_channel
from smr.cli.say import facts, give_json, talk
from smr.cli.shop import ConfigOption, JsonOption, Shop, open_shop
from smr.errors import ChannelError, OperatorError, SmrError, StateError, did_you_mean
from smr.events import Kind
from smr.settings import Settings
from smr.tables import channels as channels_table
from smr.watch import tally
from smr.watch.status import Backlog, backlog, open_incidents

app = typer.Typer(help="How each channel is: health, rate, backlog. Send a test message.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The channel, as playbooks call it.")]


@app.callback(invoke_without_command=True)
def channels(context: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show each channel: what carries it, whether it takes messages, what waits, what the last hour brought.

    A channel that is not in config.yaml is shown where something waits on it.
    """
    if context.invoked_subcommand is not None:
        return
    shop = open_shop(config)
    rows = _rows(shop)
    if as_json:
        give_json({"channels": rows})
        return
    table = Table(box=None, pad_edge=False)
    for name in ("channel", "kind", "health", "rate", "waiting", "due", "unknown", "sent", "wrong", "place"):
        table.add_column(name, no_wrap=name != "place")
    for row in rows:
        cells = (
            *(row[name] for name in ("channel", "kind", "health", "rate")),
            *(f"{row[name]:,}" for name in ("queued", "due", "unknown", "sent_last_hour", "wrong_last_hour")),
            row["place"],
        )
        table.add_row(*(Text(str(cell)) for cell in cells))
    facts.print(table)
    facts.print("sent and wrong: in the last hour")


@app.command("test")
def test_channel(
    name: Name,
    to: Annotated[
        str | None, typer.Option("--to", help="Your own address on this channel; without it nothing is sent.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send one message by the real path: the channel's own settings, its provider, your address.

    Without --to, only connect and say who we are, where the channel is able to. Nothing is written into the
    outbox. Exit code 1 where the channel does not take it or does not let us in.
    """
    shop = open_shop(config)
    if not shop.settings.is_channel(name):
        hint = did_you_mean(name, shop.settings.channel_names)
        raise OperatorError(f"there is no channel {name!r}; {hint}")
    channel = open_channel(name, shop.settings)
    if to is None:
        _probe(channel, as_json)
        return
    now = clock.now()
    try:
        result = channel.send([_message(shop.settings, name, to, now)])[0]
    except ChannelError as error:
        raise StateError(f"{name} did not take it: {error} ({error.refusal.value})") from None
    finally:
        if isinstance(channel, Closing):
            channel.close()
    if not isinstance(result, Accepted):
        raise StateError(f"{name} did not take it: {result.detail or result.refusal.value}")
    told = {"channel": name, "to": to, "accepted": True, "provider_id": result.provider_id}
    if as_json:
        give_json({**told, "place": channel.place})
        return
    known = f", which calls it {result.provider_id}" if result.provider_id else ""
    facts.print(f"{name}: accepted by {channel.place}{known}", markup=False)
    talk.print("Look whether it has arrived; that it was accepted is all smr can see.")


def _probe(channel: Channel, as_json: bool) -> None:
    """Connect and say who we are; nothing is sent."""
    if not isinstance(channel, Probing):
        raise OperatorError(
            f"{channel.name} cannot be tried without sending; give your own address on it with --to ADDRESS"
        )
    try:
        channel.probe()
    except ChannelError as error:
        raise StateError(f"{channel.name} does not let us in: {error} ({error.refusal.value})") from None
    finally:
        if isinstance(channel, Closing):
            channel.close()
    if as_json:
        give_json({"channel": channel.name, "let_in": True, "sent": False, "place": channel.place})
        return
    facts.print(f"{channel.name}: {channel.place} lets us in; nothing was sent", markup=False)
    talk.print("To send yourself a message, add --to ADDRESS.")


def _message(settings: Settings, name: str, to: str, now: datetime) -> Outgoing:
    shop = settings.shop.name or "smr"
    english = f"This is a test message of {shop} on the channel {name}. Nothing needs to be done."
    chinese = f"这是{shop}在渠道 {name} 上的测试消息，无需处理。"
    return Outgoing(
        message_id=sha256(f"smr test/{name}/{to}/{now.isoformat()}".encode()).hexdigest()[:32],
        customer_id="operator",
        playbook="smr-test",
        step="test",
        address=to,
        subject=f"[{shop}] test",
        text=chinese if settings.shop.language == "zh" else english,
        html=None,
        attachments=(),
        sent_at=now,
        purpose="service",
    )


def _rows(shop: Shop) -> list[dict[str, Any]]:
    now = clock.now()
    with shop.database.read() as connection:
        waiting = {one.channel: one for one in backlog(connection, now=now)}
        hour = tally.lately(connection, now=now)
        down = {one.subject for one in open_incidents(connection) if one.kind == Kind.CHANNEL_DOWN}
        gates = {row.channel: row for row in connection.execute(sa.select(channels_table))}
    names = sorted({*shop.settings.channels, *waiting, *hour, *gates})
    none = Backlog("", 0, 0, 0, 0)
    return [
        _row(
            shop,
            name,
            waiting.get(name, none),
            hour.get(name, Counter()),
            _health(gates.get(name), name in down, now),
        )
        for name in names
    ]


def _health(gate: Any, down: bool, now: datetime) -> str:
    """What all processes know together of a channel."""
    if gate is None:
        return "down" if down else "well"
    why = f" ({gate.reason}: {logs.mask(gate.detail or '')})" if gate.reason else ""
    if gate.open_until is not None:
        return f"down, tried again from {_clock_time(gate.open_until)}{why}"
    if gate.paused_until is not None and gate.paused_until > now:
        return f"paused until {_clock_time(gate.paused_until)}{why}"
    return f"{gate.failures} calls failed in a row{why}" if gate.failures else "well"


def _clock_time(at: datetime) -> str:
    return f"{at:%H:%M:%SZ}"


def _row(shop: Shop, name: str, waiting: Backlog, hour: Counter[str], health: str) -> dict[str, Any]:
    sent = sum(hour[state.value] for state in tally.WENT)
    tried = sum(number for state, number in hour.items() if state in tally.TRIED)
    place, rate, fault = _opened(shop.settings, name)
    return {
        "channel": name,
        "kind": shop.settings.channel(name).kind,
        "health": fault or health,
        "rate": rate,
        "queued": waiting.queued,
        "due": waiting.due,
        "oldest_due_seconds": waiting.oldest_seconds,
        "unknown": waiting.unknown,
        "sent_last_hour": sent,
        "wrong_last_hour": tried - sent,
        "place": place,
    }


def _opened(settings: Settings, name: str) -> tuple[str, str, str]:
    """Where the channel's messages go, how fast it may be, and what is wrong with it as it is set up."""
    try:
        channel = open_channel(name, settings)
    except SmrError as error:
        return "", "-", str(error)
    rate = f"{channel.traits.rate.count} per {channel.traits.rate.span} s" if channel.traits.rate else "-"
    try:
        if isinstance(channel, Probing):
            channel.probe()
    except SmrError as error:
        return "", "-", str(error)
    finally:
        if isinstance(channel, Closing):
            channel.close()
    return channel.place, rate, ""
