"""Festivals by their rules: fixed days, lunar days, the nth weekday of a month, and two solar terms.

In: a festival's name, one of several it goes by. Out: the name shown, and its days. Festivals of a shop's
own stand in the table `calendar`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from smr.almanac.lunar import LunarDate, solar_of

Rule = Callable[[int], tuple[date, ...]]
"""The days of a year; lunar ones may be none or two."""
_FIRST = 1900
_QINGMING = (
    "5566556655665556555655565556555655565556555655555555555555555555555"
    "5555555554555455545554555455545554555455544554455445544554455445544"
    "5544554445444544454445444544454445444544444444444444444444444444445"
)
"""The day of April on which 清明 falls, from 1900 on."""
_DONGZHI = (
    "2233223322332233222322232223222322232223222322232223222222222222222"
    "2222222222222222222221222122212221222122212221222122211221122112211"
    "2211221122112211221122111211121112111211121112111211121111111111112"
)
"""The day of December after the 20th on which 冬至 falls, from 1900 on."""


def _on(month: int, day: int) -> Rule:
    return lambda year: (date(year, month, day),)


def _lunar(month: int, day: int) -> Rule:
    def find(year: int) -> tuple[date, ...]:
        found = (solar_of(LunarDate(lunar_year, month, day)) for lunar_year in (year - 1, year))
        return tuple(one for one in found if one is not None and one.year == year)

    return find


def _eve(year: int) -> tuple[date, ...]:
    return tuple(day - timedelta(days=1) for day in _lunar(1, 1)(year))


def _nth(month: int, weekday: int, nth: int, after: int = 0) -> Rule:
    """The nth such weekday (Monday is 0) of a month, and so many days after it."""

    def find(year: int) -> tuple[date, ...]:
        first = date(year, month, 1)
        return (first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1) + after),)

    return find


def _term(month: int, tens: int, days: str) -> Rule:
    def find(year: int) -> tuple[date, ...]:
        known = 0 <= year - _FIRST < len(days)
        return (date(year, month, 10 * tens + int(days[year - _FIRST])),) if known else ()

    return find


@dataclass(frozen=True)
class Festival:
    """A festival: what it is shown as, the other names it goes by, and its rule."""

    name: str
    names: tuple[str, ...]
    rule: Rule
    statutory: bool = False  # a public holiday of mainland China, whatever is arranged around it


FESTIVALS: tuple[Festival, ...] = (
    Festival("元旦", ("new_year",), _on(1, 1), statutory=True),
    Festival("腊八", ("腊八节", "laba"), _lunar(12, 8)),
    Festival("小年", ("little_new_year",), _lunar(12, 23)),
    Festival("除夕", ("年三十", "new_years_eve_lunar"), _eve, statutory=True),
    Festival("春节", ("spring_festival", "lunar_new_year"), _lunar(1, 1), statutory=True),
    Festival("元宵", ("元宵节", "lantern"), _lunar(1, 15)),
    Festival("情人节", ("valentine",), _on(2, 14)),
    Festival("妇女节", ("女神节", "三八", "womens_day"), _on(3, 8)),
    Festival("清明", ("清明节", "qingming"), _term(4, 0, _QINGMING), statutory=True),
    Festival("劳动节", ("五一", "labour_day"), _on(5, 1), statutory=True),
    Festival("520", ("五二〇",), _on(5, 20)),
    Festival("母亲节", ("mothers_day",), _nth(5, 6, 2)),
    Festival("端午", ("端午节", "dragon_boat"), _lunar(5, 5), statutory=True),
    Festival("儿童节", ("六一", "childrens_day"), _on(6, 1)),
    Festival("618", ("六一八",), _on(6, 18)),
    Festival("父亲节", ("fathers_day",), _nth(6, 6, 3)),
    Festival("七夕", ("七夕节", "qixi"), _lunar(7, 7)),
    Festival("教师节", ("teachers_day",), _on(9, 10)),
    Festival("中秋", ("中秋节", "mid_autumn"), _lunar(8, 15), statutory=True),
    Festival("国庆", ("国庆节", "national_day"), _on(10, 1), statutory=True),
    Festival("重阳", ("重阳节", "chongyang"), _lunar(9, 9)),
    Festival("双十一", ("双11", "光棍节", "double_11"), _on(11, 11)),
    Festival("感恩节", ("thanksgiving",), _nth(11, 3, 4)),
    Festival("黑色星期五", ("黑五", "black_friday"), _nth(11, 3, 4, after=1)),
    Festival("双十二", ("双12", "double_12"), _on(12, 12)),
    Festival("冬至", ("dongzhi",), _term(12, 2, _DONGZHI)),
    Festival("圣诞", ("圣诞节", "christmas"), _on(12, 25)),
)
"""Every festival that smr knows by itself."""

STATUTORY_SPANS = {"春节": 3, "劳动节": 2, "国庆": 3}
"""How many days of a statutory holiday there are, where more than one."""

_BY_NAME = {name: one for one in FESTIVALS for name in (one.name, *one.names)}


def festival_named(name: str) -> Festival | None:
    """The festival that goes by a name."""
    return _BY_NAME.get(name)


@lru_cache(maxsize=64)
def festivals_of(year: int) -> dict[date, tuple[str, ...]]:
    """The festivals of a year, by day."""
    found: dict[date, tuple[str, ...]] = {}
    for one in FESTIVALS:
        for day in one.rule(year):
            found[day] = (*found.get(day, ()), one.name)
    return found


@lru_cache(maxsize=64)
def statutory_days(year: int) -> dict[date, str]:
    """Public holidays of mainland China by law, without what is arranged around them."""
    found = {}
    for one in FESTIVALS:
        for day in one.rule(year) if one.statutory else ():
            for after in range(STATUTORY_SPANS.get(one.name, 1)):
                found[day + timedelta(days=after)] = one.name
    return found
