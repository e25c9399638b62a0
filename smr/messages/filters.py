"""The filters and tests a template may use: typed, bounded, and at home in Chinese and English.

Each filter takes plain values and gives a plain value or raises ValueRefused. A filter never calls what it is
given and never looks at an attribute of it: a filter that did would reopen the sandbox.
`FILTERS` is the allow-list, with how many arguments each takes; nothing else can be named after a bar.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any

from jinja2 import Undefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from smr.currency import decimals
from smr.messages import values
from smr.messages.fault import ValueRefused

SYMBOLS = {
    "CNY": "¥", "GBP": "£", "USD": "$", "EUR": "€", "JPY": "JP¥", "HKD": "HK$", "TWD": "NT$", "KRW": "₩",
    "SGD": "S$", "AUD": "A$", "CAD": "CA$", "INR": "₹", "VND": "₫", "THB": "฿",
}  # fmt: skip
_WEEKDAYS = {
    "zh": ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True)
class Filter:
    """One filter: what computes it, and how many arguments it takes."""

    call: Callable[..., Any]
    least: int
    most: int
    longest: int
    """the longest text it can give, for the worst case; 0: as long as what it is given"""
    says: str


def language_of(context: Context) -> str:
    """`zh` or `en`: the language of the customer this is rendered for."""
    return _spoken(str(context.parent.get("language", "en")))


@lru_cache(maxsize=100)
def _spoken(language: str) -> str:
    return "zh" if language.lower().startswith("zh") else "en"


def in_words(day: date, today: date, language: str) -> str:
    """How far a day is from today: 今天, 明天, 3天后, 5天前; today, tomorrow, in 3 days, 5 days ago."""
    days = (day - today).days
    words = _NEAR[language].get(days)
    if words:
        return words
    if language == "zh":
        return f"{days}天后" if days > 0 else f"{-days}天前"
    return f"in {days} days" if days > 0 else f"{-days} days ago"


_NEAR = {
    "zh": {-1: "昨天", 0: "今天", 1: "明天"},
    "en": {-1: "yesterday", 0: "today", 1: "tomorrow"},
}


def _text(value: object, name: str) -> str:
    if type(value) is str:
        return value
    if isinstance(value, Markup):
        raise ValueRefused(f"{name} cannot change escaped text", "let escape or nl2br come last")
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return values.shown(value)
    raise _refused(value, name, "a text")


def _number(value: object, name: str) -> int | Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _refused(value, name, "a number")
    return values.number(value)


def _whole(value: object, name: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueRefused(f"{name} needs a whole number from {least} to {most}")
    return value


def _sequence(value: object, name: str) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _refused(value, name, "a list")
    if len(value) > values.LIST_LENGTH:
        raise ValueRefused(f"{name}: a list of {len(value):,}; at most {values.LIST_LENGTH} fit in a message")
    return value


def _day(value: object, name: str) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        try:
            if len(value) >= 10 and value[4] == value[7] == "-" and value[:4].isascii():
                return date.fromisoformat(value[:10])
        except ValueError:
            pass
        raise ValueRefused(
            f"{name} needs a date, found the text {value[:20]!r}", "dates look like 2026-11-23"
        )
    raise _refused(value, name, "a date")


def _refused(value: object, name: str, needed: str) -> ValueRefused:
    if isinstance(value, Undefined):
        return ValueRefused(
            f"{name} needs {needed}, but {value._undefined_message}", f'put | default("…") before | {name}'
        )
    if value is None:
        return ValueRefused(
            f"{name} needs {needed}, and there is no value", f'put | default("…") before | {name}', empty=True
        )
    return ValueRefused(f"{name} needs {needed}, found {values.kind(value)}")


def _default(value: object, instead: object = "", _empty: object = True) -> object:
    return instead if value is None or isinstance(value, Undefined) or value == "" else value


@pass_context
def _day_filter(context: Context, value: object, form: object = "") -> str:
    return day_text(_day(value, "day"), language_of(context), form if type(form) is str else str(form))


@lru_cache(maxsize=5_000)
def day_text(day: date, language: str, form: str = "") -> str:
    """A day as people write it: 11月23日 or 2026-11-23; `long`, `short` and `iso` are the other forms."""
    if form == "iso" or (form == "" and language == "en"):
        return day.isoformat()
    if language == "zh" and form in {"", "short"}:
        return f"{day.month}月{day.day}日"
    if form == "long":
        if language == "zh":
            return f"{day.year}年{day.month}月{day.day}日"
        return f"{_MONTHS[day.month - 1]} {day.day}, {day.year}"
    if form == "short":
        return f"{day.day} {_MONTHS[day.month - 1][:3]}"
    raise ValueRefused(f"day has no form {form[:20]!r}", "the forms are long, short and iso")


_SIGNS = (
    (120, "摩羯座", "Capricorn"), (219, "水瓶座", "Aquarius"), (321, "双鱼座", "Pisces"),
    (420, "白羊座", "Aries"), (521, "金牛座", "Taurus"), (622, "双子座", "Gemini"), (723, "巨蟹座", "Cancer"),
    (823, "狮子座", "Leo"), (923, "处女座", "Virgo"), (1024, "天秤座", "Libra"), (1123, "天蝎座", "Scorpio"),
    (1222, "射手座", "Sagittarius"), (1300, "摩羯座", "Capricorn"),
)  # fmt: skip
"""Each sign with the month and day (as one number) before which it ends."""


@pass_context
def _zodiac(context: Context, value: object) -> str:
    day = _day(value, "zodiac")
    number = day.month * 100 + day.day
    chinese, english = next(names for ends, *names in _SIGNS if number < ends)
    return chinese if language_of(context) == "zh" else english


def _year(value: object) -> int:
    return _day(value, "year").year


def _month(value: object) -> int:
    return _day(value, "month").month


@pass_context
def _weekday(context: Context, value: object) -> str:
    return _WEEKDAYS[language_of(context)][_day(value, "weekday").weekday()]


@pass_context
def _in_words(context: Context, value: object) -> str:
    today = context.parent.get("today")
    if not isinstance(today, date):
        raise ValueRefused("in_words needs to know what day it is", "give the data a `today`")
    return in_words(_day(value, "in_words"), _day(today, "in_words"), language_of(context))


@pass_context
def _money(context: Context, value: object, currency: object = "") -> str:
    if isinstance(value, dict) and set(value) == {"amount", "currency"}:
        stated = str(value["currency"])
        return money_text(
            values.money(_whole(value["amount"], "money", -values.LARGEST, values.LARGEST), stated), stated
        )
    amount = _number(value, "money")
    if isinstance(amount, values.Money):
        return money_text(amount, amount.currency)
    return money_text(Decimal(amount), str(currency or context.parent.get("currency") or "CNY"))


def money_text(amount: Decimal, currency: str) -> str:
    """An amount in major units with its currency's sign: ¥25.90, £2.55, -¥1,200.00, CHF 8.00."""
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()):
        raise ValueRefused(
            f"money: {currency[:10]!r} is not a currency", "three capital letters, such as CNY"
        )
    places = decimals(currency)
    cents = amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    sign = "-" if cents < 0 else ""
    return f"{sign}{SYMBOLS.get(currency, currency + ' ')}{abs(cents):,f}"


