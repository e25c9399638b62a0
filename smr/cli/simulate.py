"""`smr simulate`: what would go out in the days to come."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from smr.backtest import chosen
from smr.cli.backtest import AtOption, read_time
from smr.cli.say import bar, facts, give_json, talk
from smr.cli.shop import ConfigOption, JsonOption, NowOption, PlaybookOption, file_to_write, open_shop
from smr.simulation import Outlook, keep, page
from smr.simulation import simulate as walk_ahead
from smr.simulation.outlook import totals

WIDTH = 40


def simulate(
    days: Annotated[int, typer.Option("--days", min=1, max=120, help="How many days, today included.")] = 14,
    at: AtOption = "09:00",
    now: NowOption = None,
    playbook: PlaybookOption = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with charts to this file.")
    ] = None,
    keep_it: Annotated[
        bool,
        typer.Option("--keep/--no-keep", help="Keep it, so that later runs warn when a day leaves it."),
    ] = True,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Walk the clock forward on a copy: what would go out each day, by playbook and channel.

    It starts from today's facts; that people buy meanwhile is corrected by what the last days tell.
    """
    shop = open_shop(config)
    settings = shop.settings
    moment, hour = shop.now(now), read_time(at)
    file_to_write("--html", html, (".html", ".htm"))
    with bar("simulating") as progress:
        outlook = walk_ahead(
            shop.database,
            chosen(shop.library, playbook or []),
            settings,
            now=moment,
            days=days,
            at=hour,
            told=progress,
        )
    if keep_it:
        keep(shop.database, outlook)
    if html is not None:
        made = f"{moment.astimezone(settings.shop.tz):%Y-%m-%d %H:%M}"
        html.write_text(page(outlook, settings.shop.language, settings.shop.name, made), encoding="utf-8")
    if as_json:
        give_json(
            {
                "now": moment,
                "checked_on_days": outlook.checked_on,
                "kept": keep_it,
                "days": [row.as_json() for row in outlook.rows],
            }
        )
    else:
        show(outlook)
    if html is not None:
        talk.print(f"Written: {html}", markup=False)


def show(outlook: Outlook) -> None:
    """Print the days as bars, and the sums by playbook and channel."""
    days = outlook.by_day()
    most = max((high for _, _, high in days.values()), default=0) or 1
    table = Table(box=None, pad_edge=False)
    table.add_column("day")
    for name in ("expected", "usual range"):
        table.add_column(name, justify="right")
    table.add_column("")
    for day, (expected, low, high) in days.items():
        full, reach = round(expected / most * WIDTH), round(high / most * WIDTH)
        picture = "█" * full + "░" * max(0, reach - full)
        table.add_row(f"{day:%Y-%m-%d %a}", f"{expected:,.0f}", f"{low:,.0f}–{high:,.0f}", picture)
    facts.print(table)
    sums = Table(box=None, pad_edge=False)
    for name in ("playbook", "channel"):
        sums.add_column(name, overflow="fold")
    for name in ("simulated", "expected"):
        sums.add_column(name, justify="right")
    for playbook, channel, counted, expected in totals(outlook.rows):
        sums.add_row(playbook, channel, f"{counted:,}", f"{expected:,.0f}")
    facts.print(sums)
    facts.print(
        f"The range is checked on the last {outlook.checked_on} days of this shop."
        if outlook.checked_on
        else "The range is a guess: the shop's purchases do not go back far enough to check it."
    )
