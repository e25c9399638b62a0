"""`smr demo`: the main job on real purchases, in a folder of its own.

In: the demo data and the example playbooks that come with smr. Out: a folder with a configuration, playbooks,
a database and the messages; a report. What stands in the folder already is kept, so that edits last and a
second call shows that nothing is sent twice.
Trap: the same database may hold a real shop. The demo takes only a folder, and a database, that are its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import sqlalchemy as sa
import typer

from smr import clock, pipeline, runs
from smr.cli.demo_places import PACKAGE, examples, program, refuse_other_shops
from smr.cli.demo_story import tell_story
from smr.cli.run import show_report
from smr.cli.say import bar, facts, give_json
from smr.cli.shop import JsonOption, NowOption, Shop, open_shop
from smr.delivery import deliver
from smr.delivery.report import DeliveryReport
from smr.errors import OperatorError, StateError
from smr.facts import ImportReport, import_files
from smr.playbook.model import RunsOut
from smr.report import RunReport
from smr.tables import candidates, messages

DATA = PACKAGE / "demo_data"
MOMENT = "2011-11-22T10:00"
"""A Tuesday shortly before the end of the data, in the shop's zone."""
FILES = {
    "products": "products.csv",
    "customers": "customers.csv",
    "purchases": "purchases.parquet",
    "refunds": "refunds.csv",
    "consents": "consents.csv",
}
KEY = ("bucket", "customer_id", "playbook", "step", "anchor")
ONE_OF_THEM = "c12349"
"""A customer of the demo data, by whom its database is known."""

FolderOption = Annotated[
    Path | None, typer.Option("--folder", help="Where to make the demo shop: demo, or demo-private.")
]
PrivateOption = Annotated[
    bool,
    typer.Option("--private-domain", help="Two months of an invented shop, told as one customer's story."),
]
LanguageOption = Annotated[
    Literal["zh", "en"] | None, typer.Option("--lang", help="With --private-domain: of the story.")
]


@dataclass(frozen=True)
class Demo:
    """What the demo did."""

    folder: Path
    now: datetime
    imported: tuple[ImportReport, ...]
    report: RunReport
    delivered: DeliveryReport
    samples: tuple[dict[str, Any], ...]
    waiting: int
    made: int


