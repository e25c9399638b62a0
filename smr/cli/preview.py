"""`smr preview`: a playbook's texts as one customer would read them, or a template on its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import sqlalchemy as sa
import typer
from sqlalchemy import Connection

from smr import clock, due
from smr.almanac import almanac_of
from smr.cli.say import facts, give_json, talk
from smr.cli.shop import ConfigOption, JsonOption, NowOption, Shop, open_shop
from smr.errors import OperatorError, did_you_mean
from smr.messages import TemplateError
from smr.messages.preview import DATA_LENGTH, StepPreview, preview_step, preview_template, read_data
from smr.playbook.model import Library, OnDate, OnFestival, Playbook, Purchased, RunsOut, Scheduled, Step
from smr.settings import Settings
from smr.strict_yaml import read_text
from smr.tables import addresses, bucket_of, customers

Found = Mapping[str, Any]


def preview(
    playbook: Annotated[str | None, typer.Argument(help="The playbook's name.")] = None,
    customer: Annotated[str | None, typer.Option("--customer", help="The customer's id.")] = None,
    step: Annotated[str | None, typer.Option("--step", help="Only this step.")] = None,
    template: Annotated[Path | None, typer.Option("--template", help="A template on its own.")] = None,
    data: Annotated[Path | None, typer.Option("--with", help="A JSON file with its values.")] = None,
    kind: Annotated[
        Literal["text", "line", "html"], typer.Option("--kind", help="What the template is.")
    ] = "text",
    config: ConfigOption = None,
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show texts before anybody gets them.

    smr preview PLAYBOOK --customer ID shows each step as that customer would read it.
    smr preview --template FILE --with DATA.json shows a template on its own.
    """
    shop = open_shop(config)
    if template is not None:
        if playbook or customer or step:
            raise OperatorError(
                "--template shows a file on its own; leave out the playbook, --customer and --step"
            )
        _template(shop, template, data, kind, shop.now(now), as_json)
    elif playbook is None or customer is None:
        raise OperatorError(
            "say what to show: smr preview PLAYBOOK --customer ID, or --template FILE --with DATA.json"
        )
    elif data is not None:
        raise OperatorError("--with goes with --template; a playbook is shown with the customer's own values")
    else:
        _playbook(shop, playbook, customer, step, shop.now(now), as_json)


def _template(
    shop: Shop,
    file: Path,
    data: Path | None,
    kind: Literal["text", "line", "html"],
    now: datetime,
    as_json: bool,
) -> None:
    source = read_text(file, most=64_000)
    values = read_data(read_text(data, most=DATA_LENGTH), str(data)) if data else {}
    try:
        made = preview_template(source, kind, str(file), values, shop.settings, now)
    except TemplateError as error:
        if not as_json:
            raise
        give_json({"text": None, "fault": _fault(error)})
        raise typer.Exit(error.exit_code) from None
    if as_json:
        give_json({"text": made, "characters": len(made), "fault": None})
    else:
        facts.print(made, markup=False)


def _fault(error: TemplateError) -> dict[str, Any]:
    names = ("code", "where", "line", "column", "what", "fix")
    return {name: getattr(error, name) for name in names}


def _playbook(shop: Shop, name: str, customer: str, step: str | None, now: datetime, as_json: bool) -> None:
    playbook = shop.only([name]).playbooks[0]
    steps = [one for one in playbook.steps if step in (None, one.name)]
    if not steps:
        known = [one.name for one in playbook.steps]
        raise OperatorError(f"--step: {name} has no step {step!r}; {did_you_mean(str(step), known)}")
    with shop.database.read() as connection:
        _known(connection, customer)
        shown = [
            _step(connection, shop.library, shop.settings, playbook, one, customer, now) for one in steps
        ]
    if as_json:
        give_json(
            {"playbook": name, "customer": customer, "now": now, "steps": [_plain(one) for one in shown]}
        )
    else:
        _tell(playbook, customer, shown)
    if any(one.faults for one in shown):
        raise typer.Exit(2)