def _mask(value: object) -> str:
    text = _text(value, "mask").strip()
    if len(text) >= 7 and sum(letter.isdigit() for letter in text) >= 7:
        return text[:3] + "****" + text[-4:]
    if "@" in text[1:]:
        name, _, place = text.partition("@")
        return f"{name[:1]}***@{place}"
    return text[:1] + "*" * min(max(len(text) - 1, 1), 3) if text else ""


def _upper(value: object) -> str:
    return values.short(_text(value, "upper").upper())


def _lower(value: object) -> str:
    return values.short(_text(value, "lower").lower())


def _title(value: object) -> str:
    return values.short(
        " ".join(word[:1].upper() + word[1:].lower() for word in _text(value, "title").split(" "))
    )


def _trim(value: object) -> str:
    return _text(value, "trim").strip()


def _replace(value: object, old: object, new: object) -> str:
    text, found, instead = _text(value, "replace"), _text(old, "replace"), _text(new, "replace")
    if not found:
        raise ValueRefused("replace needs a text to look for; it is empty")
    if len(text) + text.count(found) * (len(instead) - len(found)) > values.TEXT_LENGTH:
        raise ValueRefused(f"replace would make a text of more than {values.TEXT_LENGTH:,} characters")
    return text.replace(found, instead)


def _truncate(value: object, length: object = 20, end: object = "…") -> str:
    text, most, tail = _text(value, "truncate"), _whole(length, "truncate", 1, 2_000), _text(end, "truncate")
    return text if len(text) <= most else text[: max(most - len(tail), 0)].rstrip() + tail[:most]


def _round(value: object, places: object = 0) -> int | Decimal:
    amount, kept = _number(value, "round"), _whole(places, "round", 0, 6)
    rounded = Decimal(amount).quantize(Decimal(1).scaleb(-kept), ROUND_HALF_UP)
    if isinstance(amount, values.Money):
        return values.money(
            int(rounded.scaleb(decimals(amount.currency)).to_integral_value()), amount.currency
        )
    return rounded if kept else int(rounded)


def _int(value: object) -> int:
    if isinstance(value, str):
        return int(_parsed(value, "int"))
    return int(_number(value, "int"))


def _parsed(text: str, name: str) -> Decimal:
    digits = text.strip()
    if len(digits) > 20 or not digits.isascii() or not digits.lstrip("+-").replace(".", "", 1).isdigit():
        raise ValueRefused(f"{name}: {text[:20]!r} is not a number")
    return Decimal(values.number(Decimal(digits)))


def _number_text(value: object, places: object = 0) -> str:
    amount = Decimal(_number(value, "number"))
    kept = _whole(places, "number", 0, 6)
    return f"{amount.quantize(Decimal(1).scaleb(-kept), ROUND_HALF_UP):,f}"


