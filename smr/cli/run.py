"""`smr run` and `smr plan`: one pass of deciding, and the same pass with nothing written."""

from __future__ import annotations

from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from smr import pipeline, runs
from smr.alarms import alarms
from smr.cli.processes import others, place_of
from smr.cli.say import bar, facts, give_json, talk
from smr.cli.shop import ConfigOption, JsonOption, NowOption, PlaybookOption, Shop, open_shop
from smr.errors import StateError
from smr.messages.rendering import FailedMessage, RenderedMessage
from smr.report import ACCEPTED, EXPIRED, HELD_OUT, RunReport
from smr.sharing import Place
from smr.words import reason_in

BlastOption = Annotated[
    bool,
    typer.Option("--allow-blast", help="Go on even where the run would write to unusually many customers."),
]

WINNERS_SHOWN = 12
"""Pairs of a reminder and the one it gave way to; twenty playbooks may have hundreds."""


def run(
    config: ConfigOption = None,
    now: NowOption = None,
    playbook: PlaybookOption = None,
    slot: Annotated[
        str | None,
        typer.Option("--slot", help="A name for this run; a slot that was run already is not run again."),
    ] = None,
    slices: Annotated[
        int | None,
        typer.Option("--slices", help="Share the run with so many processes; the others are started here."),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            "--slice", metavar="I/N", help="Share the run as process I of N, which others start: 1/4, 2/4 …"
        ),
    ] = None,
    allow_blast: BlastOption = False,
    as_json: JsonOption = False,
) -> None:
    """Decide who is to be reminded now, and put the messages into the outbox.

    Safe at any time and any number of times: each reminder is made once. `smr deliver` sends what is queued.
    """
    place = place_of(slices, part)
    shop = open_shop(config)
    at = shop.now(now)
    only = frozenset(chosen.name for chosen in shop.only(playbook).playbooks) if playbook else None
    asked: dict[str, Any] = {"now": at, "only": only, "allow_blast": allow_blast}
    if place is None:
        with bar("deciding") as progress:
            done = pipeline.run(
                shop.database, shop.library, shop.settings, slot=slot, progress=progress, **asked
            )
    elif part is not None:
        done = _share(shop, place, slot, asked, stated_now=now is not None)
    else:
        slot = slot or f"{at:%Y-%m-%dT%H:%M:%SZ}/{runs.this_process()}"
        with others() as started:
            started.start(_arguments(config, at, slot, playbook, allow_blast=allow_blast), place.of)
            done = _share(shop, place, slot, asked, stated_now=True)
        blast = isinstance(done, RunReport) and done.blast is not None
        started.end(expected=StateError.exit_code if blast else 0)
    if isinstance(done, runs.UnderWay):
        _under_way(done, as_json)
        return
    left = alarms(shop.database, shop.settings, now=at)
    if as_json:
        found = {"stage_seconds": done.stage_seconds, "alarms": [alarm.as_json() for alarm in left]}
        give_json({"now": at, **done.counts(), **found})
    else:
        show_report(done, shop.settings.shop.language)
        _next_steps(done)
    for alarm in left:
        talk.print(f"warning: {alarm.sentence}", markup=False, style="yellow")
    if done.blast is not None:
        raise StateError(
            f"stopped: this run wanted to write to {done.blast} of {done.customers} customers, more than "
            f"policy.blast_limit allows. Look at `smr plan`; if it is right, run again with --allow-blast."
        )


def _share(
    shop: Shop, place: Place, slot: str | None, asked: dict[str, Any], *, stated_now: bool
) -> RunReport | runs.UnderWay:
    with bar("deciding") as progress:
        return pipeline.share(
            shop.database,
            shop.library,
            shop.settings,
            place=place,
            slot=slot,
            stated_now=stated_now,
            progress=progress,
            **asked,
        )


def _arguments(
    config: Path | None, at: datetime, slot: str, playbooks: list[str] | None, *, allow_blast: bool
) -> list[str]:
    """What the further processes are started with, so that they share this very run."""
    given = ["--now", at.isoformat(), "--slot", slot]
    if config is not None:
        given += ["--config", str(config)]
    for name in playbooks or ():
        given += ["--playbook", name]
    return [*given, *(["--allow-blast"] if allow_blast else [])]


