"""`smr backtest`: what would have been sent in the past, and what followed."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from smr.backtest import Findings, chosen, days_to_walk, other_version, page, timing
from smr.backtest import backtest as walk_back
from smr.cli.say import bar, facts, give_json, talk
from smr.cli.shop import ConfigOption, JsonOption, Shop, file_to_write, open_shop
from smr.errors import OperatorError
from smr.notation import parse_span

FromOption = Annotated[
    str | None, typer.Option("--from", help="The first day, such as 2026-08-01; 90 days before the last.")
]
ToOption = Annotated[
    str | None,
    typer.Option("--to", help="The last day; the last one of which is known what followed, where not said."),
]
AtOption = Annotated[str, typer.Option("--at", help="The time of day of each run, in the shop's zone.")]


def backtest(
    playbooks: Annotated[
        list[str] | None,
        typer.Argument(
            help="Playbooks, drafts too; all live ones where none is named.", metavar="[PLAYBOOK]..."
        ),
    ] = None,
    first: FromOption = None,
    last: ToOption = None,
    at: AtOption = "09:00",
    within: Annotated[
        str, typer.Option("--within", help="A purchase within this time after a reminder is a hit.")
    ] = "7d",
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare",
            help="Another version, side by side: a folder of playbooks, or one file (a playbook, "
            "catalog.yaml, segments.yaml) put in the place of the present one.",
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option("--export", help="Write each reminder to this .csv or .parquet file."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with charts to this file.")
    ] = None,
    allow_blast: Annotated[
        bool, typer.Option("--allow-blast", help="Go on on days that write to unusually many customers.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Walk the past day by day with only what was known on each; tell what would have gone out, what
    followed.

    The rules are those of a real run. Nothing is written to the shop's database.
    """
    shop = open_shop(config)
    hit_within = read_days("--within", within)
    days = days_to_walk(
        shop.database,
        shop.settings,
        first=read_day("--from", first),
        last=read_day("--to", last),
        at=read_time(at),
        within=hit_within,
    )
    names = playbooks or []
    options: dict[str, Any] = {"within": hit_within, "allow_blast": allow_blast}
    file_to_write("--export", export, (".csv", ".parquet"))
    file_to_write("--html", html, (".html", ".htm"))
    found = [_walk(shop, chosen(shop.library, names), days, export=export, **options)]
    if compare is not None:
        with other_version(compare, shop.library, shop.settings) as other:
            found.append(_walk(shop, chosen(other, names), days, **options))
    if html is not None:
        html.write_text(page(found, shop.settings.shop.language, shop.settings.shop.name), encoding="utf-8")
    if as_json:
        give_json(found[0].counts() if compare is None else [one.counts() for one in found])
    else:
        for one in found:
            show(one)
    for path in (export, html):
        if path is not None:
            talk.print(f"Written: {path}", markup=False)


def _walk(shop: Shop, library: Any, days: Any, **options: Any) -> Findings:
    with bar("walking") as progress:
        return walk_back(shop.database, library, shop.settings, days, told=progress, **options)


def read_day(option: str, stated: str | None) -> date | None:
    """A day as stated on the command line."""
    if stated is None:
        return None
    try:
        return date.fromisoformat(stated)
    except ValueError:
        raise OperatorError(f"{option} {stated}: write a day such as 2026-11-23") from None


def read_time(stated: str) -> time:
    """A time of day as stated on the command line."""
    try:
        found = time.fromisoformat(stated)
    except ValueError:
        raise OperatorError(f"--at {stated}: write a time of day such as 09:00") from None
    if found.tzinfo is not None:
        raise OperatorError(f"--at {stated}: the time is in the shop's zone; write it without an offset")
    return found


def read_days(option: str, stated: str) -> int:
    """A number of whole days, at least one, as stated on the command line: `7d`, or just `7`."""
    try:
        seconds = parse_span(f"{stated}d" if stated.isdigit() else stated)
    except ValueError as error:
        raise OperatorError(f"{option}: {error}") from None
    if seconds % 86_400 or not 0 < seconds <= 366 * 86_400:
        raise OperatorError(f"{option} {stated}: write whole days, from 1d to 366d")
    return seconds // 86_400


def show(found: Findings) -> None:
    """Print what came of one walk, as tables."""
    sent = sum(times * count for times, count in found.contacts.items())
    people = sum(found.contacts.values())
    facts.print(
        f"{found.library}: {found.days.first} to {found.days.last}, a run each day at {found.days.at:%H:%M}",
        markup=False,
        style="bold",
    )
    per_customer = f"{sent / people:.1f} each, at most {max(found.contacts)}" if people else "nobody"
    facts.print(f"would have sent {sent:,} messages to {people:,} customers ({per_customer})")
    if not sent:
        facts.print(
            "Nobody was due, or everybody was stopped by a rule; see below, and `smr explain CUSTOMER`."
        )
    facts.print(_table(found))
    for book in found.playbooks:
        met = timing(book.errors)
        if met:
            facts.print(
                f"{book.playbook}: {met['cycles']:,} repurchases; the day was met within 7 days in "
                f"{met['within_7_days']:.0%}, median error {met['median_days']} days",
                markup=False,
            )
    _show_reasons(found)
    if found.blast_days:
        facts.print(
            f"On {len(found.blast_days)} days (first {found.blast_days[0]}) the run stopped at "
            "policy.blast_limit; see --allow-blast."
        )


def _table(found: Findings) -> Table:
    """Columns that have nothing to tell are left out."""
    several = [book for book in found.playbooks if len(book.steps) > 1]
    columns: dict[str, list[str]] = {}

    def cell(column: str, text: str) -> None:
        columns.setdefault(column, []).append(text)

    for book in found.playbooks:
        for step in [*book.steps, book.whole] if book in several else book.steps:
            whole = not step.step or book not in several
            cell("playbook/step", f"{book.playbook}/{step.step or '(all)'}")
            cell("sent", f"{step.sent:,}")
            cell(f"hits {found.within}d", f"{step.hits:,}")
            cell("precision", _share(step.precision))
            cell("per hit", "-" if step.per_hit is None else f"{step.per_hit:.1f}")
            cell("coverage", _share(book.coverage) if whole else "-")
            cell("bought before", _count(step.bought_before))
            cell("open", _count(step.open))
            cell("held out", _count(step.held_out))
            cell("taps", _count(book.taps) if whole else "-")
    table = Table(box=None, pad_edge=False)
    told = {name: cells for name, cells in columns.items() if set(cells) != {"-"}}
    for name in told:
        # Only the names of steps give way to a narrow screen: a figure cut short would be another figure.
        if name == "playbook/step":
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name.replace(" ", "\n"), no_wrap=True, justify="right")
    for row in zip(*told.values(), strict=True):
        table.add_row(*row)
    return table


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _count(value: int) -> str:
    return f"{value:,}" if value else "-"


def _show_reasons(found: Findings) -> None:
    stopped = sum((book.whole.stopped for book in found.playbooks), start=type(found.contacts)())
    if stopped:
        told = ", ".join(f"{reason} {count:,}" for reason, count in stopped.most_common())
        facts.print(f"due and not sent: {told}", markup=False)
