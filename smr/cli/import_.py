"""`smr import`: take in what the shop tells, from files or from its own database."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from smr.chat import Listener
from smr.cli.say import bar, facts, give_json, talk
from smr.cli.shop import ConfigOption, JsonOption, NowOption, Shop, open_shop
from smr.errors import OperatorError
from smr.facts import ImportReport, import_files, import_source
from smr.playbook import load_topics

WITH_REFUSED_ROWS = 3

What = Annotated[
    str | None,
    typer.Argument(
        metavar="KIND",
        help="customers, products, purchases, refunds, consents, interactions, calendar "
        "(or: source, then its name).",
    ),
]
Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE...", help="CSV, JSONL or Parquet files, or - for standard input."),
]
FormatOption = Annotated[
    str | None, typer.Option("--format", help="csv, jsonl or parquet; the suffix tells where not said.")
]
SourceOption = Annotated[
    str | None, typer.Option("--source", help="A source of config.yaml: read it as far as it has grown.")
]


def import_facts(
    what: What = None,
    files: Files = None,
    source: SourceOption = None,
    format_: FormatOption = None,
    config: ConfigOption = None,
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import facts from files or from a source; importing the same again changes nothing."""
    shop = open_shop(config)
    if config is None and not Path("config.yaml").exists():
        told = shop.settings.shop
        talk.print(
            f"There is no config.yaml here: times without an offset are read as {told.zone}, money as "
            f"{told.currency}. Not yours? Write one first: smr init",
            markup=False,
        )
    at = shop.now(now)
    if what == "source" and files and source is None:
        source, what, files = files[0], None, files[1:]
    listener = _listener(shop, source, what)
    if source is not None:
        if what or files:
            raise OperatorError("--source: a source knows its kind and its rows; name no kind and no file")
        with bar(f"importing {source}") as progress:
            report = import_source(
                shop.database, shop.settings, source, now=at, progress=progress, listener=listener
            )
    else:
        if what is None or not files:
            raise OperatorError("say what to import and from where: smr import purchases orders.csv")
        if what == "candidates":
            raise OperatorError("candidates are no facts: smr candidates import FILE")
        with bar(f"importing {what}") as progress:
            report = import_files(
                shop.database,
                shop.settings,
                what,
                files,
                now=at,
                progress=progress,
                format_=format_,
                listener=listener,
            )
    show(report, as_json=as_json)
    end(report)


def end(report: ImportReport) -> None:
    """The exit code: 2 where a file was refused whole, 3 where rows were."""
    if report.refused_files:
        raise OperatorError("\n".join(report.refused_files))
    if report.refused:
        raise typer.Exit(WITH_REFUSED_ROWS)


def _listener(shop: Shop, source: str | None, what: str | None) -> Listener | None:
    """Who listens to chat, where that is what is imported; faults of the topics stop such an import."""
    known = shop.settings.sources.get(source) if source is not None else None
    if (known.kind if known is not None else what) != "interactions":
        return None
    return Listener(load_topics(shop.settings.playbooks, shop.settings))


def show(report: ImportReport, *, as_json: bool) -> None:
    """The report, as a short table or as JSON."""
    for source in report.sources:
        if source.ignored_columns:
            names = ", ".join(source.ignored_columns)
            talk.print(f"{source.source}: columns smr does not know are left out: {names}", markup=False)
    if as_json:
        give_json(plain(report))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column(report.kind)
    for name in ("rows", "new", "completed", "unchanged", "refused"):
        table.add_column(name, justify="right")
    for source in report.sources:
        counts = (source.rows, source.new, source.completed, source.unchanged, sum(source.refused.values()))
        table.add_row(Path(source.source).name, *(f"{count:,}" for count in counts))
    facts.print(table)
    for code, count in report.refused.items():
        facts.print(f"refused: {code} {count:,}", markup=False)
    for path in report.rejects_files:
        facts.print(f"refused rows, with line and reason: {path}", markup=False)
    rate = report.rows / report.seconds if report.seconds else 0
    facts.print(f"{report.rows:,} rows in {report.seconds:.1f} s ({rate:,.0f} rows/s)", markup=False)


def plain(report: ImportReport) -> dict[str, Any]:
    """The report for machines."""
    totals = {name: getattr(report, name) for name in ("rows", "new", "completed", "unchanged", "refused")}
    sources = [asdict(source) for source in report.sources]
    return {"kind": report.kind, **totals, "sources": sources, "refused_files": list(report.refused_files)}
