"""`smr candidates import`: take in who is due as a warehouse found it."""

from __future__ import annotations

from datetime import timedelta

import typer

from smr import clock
from smr.cli.import_ import Files, FormatOption, end, show
from smr.cli.say import bar
from smr.cli.shop import ConfigOption, JsonOption, NowOption, open_shop
from smr.errors import OperatorError
from smr.facts import forget_given, import_files
from smr.warehouse import steps_of

app = typer.Typer(no_args_is_help=True, help="Who is due, as a warehouse found it.")

KEPT = timedelta(days=90)
"""How long after being due it is kept what a warehouse gave."""


@app.callback()
def _group() -> None:
    """Who is due, as a warehouse found it."""


@app.command("import")
def import_candidates(
    files: Files = None,
    format_: FormatOption = None,
    config: ConfigOption = None,
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import the result of `smr export-sql`; the next run judges it by the same guards as what it finds.

    The same again changes nothing; a row of the same playbook, step, customer and anchor takes the place of
    the one before.
    """
    if not files:
        raise OperatorError("say from where: smr candidates import due.parquet")
    shop = open_shop(config)
    at = shop.now(now)
    with bar("importing candidates") as progress:
        report = import_files(
            shop.database,
            shop.settings,
            "candidates",
            files,
            now=at,
            progress=progress,
            format_=format_,
            steps=steps_of(shop.library),
        )
    with shop.database.write() as connection:
        forget_given(connection, before=clock.seconds(at - KEPT))
    show(report, as_json=as_json)
    end(report)
