"""`smr explain`: why a customer is, or is not, written to."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from smr.cli.say import facts, give_json, talk
from smr.cli.shop import ConfigOption, JsonOption, NowOption, PlaybookOption, file_to_write, open_shop
from smr.explain import explain as ask
from smr.explain import page, tell


def explain(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    config: ConfigOption = None,
    now: NowOption = None,
    playbook: PlaybookOption = None,
    language: Annotated[
        Literal["en", "zh"] | None,
        typer.Option("--lang", help="Language of the sentences; the shop's where not said."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with pictures to this file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell for one customer, playbook by playbook: due or not and why, each condition with the customer's own
    value, each guard's verdict, what was sent, and when something will happen next.

    ✓ and ✗ show which conditions hold.
    """
    shop = open_shop(config)
    file_to_write("--html", html, (".html", ".htm"))
    only = frozenset(chosen.name for chosen in shop.only(playbook).playbooks) if playbook else None
    explanation = ask(shop.database, shop.library, shop.settings, customer, now=shop.now(now), only=only)
    own, said = shop.settings.shop, language or shop.settings.shop.language
    if html is not None:
        html.write_text(page(explanation, own.tz, said, own.name), encoding="utf-8")
    if as_json:
        give_json(asdict(explanation))
    else:
        for line in tell(explanation, own.tz, said):
            facts.print(line, markup=False)
    if html is not None:
        talk.print(f"Written: {html}", markup=False)