def plan(
    config: ConfigOption = None,
    now: NowOption = None,
    playbook: PlaybookOption = None,
    samples: Annotated[int, typer.Option("--samples", min=0, max=100, help="How many messages to show.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Show what a run would do now; nothing is written.

    Counts by playbook, step and reason, some of the messages, and the difference to the last run.
    """
    shop = open_shop(config)
    at = shop.now(now)
    only = frozenset(chosen.name for chosen in shop.only(playbook).playbooks) if playbook else None
    with bar("planning") as progress:
        report, made = pipeline.plan(
            shop.database, shop.library, shop.settings, now=at, only=only, samples=samples, progress=progress
        )
    if as_json:
        give_json({"now": at, **report.counts(), "samples": [_sample(message) for message in made]})
        return
    show_report(report, shop.settings.shop.language, planned=True)
    for message in made:
        show_message(message)
    _way_to_customers(report)
    failed = sum(isinstance(message, FailedMessage) for message in made)
    if failed:
        talk.print(
            f"\n{failed} of these {len(made)} samples cannot be rendered. Accepted counts such messages; "
            "a run blocks each of them (template)."
        )
    talk.print("Nothing was written. `smr run` does this for real.")


def rebuild(config: ConfigOption = None, now: NowOption = None) -> None:
    """Compute supplies, segments and stages anew from the facts and the playbooks.

    Not needed in daily work: a run refreshes what changed, and a rebuild gives the same.
    """
    shop = open_shop(config)
    with bar("rebuilding") as progress:
        pipeline.rebuild(shop.database, shop.library, shop.settings, now=shop.now(now), progress=progress)
    talk.print("Rebuilt from the facts.")


def show_report(report: RunReport, language: str, *, planned: bool = False) -> None:
    """Print what a pass did, as two tables."""
    facts.print(
        f"customers {report.customers:,}   purchases {report.purchases:,}   due {report.due:,}   "
        f"accepted {report.accepted:,}   blocked {sum(report.blocked.values()):,}   "
        f"held out {report.held_out:,}   "
        f"{'to queue' if planned else 'queued'} {report.queued:,}"
    )
    if report.settled:
        facts.print(
            f"{report.settled:,} more {'reminder is' if report.settled == 1 else 'reminders are'} due but "
            f"settled by earlier runs: each is made once."
        )
    if not report.verdicts:
        if not report.settled:
            facts.print("Nobody is due. `smr explain CUSTOMER` tells when a customer will be.")
        return
    facts.print(_by_step(report))
    if report.blocked:
        facts.print(_by_reason(report, language))
    if report.lost:
        facts.print(_by_winner(report))


def _by_step(report: RunReport) -> Table:
    table = Table(title=None, box=None, pad_edge=False)
    for name in ("playbook", "step"):
        table.add_column(name, overflow="fold")
    for name in ("accepted", "held out", "blocked", "expired"):
        table.add_column(name, justify="right")
    if report.before is not None:
        table.add_column("last run", justify="right")
    for playbook, step in sorted({(playbook, step) for playbook, step, _ in report.verdicts}):
        counts = {verdict: n for (p, s, verdict), n in report.verdicts.items() if (p, s) == (playbook, step)}
        blocked = sum(n for verdict, n in counts.items() if verdict not in {ACCEPTED, HELD_OUT, EXPIRED})
        cells = [counts.get(ACCEPTED, 0), counts.get(HELD_OUT, 0), blocked, counts.get(EXPIRED, 0)]
        if report.before is not None:
            cells.append(report.before[playbook, step, ACCEPTED])
        table.add_row(playbook, step, *(f"{cell:,}" if cell else "-" for cell in cells))
    return table


def _by_reason(report: RunReport, language: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("blocked because")
    table.add_column("", justify="right")
    table.add_column("")
    for reason, count in report.blocked.items():
        table.add_row(reason, f"{count:,}", reason_in(language, reason))
    return table


def _by_winner(report: RunReport) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("gave way", "to", "because"):
        table.add_column(name, overflow="fold")
    table.add_column("", justify="right")
    most = sorted(report.lost.items(), key=itemgetter(1), reverse=True)[:WINNERS_SHOWN]
    for (winner, winner_step, loser, step, reason), count in sorted(most):
        table.add_row(f"{loser} / {step}", f"{winner} / {winner_step}", reason, f"{count:,}")
    rest = len(report.lost) - len(most)
    if rest:
        left = sum(report.lost.values()) - sum(count for _, count in most)
        table.add_row(f"and {rest:,} more pairs: --json", "", "", f"{left:,}")
    return table


def show_message(message: RenderedMessage | FailedMessage) -> None:
    """Print one message as its customer would read it."""
    shown = _sample(message)
    if "problem" in shown:
        facts.print(
            f"\n✗ {shown['customer']} · {shown['playbook']}/{shown['step']}: {shown['problem']}", markup=False
        )
        return
    facts.print(
        f"\n→ {shown['customer']} · {shown['channel']} · {shown['playbook']}/{shown['step']}",
        markup=False,
        style="bold",
    )
    if shown["subject"]:
        facts.print(f"  [{shown['subject']}]", markup=False)
    facts.print("  " + shown["body"].replace("\n", "\n  "), markup=False)


def _sample(message: RenderedMessage | FailedMessage) -> dict[str, Any]:
    _, customer, playbook, step, anchor = message[:5]
    shown: dict[str, Any] = {"customer": customer, "playbook": playbook, "step": step, "anchor": anchor}
    if isinstance(message, FailedMessage):
        return {**shown, "problem": message.detail}
    return {**shown, "channel": message.channel, "subject": message.subject, "body": message.body}


def _under_way(other: runs.UnderWay, as_json: bool) -> None:
    if as_json:
        give_json({"under_way": not other.done, "slot": other.slot, "owner": other.owner})
    elif other.done:
        facts.print(f"The slot {other.slot} was run already; nothing to do.")
    else:
        facts.print(
            f"Another run ({other.slot}, by {other.owner}) is under way and does this; nothing to do."
        )


def _next_steps(report: RunReport) -> None:
    if report.queued:
        talk.print("Send them with `smr deliver`; look at them with `smr outbox list`.")
    _way_to_customers(report)
    if report.failed:
        talk.print(
            "Some texts could not be rendered: `smr explain CUSTOMER` says which word had no value, and "
            "`smr check` where a default is missing."
        )


def _way_to_customers(report: RunReport) -> None:
    """Say what is missing where nobody can be written to."""
    unconsented = report.blocked.get("no_consent", 0) + report.blocked.get("unreachable", 0)
    if unconsented and not report.accepted and not report.settled:
        talk.print(
            f"{unconsented:,} reminders lack an address or a consent: import addresses (smr import "
            "customers) and consents (smr import consents), or say in config.yaml what a channel assumes "
            "(channels.NAME.consent: opt_out, channels.NAME.address: customer_id)."
        )
