"""`smr export-sql`: a playbook's due rule for a warehouse."""

from __future__ import annotations

import re
import sys
from typing import Annotated

import typer

from smr.cli.shop import ConfigOption, NowOption, open_shop
from smr.errors import OperatorError, did_you_mean
from smr.warehouse import DIALECTS, Export


def export_sql(
    playbook: Annotated[str, typer.Argument(metavar="PLAYBOOK", help="The playbook's name.")],
    dialect: Annotated[
        str, typer.Option("--dialect", help="The warehouse's SQL: duckdb, postgresql or spark.")
    ],
    schema: Annotated[
        str, typer.Option("--schema", help="Where its tables are, such as lake or catalog.lake.")
    ] = "",
    stated: Annotated[
        bool, typer.Option("--stated", help="Count on the catalog's days, even where smr learns better ones.")
    ] = False,
    config: ConfigOption = None,
    now: NowOption = None,
) -> None:
    """Print one SELECT that finds who is due for a playbook, for history that lies in a warehouse.

    It reads customers, products, purchases and refunds there; `smr candidates import` takes its result.
    """
    if dialect not in DIALECTS:
        hint = did_you_mean(dialect, list(DIALECTS))
        raise OperatorError(f"--dialect: there is no dialect {dialect!r}; {hint}")
    if schema and not re.fullmatch(r"\w+(\.\w+)*", schema):
        raise OperatorError(f"--schema {schema}: write names with points between them, such as lake")
    shop = open_shop(config)
    chosen = shop.only([playbook])
    export = Export(
        chosen.playbooks[0], shop.library, shop.settings, shop.now(now), dialect, schema, stated=stated
    )
    sys.stdout.write(export.sql())
