"""`smr learn`: what purchases say of cycles, beside what the catalog says."""

from __future__ import annotations

from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from smr.backtest import Findings, backtest, chosen, days_to_walk
from smr.cli.say import bar, facts, give_json, talk
from smr.cli.shop import ConfigOption, JsonOption, NowOption, Shop, open_shop
from smr.errors import OperatorError
from smr.learning import YEARS, Observed, changed_catalog, changes_of, difference, observe
from smr.playbook.model import Catalog, RunsOut
from smr.strict_yaml import read_text, read_yaml

CATALOG = "catalog.yaml"
SHOWN = 40


def learn(
    write: Annotated[bool, typer.Option("--write", help="Write the change to catalog.yaml.")] = False,
    final: Annotated[
        bool, typer.Option("--final", help="Propose changes of final words (learn: false), too.")
    ] = False,
    check_it: Annotated[
        bool,
        typer.Option(
            "--backtest/--no-backtest", help="Tell by a backtest what the change would have done, or not."
        ),
    ] = True,
    now: NowOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how long lines really last beside the catalog, and propose the change to catalog.yaml as a diff.

    Comments and order stay as they are. Nothing is written without --write.
    """
    shop = open_shop(config)
    with bar("observing") as progress:
        found = observe(shop.database, shop.library, shop.settings, now=shop.now(now), told=progress)
    path = shop.library.folder / CATALOG
    old = read_text(path) if path.exists() else ""
    new = changed_catalog(old, changes_of(found, final=final))
    diff = difference(old, new, f"{shop.library.folder.name}/{CATALOG}")
    changed = new != old
    done = _done_by(shop, new) if changed and check_it else None
    if write and changed:
        _write(path, new)
    if as_json:
        give_json(
            {
                "lines": [one.as_json() for one in found],
                "diff": diff,
                "written": write and changed,
                "backtest": None if done is None else [_told(one) for one in done],
            }
        )
        return
    if not found:
        facts.print(
            f"Nothing was bought in the {YEARS} years before {shop.now(now):%Y-%m-%d}, so there is nothing to"
            " learn from. Import purchases, or say --now."
        )
        return
    _show(found)
    if not changed:
        facts.print("The catalog agrees with the purchases; there is nothing to change.")
        return
    facts.print(diff, markup=False, end="")
    if done is not None:
        _show_done(*done)
    talk.print(
        f"Written: {path}" if write else f"Nothing was written; `smr learn --write` changes {path}.",
        markup=False,
    )


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.new")
    try:
        beside.write_text(text, encoding="utf-8", newline="")
        beside.replace(path)
    except OSError as error:
        raise OperatorError(f"{path} cannot be written ({error.strerror})") from None


def _done_by(shop: Shop, text: str) -> tuple[Findings, Findings] | None:
    """The same days walked with both catalogs; None where no live playbook asks when something runs out."""
    asking = [
        one.name
        for one in shop.library.playbooks
        if one.status == "live" and isinstance(one.trigger, RunsOut)
    ]
    if not asking:
        return None
    changed = replace(shop.library, catalog=Catalog.model_validate(read_yaml(text, CATALOG).data))
    days = days_to_walk(shop.database, shop.settings, first=None, last=None, at=time(9), within=7)
    walked = []
    for library in (shop.library, changed):
        with bar("walking") as progress:
            walked.append(
                backtest(shop.database, chosen(library, asking), shop.settings, days, told=progress)
            )
    return walked[0], walked[1]


def _show(found: list[Observed]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("line", overflow="fold")
    for name in ("catalog", "purchases say", "95 of 100", "gaps", "customers"):
        table.add_column(name, justify="right")
    table.add_column("")
    for one in found[:SHOWN]:
        stated = "-" if one.stated is None else f"{one.stated:g}d"
        if one.stated_by not in (None, one.kind):
            stated += f" ({one.stated_by})"
        table.add_row(
            one.line if one.kind == "category" else f"{one.line} (product)",
            stated,
            "-" if one.days is None else f"{one.days:.1f}d",
            "-" if one.low is None or one.high is None else f"{one.low:.1f}–{one.high:.1f}",
            f"{one.gaps:,}",
            f"{one.customers:,}",
            ("contradicts" + (", final" if one.final else "")) if one.contradicts else "",
        )
    facts.print(table)
    if len(found) > SHOWN:
        facts.print(f"and {len(found) - SHOWN} more; --json shows all.")


def _told(found: Findings) -> dict[str, Any]:
    sent = sum(book.whole.sent for book in found.playbooks)
    judged = sum(book.whole.judged for book in found.playbooks)
    hits = sum(book.whole.hits for book in found.playbooks)
    bought = sum(book.repurchases or 0 for book in found.playbooks)
    covered = sum(book.covered or 0 for book in found.playbooks)
    return {
        "would_have_sent": sent,
        "hits": hits,
        "precision": round(hits / judged, 4) if judged else None,
        "coverage": round(covered / bought, 4) if bought else None,
        "bought_before": sum(book.whole.bought_before for book in found.playbooks),
    }


def _show_done(before: Findings, after: Findings) -> None:
    days = before.days
    facts.print(f"What it would have changed, {days.first} to {days.last}:")
    table = Table(box=None, pad_edge=False)
    for name in ("", "sent", "hits in 7d", "precision", "coverage", "bought before"):
        table.add_column(name, justify="right" if name else "left")
    for name, found in (("now", _told(before)), ("changed", _told(after))):
        shares = ["-" if found[key] is None else f"{found[key]:.1%}" for key in ("precision", "coverage")]
        table.add_row(
            name,
            f"{found['would_have_sent']:,}",
            f"{found['hits']:,}",
            *shares,
            f"{found['bought_before']:,}",
        )
    facts.print(table)
