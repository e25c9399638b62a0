"""`smr outbox`: see what waits and what was sent; cancel; send again."""

from __future__ import annotations

import getpass
import os
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from smr import outbox
from smr.cli.say import facts, give_json, talk
from smr.cli.shop import ConfigOption, JsonOption, NowOption, Shop, open_shop
from smr.database import Database
from smr.errors import OperatorError, StateError, did_you_mean
from smr.events import MessageState
from smr.outbox import look
from smr.outbox.states import AGAIN, STOPPABLE
from smr.words import reason_in

app = typer.Typer(no_args_is_help=True, help="See what waits and what was sent; cancel; send again.")

Ids = Annotated[
    list[str] | None, typer.Argument(metavar="[MESSAGE_ID]...", help="As `smr outbox list` shows them.")
]
Id = Annotated[str, typer.Argument(metavar="MESSAGE_ID", help="As `smr outbox list` shows it.")]
PlaybookName = Annotated[str | None, typer.Option("--playbook", "-p", help="Of this playbook.")]
Customer = Annotated[str | None, typer.Option("--customer", help="To this customer.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
def list_messages(
    config: ConfigOption = None,
    state: Annotated[
        str | None, typer.Option("--state", help="In this state, such as queued or unknown.")
    ] = None,
    playbook: PlaybookName = None,
    customer: Customer = None,
    channel: Annotated[str | None, typer.Option("--channel", help="On this channel.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List messages, the latest due first."""
    shop = open_shop(config)
    where = look.chosen(states=_states(state), playbook=playbook, customer_id=customer, channel=channel)
    with shop.database.read() as connection:
        total = look.count(connection, *where)
        found = look.find(connection, *where, limit=limit)
    if as_json:
        give_json({"total": total, "messages": found})
        return
    if not found:
        facts.print("No such messages.")
        return
    _print_wide(_table(shop, found))
    if total > len(found):
        talk.print(f"{len(found):,} of {total:,}; more with --limit")


@app.command("states")
def count_states(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Count the messages in each state, channel by channel."""
    shop = open_shop(config)
    with shop.database.read() as connection:
        counted = look.states(connection)
    if as_json:
        rows = [{"channel": name, "state": state, "count": n} for (name, state), n in sorted(counted.items())]
        give_json({"states": rows})
        return
    if not counted:
        facts.print("No messages.")
        return
    found = [state for state in MessageState if any(state == of for _, of in counted)]
    table = Table(box=None, pad_edge=False)
    table.add_column("channel")
    for state in found:
        table.add_column(state.value, justify="right")
    for name in sorted({channel for channel, _ in counted}):
        table.add_row(Text(name), *(f"{counted.get((name, state), 0):,}" for state in found))
    _print_wide(table)


@app.command("show")
def show(message_id: Id, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one message: its text, what became of it, and every attempt to send it."""
    shop = open_shop(config)
    message = _existing(shop.database, [message_id])[message_id]
    with shop.database.read() as connection:
        tries = look.attempts(connection, message_id)
    if as_json:
        give_json({**message, "tries": tries})
        return
    _show_message(shop, message)
    _show_tries(shop, message, tries)


@app.command("cancel")
def cancel(
    message_ids: Ids = None,
    playbook: PlaybookName = None,
    yes: Yes = False,
    config: ConfigOption = None,
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel waiting messages: the named ones, or all of a playbook. None is made anew."""
    if bool(message_ids) == (playbook is not None):
        raise OperatorError("say which: either message ids, or --playbook NAME")
    shop = open_shop(config)
    known = _existing(shop.database, message_ids or [])
    where = look.chosen(message_ids=list(known), playbook=playbook)
    if playbook is not None and not yes:
        _confirm(shop.database, look.chosen(playbook=playbook, states=STOPPABLE), "cancel")
    cancelled = outbox.cancel(shop.database, *where, actor=_actor(), now=shop.now(now))
    _tell("cancelled", cancelled, _left(shop.database, known, MessageState.CANCELLED), as_json)


@app.command("retry")
def retry(
    message_ids: Ids = None,
    state: Annotated[str | None, typer.Option("--state", help="All that are failed, or unknown.")] = None,
    yes: Yes = False,
    config: ConfigOption = None,
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Queue again what failed, is unknown or was cancelled. An unknown message may arrive twice."""
    if bool(message_ids) == (state is not None):
        raise OperatorError("say which: either message ids, or --state failed, or --state unknown")
    if state is not None and state not in (MessageState.FAILED, MessageState.UNKNOWN):
        raise OperatorError(f"--state: {state!r} cannot be sent again as a whole; say failed or unknown")
    shop = open_shop(config)
    at = shop.now(now)
    known = _existing(shop.database, message_ids or [])
    states = AGAIN if state is None else (MessageState(state),)
    if state is not None and not yes:
        _confirm(shop.database, look.chosen(states=states), "send again")
    where = look.chosen(message_ids=list(known))
    queued = outbox.retry(shop.database, *where, actor=_actor(), now=at, states=states)
    _tell("queued again", queued, _left(shop.database, known, MessageState.QUEUED), as_json)


def _states(stated: str | None) -> tuple[MessageState, ...]:
    if stated is None:
        return ()
    if stated not in list(MessageState):
        known = [state.value for state in MessageState]
        raise OperatorError(f"--state: {stated!r} is no state; {did_you_mean(stated, known)}")
    return (MessageState(stated),)


def _existing(database: Database, message_ids: Sequence[str]) -> dict[str, look.Row]:
    """The named messages; OperatorError names those that are not there."""
    wrong = [one for one in message_ids if not re.fullmatch("[0-9a-f]{32}", one)]
    if wrong:
        raise OperatorError(
            f"{wrong[0]!r} is not a message id; `smr outbox list` shows them (32 characters, 0-9 a-f)"
        )
    if not message_ids:
        return {}
    with database.read() as connection:
        found = {
            row["message_id"]: row for row in look.find(connection, *look.chosen(message_ids=message_ids))
        }
    missing = [one for one in message_ids if one not in found]
    if missing:
        raise OperatorError(
            f"there is no message {', '.join(missing)}; `smr outbox list` shows what there is"
        )
    return found


def _confirm(database: Database, where: Sequence[Any], verb: str) -> None:
    with database.read() as connection:
        count = look.count(connection, *where)
    if not count:
        return
    if not sys.stdin.isatty():
        raise OperatorError(f"this would {verb} {count:,} messages; say --yes to do it without being asked")
    talk.print(f"{verb} {count:,} messages?", end=" ")
    if not typer.confirm("", prompt_suffix="", err=True):
        raise typer.Exit(0)


def _left(database: Database, known: dict[str, look.Row], wanted: MessageState) -> dict[str, str]:
    """Of the named messages, those that could not be moved, and the state they are in."""
    after = _existing(database, list(known))
    return {one: row["state"] for one, row in after.items() if row["state"] != wanted}


def _tell(what: str, count: int, left: dict[str, str], as_json: bool) -> None:
    if as_json:
        give_json({"count": count, "left": left})
    else:
        facts.print(f"{count:,} {what}")
        for message_id, state in left.items():
            talk.print(f"{message_id} stays {state}", markup=False)
    if left and not count:
        raise StateError(f"none {what}: " + _why_not(set(left.values())))


def _why_not(states: set[str]) -> str:
    if states <= {MessageState.SENT, MessageState.DELIVERED, MessageState.SENDING, MessageState.WITH_STAFF}:
        return "what has gone out, or is going out now, cannot be called back or sent again"
    return f"the state ({', '.join(sorted(states))}) does not allow it, or it is too late to be useful"


def _actor() -> str:
    try:
        return f"operator {getpass.getuser()}"
    except (KeyError, OSError):
        return f"operator {os.getuid()}"


def _local(shop: Shop, at: datetime | None) -> str:
    return at.astimezone(shop.settings.shop.tz).strftime("%Y-%m-%d %H:%M") if at else ""


def _table(shop: Shop, found: Sequence[look.Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("message", "state", "tries", "due", "playbook", "customer", "channel", "text"):
        table.add_column(name, no_wrap=True, min_width=32 if name == "message" else None)
    for row in found:
        state = f"{row['state']} ({row['reason']})" if row["reason"] else row["state"]
        text = " ".join(row["body"].split())
        cells = (
            row["message_id"],
            state,
            str(row["attempts"]),
            _local(shop, row["due_at"]),
            f"{row['playbook']}/{row['step']}",
            row["customer_id"],
            row["channel"],
            text[:40] + ("…" if len(text) > 40 else ""),
        )
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _print_wide(table: Table) -> None:
    """Print a table as wide as the terminal; into a pipe or a file with nothing cut."""
    if facts.is_terminal:
        facts.print(table)
        return
    need = Measurement.get(facts, facts.options.update(max_width=10_000), table).maximum
    Console(file=sys.stdout, width=need, highlight=False).print(table)


def _show_message(shop: Shop, row: look.Row) -> None:
    state = row["state"] + (
        f": {reason_in(shop.settings.shop.language, row['reason'])}" if row["reason"] else ""
    )
    lines = [
        f"message   {row['message_id']}",
        f"state     {state}",
        f"playbook  {row['playbook']}/{row['step']}, for {row['anchor']}",
        f"customer  {row['customer_id']}, by {row['channel']} to {row['address']}",
        f"due       {_local(shop, row['due_at'])}, useful until {_local(shop, row['expires_at'])}",
    ]
    facts.print("\n".join(lines), markup=False)
    if row["subject"]:
        facts.print(f"\n[{row['subject']}]", markup=False)
    facts.print("\n" + row["body"] + "\n", markup=False)
    for attachment in row["attachments"] or ():
        facts.print(f"+ {attachment}", markup=False)


def _show_tries(shop: Shop, row: look.Row, tries: Sequence[look.Row]) -> None:
    facts.print(f"{_local(shop, row['queued_at'])}  queued by run {row['run_id']}")
    for one in tries:
        ended = one["result"] + (f" ({one['reason']})" if one["reason"] else "")
        facts.print(
            f"{_local(shop, one['started_at'])}  attempt {one['attempt']} by {one['channel']}: {ended}",
            markup=False,
        )
    if row["state"] == MessageState.QUEUED:
        facts.print(f"{_local(shop, row['send_after'])}  is sent from then on")
    elif row["settled_at"]:
        by = f", by {row['owner']}" if (row["owner"] or "").startswith("operator") else ""
        facts.print(f"{_local(shop, row['settled_at'])}  {row['state']}{by}", markup=False)