def _percent(value: object, places: object = 0) -> str:
    amount = Decimal(_number(value, "percent")) * 100
    return f"{amount.quantize(Decimal(1).scaleb(-_whole(places, 'percent', 0, 6)), ROUND_HALF_UP):f}%"


def _abs(value: object) -> int | Decimal:
    amount = _number(value, "abs")
    return amount if amount >= 0 else values.negated("-", amount)


def _length(value: object) -> int:
    if isinstance(value, list | tuple | str):
        return len(value)
    raise _refused(value, "length", "a list or a text")


def _first(value: object) -> object:
    return next(iter(_either(value, "first")), None)


def _last(value: object) -> object:
    found = _either(value, "last")
    return found[-1] if found else None


def _either(value: object, name: str) -> Any:
    return value if type(value) is str else _sequence(value, name)


def _join(value: object, separator: object = "") -> str:
    between = _text(separator, "join")
    parts = [values.shown(one) for one in _sequence(value, "join")]
    if sum(map(len, parts)) + len(between) * len(parts) > values.TEXT_LENGTH + len(between):
        raise ValueRefused(f"join would make a text of more than {values.TEXT_LENGTH:,} characters")
    if any(isinstance(part, Markup) for part in parts):
        raise ValueRefused("join cannot change escaped text", "let escape come last")
    return between.join(parts)


def _escape(value: object) -> Markup:
    return value if isinstance(value, Markup) else escape(_text(value, "escape"))


def _nl2br(value: object) -> Markup:
    return Markup("<br>\n").join(escape(line) for line in _text(value, "nl2br").split("\n"))


FILTERS: dict[str, Filter] = {
    "default": Filter(_default, 0, 2, 0, "another value where there is none: default(\"亲\")"),
    "day": Filter(_day_filter, 0, 1, 18, "a date as people write it; forms: long, short, iso"),
    "year": Filter(_year, 0, 0, 4, "the year of a date"),
    "month": Filter(_month, 0, 0, 2, "the month of a date, 1 to 12"),
    "zodiac": Filter(_zodiac, 0, 0, 11, "the sign of the zodiac of a birthday: 双鱼座, Pisces"),
    "weekday": Filter(_weekday, 0, 0, 9, "the day of the week of a date"),
    "in_words": Filter(_in_words, 0, 0, 13, "how far a date is from today: 明天, 3天后; in 3 days"),
    "money": Filter(_money, 0, 1, 16, "an amount with its currency: ¥25.90"),
    "mask": Filter(_mask, 0, 0, 0, "a name or a phone number with its middle hidden: 张*, 138****1234"),
    "upper": Filter(_upper, 0, 0, 0, "in capital letters"),
    "lower": Filter(_lower, 0, 0, 0, "in small letters"),
    "title": Filter(_title, 0, 0, 0, "each word with a capital letter"),
    "trim": Filter(_trim, 0, 0, 0, "without blanks at both ends"),
    "replace": Filter(_replace, 2, 2, 0, "one text put for another: replace(\"元\", \" yuan\")"),
    "truncate": Filter(_truncate, 0, 2, 0, "at most so many characters: truncate(10)"),
    "round": Filter(_round, 0, 1, 16, "rounded, half away from zero: round(1)"),
    "int": Filter(_int, 0, 0, 16, "the whole part of a number"),
    "abs": Filter(_abs, 0, 0, 16, "a number without its sign"),
    "number": Filter(_number_text, 0, 1, 20, "a number with commas: 12,000; number(2) keeps two decimals"),
    "percent": Filter(_percent, 0, 1, 12, "a share as a percentage: 0.1 is 10%"),
    "length": Filter(_length, 0, 0, 4, "how many in a list, how many characters in a text"),
    "first": Filter(_first, 0, 0, 0, "the first of a list or text"),
    "last": Filter(_last, 0, 0, 0, "the last of a list or text"),
    "join": Filter(_join, 0, 1, 0, "a list as one text: join(\"、\")"),
    "escape": Filter(_escape, 0, 0, 0, "safe inside HTML (HTML templates do this by themselves)"),
    "e": Filter(_escape, 0, 0, 0, "the same as escape"),
}  # fmt: skip

HTML_FILTERS: dict[str, Filter] = {
    "nl2br": Filter(_nl2br, 0, 0, 0, "line breaks as <br>, for HTML texts only"),
}


def _is_defined(value: object) -> bool:
    return value is not None and not isinstance(value, Undefined)


def _is_none(value: object) -> bool:
    return not _is_defined(value)


def _is_odd(value: object) -> bool:
    return _number(value, "odd") % 2 == 1


def _is_even(value: object) -> bool:
    return _number(value, "even") % 2 == 0


TESTS: dict[str, Callable[[object], bool]] = {
    "defined": _is_defined,
    "undefined": _is_none,
    "none": _is_none,
    "odd": _is_odd,
    "even": _is_even,
}
