"""`smr segments`: who is in what, how that moves, why, and what an edit would change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from smr import clock
from smr.cli.say import bar, facts, give_json, talk
from smr.cli.shop import ConfigOption, JsonOption, NowOption, Shop, open_shop
from smr.errors import OperatorError, did_you_mean
from smr.explain import groups
from smr.playbook import load_library
from smr.sorting import Change, compare

app = typer.Typer(
    help="Segments, stages and tags: sizes, overlap, movement, why, and what an edit would change.",
    no_args_is_help=True,
)
BARS = "▁▂▃▄▅▆▇█"
WIDE = 24


@app.command("list")
def list_sizes(config: ConfigOption = None, now: NowOption = None, as_json: JsonOption = False) -> None:
    """Show how many customers are in each segment, on each stage, and have each tag, as of the last run."""
    shop = open_shop(config)
    with shop.database.read() as connection:
        found = groups.sizes(connection, shop.library, clock.seconds(shop.now(now)))
    if as_json:
        give_json([asdict(one) for one in found])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("", "name", "customers", "share", ""):
        table.add_column(heading, justify="right" if heading in ("customers", "share") else "left")
    for one in found:
        shown = f"{one.ladder}: {one.name}" if one.ladder else one.name
        title = f"{shown}  {one.title}" if one.title else shown
        table.add_row(
            one.kind, title, f"{one.customers:,}", f"{one.share:.1%}", "█" * round(one.share * WIDE)
        )
    facts.print(table)
    if not found:
        talk.print("there are no segments; write them into segments.yaml")


@app.command("overlap")
def show_overlap(
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many pairs.")] = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which segments have customers in common, and how large a part of each that is."""
    shop = open_shop(config)
    with shop.database.read() as connection:
        found = groups.overlaps(connection)[:limit]
    if as_json:
        give_json([asdict(one) for one in found])
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("one", "other", "both", "of one", "of other"):
        table.add_column(heading, justify="left" if heading in ("one", "other") else "right")
    for one in found:
        table.add_row(one.one, one.other, f"{one.both:,}", f"{one.of_one:.0%}", f"{one.of_other:.0%}")
    facts.print(table)


@app.command("moves")
def show_moves(
    name: Annotated[
        str, typer.Argument(help="A segment or a stage; LADDER/STAGE where several ladders have it.")
    ],
    days: Annotated[int, typer.Option("--days", min=1, max=400, help="How many days, up to today.")] = 30,
    config: ConfigOption = None,
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Chart a segment or a stage day by day: how many there were, who came and who went."""
    shop = open_shop(config)
    place = _place(shop, name)
    with shop.database.read() as connection:
        found = groups.movement(connection, *place, now=shop.now(now), days=days, zone=shop.settings.shop.tz)
    if as_json:
        give_json([asdict(one) for one in found])
        return
    most = max((one.size for one in found), default=0)
    facts.print(
        f"{name}: {found[0].size:,} → {found[-1].size:,} customers   {spark([one.size for one in found])}"
    )
    for one in found:
        came, went = f"+{one.came:,}" if one.came else "", f"-{one.went:,}" if one.went else ""
        filled = "█" * round(WIDE * one.size / most) if most else ""
        facts.print(f"{one.day}  {one.size:>10,}  {filled:<{WIDE}}  {came:>8} {went:>8}".rstrip())


@app.command("why")
def show_why(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    config: ConfigOption = None,
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show why a customer is, or is not, in each segment, on each stage, and has each tag."""
    shop = open_shop(config)
    with shop.database.read() as connection:
        found = groups.why(connection, shop.library, shop.settings, customer, now=shop.now(now))
    if as_json:
        give_json([asdict(one) for one in found])
        return
    zone = shop.settings.shop.tz
    for one in found:
        shown = f"{one.ladder}: {one.name}" if one.ladder else one.name
        since = f" since {clock.local_day(one.since, zone)}" if one.since else ""
        until = f" until {clock.local_day(one.until, zone)}" if one.until else ""
        reason = f"  ({one.reason})" if one.reason else ""
        facts.print(f"{'✓' if one.inside else '✗'} {one.kind} {shown}{since}{until}{reason}", markup=False)
        for leaf in one.leaves:
            value = "" if leaf.value is None else f"  ({leaf.value})"
            facts.print(
                "  " * (leaf.depth + 2) + f"{'✓' if leaf.holds else '✗'} {leaf.text}{value}", markup=False
            )


@app.command("try")
def try_file(
    file: Annotated[Path, typer.Argument(help="An edited segments.yaml; it may lie anywhere.")],
    config: ConfigOption = None,
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Preview an edit: who would come and go if FILE stood in place of segments.yaml; nothing is kept."""
    shop = open_shop(config)
    edited = load_library(shop.settings.playbooks, shop.settings, segments=file)
    with bar("sorting") as progress:
        found = compare(
            shop.database, shop.library, edited, shop.settings, now=shop.now(now), progress=progress
        )
    if as_json:
        give_json([asdict(one) for one in found])
        return
    changed = [one for one in found if one.come or one.go]
    for one in changed:
        _tell(one)
    same = len(found) - len(changed)
    facts.print(f"{same} unchanged")


def _tell(one: Change) -> None:
    shown = f"{one.ladder}: {one.name}" if one.ladder else one.name
    facts.print(f"{one.kind} {shown}: {one.before:,} → {one.after:,}", markup=False)
    for sign, count, who in (("+", one.come, one.who_come), ("-", one.go, one.who_go)):
        if count:
            more = ", …" if count > len(who) else ""
            facts.print(f"    {sign}{count:,}  {', '.join(who)}{more}", markup=False)


def _place(shop: Shop, name: str) -> tuple[str | None, str]:
    """The ladder and the stage that a name stands for; no ladder, and the segment."""
    if name in shop.library.segments:
        return None, name
    known = [(ladder, rung.stage) for ladder, rungs in shop.library.ladders.items() for rung in rungs]
    found = [(ladder, stage) for ladder, stage in known if name in (stage, f"{ladder}/{stage}")]
    if len(found) > 1:
        those = ", ".join(f"{ladder}/{stage}" for ladder, stage in found)
        raise OperatorError(f"several ladders have a stage {name!r}; name one of {those}")
    if not found:
        hint = did_you_mean(name, [*shop.library.segments, *dict.fromkeys(stage for _, stage in known)])
        raise OperatorError(f"there is no segment and no stage {name!r}; {hint}")
    return found[0]


def spark(values: Sequence[int]) -> str:
    """A line of small bars, the least value lowest."""
    least, most = min(values), max(values)
    span = max(most - least, 1)
    return "".join(BARS[(value - least) * (len(BARS) - 1) // span] for value in values)
