"""`smr calendar`: the days ahead that are not as their weekday says, and the festivals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Annotated

import typer

from smr import clock
from smr.almanac import Almanac, almanac_of, in_chinese, lunar_of
from smr.cli.say import facts, give_json, talk, width_of
from smr.cli.shop import ConfigOption, JsonOption, NowOption, open_shop

KINDS = {
    "en": {"holiday": "holiday", "workday": "worked", "normal": ""},
    "zh": {"holiday": "休", "workday": "班", "normal": ""},
}
END = {
    "en": "Holidays are arranged until {until}; after that only the statutory days are known. "
    "When the next year is announced: smr import calendar FILE",
    "zh": "放假安排已知到 {until}，之后只知道法定节假日。新一年的公布后：smr import calendar 文件",
}
WEEKDAYS = {"en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), "zh": tuple("一二三四五六日")}


@dataclass(frozen=True)
class Told:
    """A day that has something to it."""

    day: date
    lunar: str
    kind: str
    name: str
    festivals: tuple[str, ...]


def show_calendar(
    days: Annotated[int, typer.Option("--days", min=1, max=3660, help="How many days ahead.")] = 120,
    config: ConfigOption = None,
    now: NowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show public holidays, weekends worked to make up for them, and festivals, as playbooks go by them."""
    shop = open_shop(config)
    with shop.database.read() as connection:
        almanac = almanac_of(connection, shop.settings)
    first = clock.local_day(shop.now(now), shop.settings.shop.tz)
    found = list(_special(almanac, first, days))
    if as_json:
        give_json([asdict(one) for one in found])
        return
    language = shop.settings.shop.language
    for one in found:
        weekday = WEEKDAYS[language][one.day.weekday()]
        kind = f"{KINDS[language][one.kind]} {one.name}".strip()
        names = " ".join(one.festivals)
        columns = f"{_wide(one.lunar, 10)}  {_wide(kind, 12)}  {names}"
        facts.print(f"{one.day} {weekday}  {columns}".rstrip(), markup=False)
    _tell_of_the_end(almanac, first + timedelta(days=days), language)


def _wide(text: str, width: int) -> str:
    return text + " " * (width - width_of(text))


def _special(almanac: Almanac, first: date, days: int) -> Iterator[Told]:
    for day in (first + timedelta(days=number) for number in range(days)):
        kind, name = almanac.told(day)
        festivals = almanac.festivals(day)
        if kind != "normal" or festivals:
            lunar = lunar_of(day)
            yield Told(day, in_chinese(lunar) if lunar else "", kind, name, festivals)


def _tell_of_the_end(almanac: Almanac, last: date, language: str) -> None:
    """Arrangements are announced a year at a time: from then on only the law is known."""
    until = almanac.arranged_until
    if almanac.region != "none" and (until is None or until < last):
        talk.print(END[language].format(until=until), markup=False)