def demo(
    folder: FolderOption = None,
    private_domain: PrivateOption = False,
    language: LanguageOption = None,
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the main job on real purchases: import, decide, write the messages, deliver them to files.

    The purchases are a slice of UCI Online Retail II (CC BY 4.0); the customers around them are invented.
    With --private-domain: two months of an invented shop in private channels, told as one customer's story.
    """
    if private_domain:
        if now is not None:
            raise OperatorError("--now: the story has days of its own; leave it out")
        tell_story(folder or Path("demo-private"), language, as_json=as_json)
        return
    if language is not None:
        raise OperatorError("--lang belongs to --private-domain")
    folder = folder or Path("demo")
    config = set_up(folder)
    shop = open_shop(config)
    at = shop.now(now or MOMENT)
    refuse_other_shops(shop, ONE_OF_THEM)
    done = Demo(folder, at, tuple(_take_in(shop, at)), *_decide_and_deliver(shop, at))
    if as_json:
        give_json(_plain(done))
    else:
        _tell(done, shop)


def set_up(folder: Path) -> Path:
    """Make the folder with configuration and playbooks, or keep them; returns the configuration."""
    config = folder / "config.yaml"
    template = (DATA / "config.yaml").read_text(encoding="utf-8")
    mark = template.splitlines()[0]
    if config.exists() and not config.read_text(encoding="utf-8", errors="replace").startswith(mark):
        raise OperatorError(f"{config} is not the demo's. Choose another folder: smr demo --folder demo2")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not config.exists():
            config.write_text(template, encoding="utf-8")
            shutil.copytree(examples(), folder / "playbooks", dirs_exist_ok=True)
    except OSError as error:
        raise OperatorError(
            f"{folder} cannot be written ({error.strerror}). Choose another: --folder FOLDER"
        ) from None
    return config


def _take_in(shop: Shop, at: datetime) -> Iterator[ImportReport]:
    for kind, name in FILES.items():
        with bar(f"importing {kind}") as progress:
            yield import_files(
                shop.database, shop.settings, kind, [str(DATA / name)], now=at, progress=progress
            )


def _decide_and_deliver(
    shop: Shop, at: datetime
) -> tuple[RunReport, DeliveryReport, tuple[dict[str, Any], ...], int, int]:
    with bar("deciding") as progress:
        report = pipeline.run(shop.database, shop.library, shop.settings, now=at, progress=progress)
    if isinstance(report, runs.UnderWay):
        raise StateError(
            f"another run ({report.slot}, by {report.owner}) is under way; try again when it is done"
        )
    samples = tuple(_samples(shop))
    with bar("delivering") as progress:
        delivered = deliver(
            shop.database, shop.library, shop.settings, now=at, owner=runs.this_process(), progress=progress
        )
    later = sa.and_(messages.c.state == "queued", messages.c.send_after > at)
    return report, delivered, samples, _count(shop, later), _count(shop, sa.true())


def _count(shop: Shop, where: sa.ColumnElement[bool]) -> int:
    with shop.database.read() as connection:
        count: int = connection.execute(
            sa.select(sa.func.count()).select_from(messages).where(where)
        ).scalar_one()
    return count


def _samples(shop: Shop, count: int = 3) -> Iterator[dict[str, Any]]:
    """A message of each of so many playbooks that the latest run made; refills first, then by priority."""
    latest = sa.select(sa.func.max(messages.c.run_id)).scalar_subquery()
    made = (
        sa.select(
            *(messages.c[name] for name in ("customer_id", "playbook", "step", "channel", "subject", "body")),
            *(candidates.c[name] for name in ("line", "anchor_at", "runs_out_at")),
        )
        .select_from(
            messages.join(candidates, sa.and_(*(messages.c[name] == candidates.c[name] for name in KEY)))
        )
        .where(messages.c.run_id == latest)
        .order_by(messages.c.message_id)
        .limit(1)
    )
    playbooks = sorted(shop.library.playbooks, key=lambda one: not isinstance(one.trigger, RunsOut))
    with shop.database.read() as connection:
        for playbook in playbooks:
            row = connection.execute(made.where(messages.c.playbook == playbook.name)).mappings().first()
            if row is not None and count:
                count -= 1
                yield dict(row)


def _plain(done: Demo) -> dict[str, Any]:
    return {
        "folder": done.folder,
        "now": done.now,
        "imported": {report.kind: {"rows": report.rows, "new": report.new} for report in done.imported},
        **done.report.counts(),
        "delivered": done.delivered.count("sent"),
        "waiting": done.waiting,
        "delivery": done.delivered.as_json(),
        "samples": list(done.samples) if done.report.queued else [],
    }


def _tell(done: Demo, shop: Shop) -> None:
    facts.print(
        "Real purchases of a UK web shop (UCI Online Retail II, CC BY 4.0); invented names and addresses.\n"
    )
    facts.print(f"1. Taken in, to {shop.database.shown_url}", style="bold", markup=False)
    for report in done.imported:
        known = f"   {report.unchanged:,} known already" if report.unchanged else ""
        facts.print(f"   {report.kind:<10}{report.rows:>8,} rows   {report.new:>7,} new{known}")
    local = done.now.astimezone(shop.settings.shop.tz)
    facts.print(
        f"\n2. Due on {local:%A, %Y-%m-%d at %H:%M} ({shop.settings.shop.zone}), and why", style="bold"
    )
    show_report(done.report, shop.settings.shop.language)
    if done.report.queued:
        facts.print(f"\n3. {len(done.samples)} of {done.report.queued:,} messages", style="bold")
        _show_samples(done.samples, shop.settings.shop.tz)
    facts.print("\nReport", style="bold")
    _totals(done)
    _where_and_next(done, shop.settings.shop.tz)


def _show_samples(samples: Sequence[dict[str, Any]], zone: ZoneInfo) -> None:
    for sample in samples:
        way = f"{sample['playbook']} / {sample['step']} → {sample['customer_id']} by {sample['channel']}"
        facts.print(f"   {way}{_because(sample, zone)}", markup=False)
        if sample["subject"]:
            facts.print(f"      [{sample['subject']}]", markup=False)
        facts.print("      " + sample["body"].strip().replace("\n", "\n      "), markup=False)


def _because(sample: dict[str, Any], zone: ZoneInfo) -> str:
    if sample["line"] is None:
        return ""
    bought, runs_out = (clock.local_day(sample[at], zone) for at in ("anchor_at", "runs_out_at"))
    return f": {sample['line']} bought on {bought}, used up on {runs_out}"


def _totals(done: Demo) -> None:
    report = done.report
    for name, count in (
        ("customers", report.customers),
        ("purchases", report.purchases),
        ("due", report.due),
        ("accepted", report.accepted),
        ("blocked", sum(report.blocked.values())),
        ("held out", report.held_out),
        ("queued", report.queued),
        ("delivered", done.delivered.count("sent")),
    ):
        facts.print(f"   {name:<10}{count:>8,}")
    if done.waiting:
        facts.print(
            f"   waiting   {done.waiting:>8,}   for the end of the quiet hours where these customers live"
        )


def _where_and_next(done: Demo, zone: ZoneInfo) -> None:
    if not done.report.queued:
        facts.print(
            f"\nNothing new was sent: a reminder is made once, and the {done.made:,} messages due by now "
            "were made before."
        )
    facts.print(
        f"\nThe messages lie in {done.folder / 'outbox'}: JSON lines, and the same as readable text.",
        markup=False,
    )
    facts.print("\nWhat to try next", style="bold")
    for what, command in _next(done, zone):
        facts.print(f"   {what}\n      {command}", markup=False)


def _next(done: Demo, zone: ZoneInfo) -> Iterator[tuple[str, str]]:
    called = program()
    where = f"--config {done.folder / 'config.yaml'}"
    now, later = (
        f"--now {at.astimezone(zone):%Y-%m-%dT%H:%M}" for at in (done.now, done.now + timedelta(days=7))
    )
    customer = done.samples[0]["customer_id"] if done.samples else ONE_OF_THEM
    playbook = done.samples[0]["playbook"] if done.samples else "napkins-refill"
    yield (
        f"why {customer} is written to, and what comes next:",
        f"{called} explain {customer} {where} {now}",
    )
    yield "what a run in a week would do, nothing written:", f"{called} plan {where} {later}"
    yield "what was sent:", f"{called} outbox list {where}"
    yield (
        "what a customer would read:",
        f"{called} preview {playbook} --customer {customer} {where} {now}",
    )
    yield "the playbooks' own tests:", f"{called} test {where}"
    yield f"change {done.folder / 'playbooks' / 'napkins.yaml'}, then:", f"{called} check {where}"
