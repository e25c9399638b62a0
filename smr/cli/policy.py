"""`smr policy`: how the contact policy acted."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from smr import clock
from smr.cli.backtest import read_day
from smr.cli.say import facts, give_json
from smr.cli.shop import ConfigOption, JsonOption, NowOption, Shop, open_shop
from smr.errors import OperatorError
from smr.watch.policy import MANY, OUTCOMES, PERSONAL, PolicyReport, as_json, policy_report
from smr.words import reason_in

DAYS = 30
"""How many days are looked at where nothing is said, today included."""


def policy(
    first: Annotated[
        str | None, typer.Option("--from", help="The first day, such as 2026-08-01; 29 days before the last.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="The last day; today where not said.")] = None,
    now: NowOption = None,
    config: ConfigOption = None,
    as_document: JsonOption = False,
) -> None:
    """Show how the contact policy acted in a period: what each rule held back and what became of it, how
    often customers were written to, and which playbook won a place over which.
    """
    shop = open_shop(config)
    at, zone = shop.now(now), shop.settings.shop.tz
    end = read_day("--to", last) or clock.local_day(at, zone)
    begin = read_day("--from", first) or end - timedelta(days=DAYS - 1)
    if begin > end:
        raise OperatorError(f"--from {begin} is later than --to {end}; write the earlier day first")
    span = {
        "begin": clock.day_start(begin, zone),
        "end": clock.day_start(end + timedelta(days=1), zone),
    }
    with shop.database.read() as connection:
        found = policy_report(connection, shop.settings, now=at, **span)
    if as_document:
        give_json(as_json(found))
        return
    facts.print(Text(f"{begin} to {end}, {found.customers:,} customers"))
    for part in (_rules(shop, found), _contacts(found), _lost(found)):
        facts.print()
        facts.print(part)


def _rules(shop: Shop, found: PolicyReport) -> RenderableType:
    if not found.rules:
        return Text("No rule of the contact policy held anything back.")
    table = _table("rule", right=("held back", *OUTCOMES))
    meant = []
    for reason, acted in found.rules.items():
        counts = [f"{acted.became[outcome]:,}" for outcome in OUTCOMES]
        words = reason_in(shop.settings.shop.language, reason)
        most = ", ".join(name for name, _ in acted.playbooks.most_common(2))
        _row(table, str(reason), f"{acted.held:,}", *counts)
        meant.append(Text(f"{reason}: {words}; most often {most}"))
    return Group(table, Text(), *meant)


def _contacts(found: PolicyReport) -> Table | Text:
    if not found.contacts:
        return Text("Nobody was written to.")
    numbers = sorted({number for counted in found.contacts.values() for number in counted})
    heads = [f"{number}+" if number == MANY else str(number) for number in numbers]
    table = _table("customers by messages", right=("messages", *heads))
    for channel, counted in found.contacts.items():
        name = "all personal channels" if channel == PERSONAL else channel
        people = [f"{counted.get(number, 0):,}" for number in numbers]
        _row(table, name, f"{found.messages[channel]:,}", *people)
    return table


def _lost(found: PolicyReport) -> Table | Text:
    if not found.lost:
        return Text("No playbook made way for another.")
    table = _table("made way", "for", right=("times",))
    for (loser, winner), count in sorted(found.lost.items(), key=lambda one: (-one[1], one[0])):
        _row(table, loser, winner, f"{count:,}")
    return table


def _table(*left: str, right: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in left:
        table.add_column(name, no_wrap=True)
    for name in right:
        table.add_column(name, justify="right", overflow="fold")
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(cell) for cell in cells))
