"""`smr handovers`: cases that wait for a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from smr import handovers
from smr.cli.say import facts, give_json, talk
from smr.cli.shop import ConfigOption, JsonOption, NowOption, open_shop
from smr.events import NOT_THE_CUSTOMERS
from smr.messages.filters import money_text
from smr.messages.values import money
from smr.settings import Settings

app = typer.Typer(
    help="Cases that wait for a person, with the conversation that led to each.", no_args_is_help=True
)

StaffOption = Annotated[str | None, typer.Option("--staff", help="Only cases of this member of staff (id).")]


@app.command("list")
def list_cases(
    staff: StaffOption = None,
    closed: Annotated[bool, typer.Option("--closed", help="Those that were seen to instead.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 20,
    config: ConfigOption = None,
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the open cases, the oldest first: why, whose, and what was said."""
    shop = open_shop(config)
    with shop.database.read() as connection:
        found = handovers.cases(connection, now=shop.now(now), staff=staff, closed=closed, limit=limit)
    if as_json:
        give_json([asdict(case) for case in found])
        return
    if not found:
        talk.print("no case waits" if not closed else "no case was closed yet")
    zone = shop.settings.shop.tz
    for case in found:
        why = f"{case.topic}: {case.reason}" if case.topic else case.reason or case.playbook
        of = f" → {case.staff_id}" if case.staff_id else ""
        facts.print(f"{case.key}  {case.opened_at.astimezone(zone):%Y-%m-%d %H:%M}  {why}{of}", markup=False)
        for about in _situation(case, shop.settings):
            facts.print(f"    {about}", markup=False)
        for line in case.conversation:
            who = "staff" if line.kind in NOT_THE_CUSTOMERS else case.customer_id
            at = line.happened_at.astimezone(zone)
            facts.print(f"    {at:%m-%d %H:%M} {who}: {line.content}", markup=False)


def _situation(case: handovers.Case, settings: Settings) -> Iterator[str]:
    """Who it is and what it is about, where a playbook opened the case."""
    about, zone = case.situation, settings.shop.tz
    if about is None or case.playbook is None:
        return
    tags = f"; tags: {', '.join(about.tags)}" if about.tags else ""
    yield f"{case.playbook}, step {case.step}; {about.name or case.customer_id}, orders {about.orders}{tags}"
    if about.product_id is None:
        return
    cost = ""
    if about.price is not None:
        currency = about.currency or settings.shop.currency
        cost = f", now {money_text(money(about.price, currency), currency)}"
    bought = f"bought {about.bought_at.astimezone(zone):%Y-%m-%d}" if about.bought_at else ""
    out = f", runs out {about.runs_out_at.astimezone(zone):%Y-%m-%d}" if about.runs_out_at else ""
    yield f"{about.product or about.product_id} × {about.quantity or 1:g} {bought}{out}{cost}"


@app.command("close")
def close(
    case: Annotated[str, typer.Argument(help="The case, as the list names it: customer/cause/id.")],
    config: ConfigOption = None,
    now: NowOption = None,
) -> None:
    """Note that somebody has seen to a case."""
    shop = open_shop(config)
    with shop.database.write() as connection:
        handovers.close(connection, case, now=shop.now(now))
    talk.print(f"closed: {case}", markup=False)
