"""`smr demo --private-domain`: seven weeks of a small shop, day by day, told as one customer's timeline.

In: invented people (`demo_people`), playbooks of the gallery. Each day their facts are imported, a run
decides and what it queued is delivered, at half past ten of a simulated clock. Out: the timeline of 小林.
What was walked is not walked again: a second call only runs at the last moment, and sends nothing new.
"""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from smr import clock, pipeline, runs
from smr.chat import Listener
from smr.cli.demo_people import DAYS, FIRST, HEROINE, Facts, People
from smr.cli.demo_places import PACKAGE, examples, program, refuse_other_shops
from smr.cli.say import bar, facts, give_json, width_of
from smr.cli.shop import Shop, open_shop
from smr.cli.timeline import KINDS, Entry, timeline
from smr.delivery import deliver
from smr.errors import OperatorError, StateError
from smr.facts import import_files
from smr.playbook import load_topics
from smr.playbook.model import RunsOut
from smr.tables import bucket_of, interactions, messages, purchases, supplies

DATA = PACKAGE / "demo_data" / "private_domain"
RUN_AT = time(10, 30)
PLAYBOOKS = ("welcome", "care", "cleanser", "skin-care", "coffee", "birthday")
"""What of the gallery the shop uses."""
WORDS = {
    "en": {
        "head": "Seven weeks of a small shop in private channels: invented people, simulated days.",
        "whole": "The shop",
        "story": "The story of {name}",
        "peace": "and then she is left in peace: this one lasts until about {day}",
        "second": "Nothing new was sent: these days were walked before, and each reminder is made once.",
        "next": "What to try next",
        "channels": {"wecom": "WeCom", "wecom_moments": "Moments", "sms": "SMS"},
        "counts": ("customers", "purchases", "interactions", "messages sent", "kept back"),
    },
    "zh": {
        "head": "一家私域小店的七个星期：人是编的，日子是模拟的，每一步走的都是真程序。",
        "whole": "全店",
        "story": "{name}的故事",
        "peace": "此后不再打扰：这一支大约用到 {day}",
        "second": "没有新消息：这些日子走过了，每条提醒只发一次。",
        "next": "接下来可以试试",
        "channels": {"wecom": "企业微信", "wecom_moments": "朋友圈", "sms": "短信"},
        "counts": ("客户", "购买", "互动", "已发消息", "没发"),
    },
}
WEEKDAYS = {"en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), "zh": tuple("一二三四五六日")}


@dataclass
class Walk:
    """The walk through the days: what was counted, and the last moment."""

    shop: Shop
    folder: Path
    people: People = field(default_factory=People)
    sent: int = 0
    blocked: Counter[str] = field(default_factory=Counter)

    @property
    def end(self) -> datetime:
        """The last moment of the story."""
        return self.at(FIRST + timedelta(days=DAYS - 1))

    def at(self, day: date) -> datetime:
        """When a run is made on a day."""
        return datetime.combine(day, RUN_AT, self.shop.settings.shop.tz)

    def go(self) -> None:
        """Walk the days that were not walked yet; else only the last moment, once more."""
        with self.shop.database.read() as connection:
            latest = runs.latest_now(connection)
        begun = None if latest is None else clock.moment(latest)
        if begun is None:
            self.take_in(self.people.before(), self.at(FIRST))
        waiting: Facts = {}
        with bar("walking the days") as progress:
            for number in range(DAYS):
                day = FIRST + timedelta(days=number)
                now = self.at(day)
                if begun is None or now > begun:
                    waiting = self.walk(day, now, waiting)
                else:
                    waiting = self.later(self.people.day(day, self.reminded(now), read=self.read(day)), now)
                progress(number + 1, DAYS, f"{day}")
        if begun is not None and begun >= self.end:
            self.decide(self.end)

    def walk(self, day: date, now: datetime, waiting: Facts) -> Facts:
        """One day: facts go in, a run decides, messages go out. Returns what happens after the run."""
        told = self.people.day(day, self.reminded(now), read=self.read(day))
        for kind, rows in waiting.items():
            told[kind] = [*rows, *told.get(kind, [])]
        later = self.later(told, now)
        known = {kind: [row for row in rows if row not in later.get(kind, [])] for kind, rows in told.items()}
        self.take_in(known, now)
        self.decide(now)
        return later

    def later(self, told: Facts, now: datetime) -> Facts:
        """What of a day happens after its run."""
        moment = f"{now.astimezone(self.shop.settings.shop.tz):%Y-%m-%d %H:%M}"
        found = {kind: [row for row in rows if _when(row) > moment] for kind, rows in told.items()}
        return {kind: rows for kind, rows in found.items() if rows}

    def take_in(self, told: Facts, now: datetime) -> None:
        """Write the rows to files, and import them as a shop would."""
        settings = self.shop.settings
        listener = Listener(load_topics(settings.playbooks, settings))
        for kind, rows in told.items():
            if rows:
                path = self.folder / "data" / f"{now:%m-%d}-{kind}.csv"
                _write(path, rows)
                import_files(self.shop.database, settings, kind, [path], now=now, listener=listener)

    def decide(self, now: datetime) -> None:
        """Run, and deliver."""
        shop = self.shop
        report = pipeline.run(shop.database, shop.library, shop.settings, now=now)
        if isinstance(report, runs.UnderWay):
            raise StateError(f"another run ({report.slot}, by {report.owner}) is under way; try again later")
        self.blocked.update({str(reason): count for reason, count in report.blocked.items()})
        delivered = deliver(shop.database, shop.library, shop.settings, now=now, owner=runs.this_process())
        self.sent += delivered.count("sent")

    def reminded(self, now: datetime) -> dict[str, date]:
        """The day of each customer's last reminder of something that runs out, before this moment."""
        refills = [one.name for one in self.shop.library.playbooks if isinstance(one.trigger, RunsOut)]
        m, zone = messages.c, self.shop.settings.shop.tz
        select = sa.select(m.customer_id, sa.func.max(m.sent_at)).where(
            m.playbook.in_(refills), m.sent_at.is_not(None), m.sent_at < now
        )
        with self.shop.database.read() as connection:
            rows = connection.execute(select.group_by(m.customer_id)).all()
        return {who: clock.local_day(at, zone) for who, at in rows}

    def read(self, day: date) -> bool:
        """Whether a post that fits 小林 was in Moments on the day before."""
        m = messages.c
        begin, end = self.at(day - timedelta(days=1)), self.at(day)
        mine = sa.and_(m.bucket == bucket_of(HEROINE), m.customer_id == HEROINE)
        asked = sa.select(sa.literal(1)).where(
            mine, m.channel == "wecom_moments", m.sent_at >= begin, m.sent_at < end
        )
        with self.shop.database.read() as connection:
            return connection.execute(asked).first() is not None

    def runs_out(self) -> date:
        """When what 小林 bought last runs out."""
        s, zone = supplies.c, self.shop.settings.shop.tz
        asked = sa.select(sa.func.max(s.runs_out_at)).where(
            s.bucket == bucket_of(HEROINE), s.customer_id == HEROINE
        )
        with self.shop.database.read() as connection:
            return clock.local_day(connection.execute(asked).scalar_one(), zone)


def tell_story(folder: Path, language: str | None, *, as_json: bool) -> None:
    """Make the shop, walk the days, and tell."""
    shop = open_shop(set_up(folder, language))
    refuse_other_shops(shop, HEROINE)
    walk = Walk(shop, folder)
    walk.go()
    with shop.database.read() as connection:
        story = timeline(connection, shop.library, shop.settings, HEROINE, until=walk.end)
        counts = _counts(connection, walk)
    if as_json:
        give_json(_plain(walk, story, counts))
    else:
        _tell(walk, story, counts)


def set_up(folder: Path, language: str | None) -> Path:
    """Make the folder with configuration and playbooks, or keep them; returns the configuration."""
    config = folder / "config.yaml"
    template = (DATA / "config.yaml").read_text(encoding="utf-8")
    mark = template.splitlines()[0]
    if config.exists():
        there = config.read_text(encoding="utf-8", errors="replace")
        if not there.startswith(mark):
            raise OperatorError(f"{config} is not this demo's. Choose another folder: --folder demo2")
        if language is not None and f"language: {language}" not in there:
            raise OperatorError(
                f"{folder} tells the story in another language. Choose another folder: "
                f"--folder {folder}-{language}"
            )
        return config
    gallery = examples() / "_gallery"
    try:
        (folder / "playbooks").mkdir(parents=True, exist_ok=True)
        for file in sorted(gallery.iterdir()):
            if file.name.split(".")[0] in (*PLAYBOOKS, "catalog", "segments"):
                shutil.copy(file, folder / "playbooks")
        config.write_text(template.replace("language: zh", f"language: {language or 'zh'}"), encoding="utf-8")
    except OSError as error:
        raise OperatorError(
            f"{folder} cannot be written ({error.strerror}). Choose another: --folder FOLDER"
        ) from None
    return config


def _when(row: dict[str, Any]) -> str:
    return str(row.get("happened_at") or row.get("purchased_at") or "")


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _counts(connection: sa.Connection, walk: Walk) -> dict[str, int]:
    def count(table: sa.Table, *where: Any) -> int:
        asked = sa.select(sa.func.count()).select_from(table).where(*where)
        return int(connection.execute(asked).scalar_one())

    return {
        "customers": len(walk.people.everybody),
        "purchases": count(purchases),
        "interactions": count(interactions),
        "sent": count(messages, messages.c.sent_at.is_not(None)),
        "sent_now": walk.sent,
    }


def _plain(walk: Walk, story: list[Entry], counts: dict[str, int]) -> dict[str, Any]:
    return {
        "folder": walk.folder,
        "now": walk.end,
        **counts,
        "blocked": dict(walk.blocked.most_common()),
        "customer": HEROINE,
        "timeline": [asdict(entry) for entry in story],
    }


def _tell(walk: Walk, story: list[Entry], counts: dict[str, int]) -> None:
    language = walk.shop.settings.shop.language
    words: dict[str, Any] = WORDS[language]
    facts.print(words["head"] + "\n")
    facts.print(words["story"].format(name="小林"), style="bold", markup=False)
    for line in _lines(story, walk):
        facts.print(line, markup=False)
    facts.print("   " + words["peace"].format(day=f"{walk.runs_out():%m-%d}"), markup=False)
    facts.print(f"\n{words['whole']}", style="bold", markup=False)
    shown = zip(words["counts"], ("customers", "purchases", "interactions", "sent"), strict=False)
    facts.print("   " + "   ".join(f"{name} {counts[key]:,}" for name, key in shown), markup=False)
    if not walk.sent:
        facts.print(f"\n{words['second']}", markup=False)
    facts.print(f"\n{words['next']}", style="bold", markup=False)
    for command in _next(walk):
        facts.print(f"   {command}", markup=False)


def _lines(story: list[Entry], walk: Walk) -> Iterator[str]:
    """The timeline, each day once."""
    settings, last = walk.shop.settings, None
    language, zone = settings.shop.language, settings.shop.tz
    channels: dict[str, str] = WORDS[language]["channels"]  # type: ignore[assignment]
    width = max(width_of(name) for name in KINDS[language].values())
    for entry in story:
        local = entry.at.astimezone(zone)
        day = f"{local:%m-%d} {WEEKDAYS[language][local.weekday()]}" if local.date() != last else ""
        last = local.date()
        kind = KINDS[language][entry.kind]
        channel, _, rest = entry.beside.partition(" · ")
        beside = f"{channels.get(channel, channel)}{' · ' if rest else ''}{rest}"
        head = f"   {day}{' ' * (9 - width_of(day))} {local:%H:%M}  {kind}{' ' * (width - width_of(kind))}  "
        if entry.kind == "sent":
            yield f"{head}[{beside}]"
            yield from (f"   {' ' * 16}{' ' * width}  {line}" for line in entry.words.strip().splitlines())
        else:
            brackets = "（{}）" if language == "zh" else " ({})"
            yield f"{head}{entry.words}{brackets.format(beside) if beside else ''}"


def _next(walk: Walk) -> Iterator[str]:
    smr, where = program(), f"--config {walk.folder / 'config.yaml'}"
    now = f"--now {walk.end:%Y-%m-%dT%H:%M}"
    yield f"{smr} explain {HEROINE} {where} {now}"
    yield f"{smr} segments list {where} {now}"
    yield f"{smr} handovers list {where} {now}"
    yield f"{smr} outbox list {where}"
    yield f"{smr} calendar {where} {now}"
    yield f"{smr} test {where}"