def _known(connection: Connection, customer: str) -> None:
    c = customers.c
    there = sa.select(c.customer_id).where(c.bucket == bucket_of(customer), c.customer_id == customer)
    if connection.execute(there).first() is None:
        near = connection.execute(
            sa.select(c.customer_id).where(c.customer_id.like(f"{customer[:2]}%")).limit(50)
        )
        hint = (
            did_you_mean(customer, list(near.scalars())) or "see what is imported with: smr explain CUSTOMER"
        )
        raise OperatorError(f"--customer: there is no customer {customer!r}; {hint}")


def _step(
    connection: Connection,
    library: Library,
    settings: Settings,
    playbook: Playbook,
    step: Step,
    customer: str,
    now: datetime,
) -> StepPreview:
    found = _candidate(connection, library, settings, playbook, step, customer, now)
    notes = [] if found else [_missing(playbook, customer)]
    channel, reached = _channel(connection, step, settings, customer)
    if not reached:
        notes.append(f"the customer has no address on {', '.join(step.via)}")
    stated = {
        "anchor": "preview",
        "due_at": now,
        "expires_at": now,
        **(found or {}),
        "bucket": bucket_of(customer),
        "customer_id": customer,
        "channel": channel,
    }
    return preview_step(connection, library, settings, playbook, step, stated, now=now, notes=tuple(notes))


def _candidate(
    connection: Connection,
    library: Library,
    settings: Settings,
    playbook: Playbook,
    step: Step,
    customer: str,
    now: datetime,
) -> Found | None:
    """What made the step due last, or would; a step after another one is shown as if that were due."""
    for tried in (step, *playbook.steps):
        rows = list(_rows(connection, library, settings, playbook, tried, customer, now))
        if rows:
            return max(rows, key=lambda row: (row["anchor_at"], row["anchor"]))
    return None


def _rows(
    connection: Connection,
    library: Library,
    settings: Settings,
    playbook: Playbook,
    step: Step,
    customer: str,
    now: datetime,
) -> Iterator[Found]:
    bound = {"now": clock.seconds(now), "run": 0}
    whose = (bucket_of(customer), customer)
    days = almanac_of(connection, settings)
    for found in due.candidates_of(playbook, step, library, settings, now, customer=whose, almanac=days):
        rows = connection.execute(found.select, {**bound, **found.bound})
        yield from (dict(row) for row in rows.mappings())


def _channel(connection: Connection, step: Step, settings: Settings, customer: str) -> tuple[str, bool]:
    """The first channel of the step on which the customer can be reached, and whether there is one."""
    a = addresses.c
    here = sa.select(a.channel).where(
        a.bucket == bucket_of(customer), a.customer_id == customer, a.undeliverable_since.is_(None)
    )
    known = set(connection.execute(here).scalars())
    for channel in step.via:
        if channel in known or settings.channel(channel).address == "customer_id":
            return channel, True
    return step.via[0], False


def _missing(playbook: Playbook, customer: str) -> str:
    match playbook.trigger:
        case RunsOut() | Purchased():
            return f"{customer} has bought nothing that {playbook.name} is about: no purchase to name"
        case OnDate(date=wanted):
            return f"{wanted.field} of {customer} is not known: due is empty"
        case Scheduled():
            return "no time of the schedule is near: shown as of now"
        case OnFestival(festival=names):
            return f"none of {', '.join(names)} is near: due is empty"
    return f"nothing that starts {playbook.name} has happened to {customer}: shown as of now"


def _plain(one: StepPreview) -> dict[str, Any]:
    return {
        "step": one.step,
        "send": one.send,
        "channel": one.channel,
        "texts": one.texts,
        "faults": [_fault(error) for error in one.faults],
        "notes": list(one.notes),
    }


def _tell(playbook: Playbook, customer: str, shown: list[StepPreview]) -> None:
    facts.print(f"{playbook.shown} for {customer}", markup=False, style="bold")
    for one in shown:
        facts.print(f"\n→ {one.step} · {one.send} · {one.channel}", markup=False, style="bold")
        for name, text in one.texts.items():
            if name == "message":
                facts.print("  " + text.replace("\n", "\n  "), markup=False)
            else:
                facts.print(f"  [{name}] {text}", markup=False)
        for note in one.notes:
            talk.print(f"  note: {note}", markup=False, style="yellow")
        for error in one.faults:
            talk.print(f"  error: {error}", markup=False, style="red")
