"""What the text of a cell means: texts, numbers, money, times, flags.

In: cells as texts, a column of a chunk at a time. Out: values ready for the database, with `Refused`
in the place of each cell that cannot be taken. A column remembers what it has read (bounded), so that
a million lines cost about as much as their distinct values.
Trap: Python's own parsers take far more than a shop means: `1_000`, full-width digits, NaN, week dates.
Cells of typed sources are texts too, of the classes below, so that `true` is never the number 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from smr import clock
from smr.almanac import is_called_lunar, parse_lunar
from smr.currency import decimals

LONGEST_KEY = 200
LONGEST_TEXT = 500
LONGEST_CONTENT = 10_000
LARGEST_QUANTITY = 1_000_000
LARGEST_AMOUNT = 10**15
YEARS = (1970, 2100)
LUNAR = "农历"
"""Stands before a lunar date in a column of birthdays of both calendars."""
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,20})?")
_WHOLE = re.compile(r"[0-9]{1,9}")
_WHOLE_ID = re.compile(r"-?[0-9]{1,30}")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:([T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?)(?:\.[0-9]{1,9})?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_CLOCK = re.compile(r"(?:[T ]([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.[0-9]{1,9})?)?)?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CURRENCY = re.compile(r"[A-Z]{3}")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_PHONE = re.compile(r"\+?[0-9][0-9 ()-]{3,24}")
_EMAIL = re.compile(r"[^\s@,;<>]{1,64}@[^\s@,;<>]{1,255}")
FLAGS = {"true": True, "false": False, "1": True, "0": False}


class Numeral(str):
    """A number of a typed source, in its own digits."""

    __slots__ = ()


class Truth(str):
    """A true or false of a typed source."""

    __slots__ = ()


class Nested(str):
    """A list or an object where a plain value belongs."""

    __slots__ = ()


class CellError(ValueError):
    """This cell cannot be taken."""

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Refused:
    """Stands where a value would, for a cell that cannot be taken."""

    code: str
    reason: str


class Remembered(dict[Hashable, Any]):
    """Values by what they are read from; reads what it does not know, forgets all when it holds `limit`."""

    def __init__(self, read: Callable[[Any], Any], limit: int = 20_000) -> None:
        super().__init__()
        self.refused = False
        self._read = read
        self._limit = limit

    def __missing__(self, cell: Hashable) -> Any:
        try:
            value = self._read(cell)
        except CellError as error:
            self.refused = True
            return Refused(error.code, error.reason)
        if len(self) >= self._limit:
            self.clear()
        self[cell] = value
        return value

    def all(self, cells: Sequence[Hashable]) -> list[Any]:
        """The values of all these, in order; `refused` then tells whether there is a Refused among them."""
        self.refused = False
        return list(map(self.__getitem__, cells))


class Column:
    """A column of values that repeat: numbers, times, flags."""

    def __init__(self, name: str, read: Callable[[str], Any], *, needed: bool = False) -> None:
        self._memory = Remembered(lambda cell: _taken(name, read, cell, needed))
        self.name = name
        self.needed = needed

    @property
    def refused(self) -> bool:
        """Whether the last cells read had one that cannot be taken."""
        return self._memory.refused

    def read(self, cells: Sequence[str]) -> list[Any]:
        """The values of these cells; None for an empty one that is not needed."""
        return self._memory.all(cells)


class TextColumn:
    """A column of texts, checked all at once where there is nothing wrong with any."""

    def __init__(
        self, name: str, *, needed: bool = False, longest: int = LONGEST_KEY, lines: bool = False
    ) -> None:
        self.name = name
        self.needed = needed
        self.refused = False
        self._longest = longest
        self._control = _CONTROL_BUT_LINES if lines else CONTROL

    def read(self, cells: Sequence[str]) -> list[Any]:
        """The texts without surrounding spaces; None for an empty one that is not needed."""
        self.refused = False
        if {*map(type, cells)} == {str}:
            texts = list(map(str.strip, cells))
            if "".join(texts).isprintable() and max(map(len, texts)) <= self._longest:
                if all(texts):
                    return texts
                if not self.needed:
                    return [text or None for text in texts]
        return [self._one(cell) for cell in cells]

    def _one(self, cell: str) -> str | Refused | None:
        try:
            return _taken(self.name, self._text, cell, self.needed)  # type: ignore[no-any-return]
        except CellError as error:
            self.refused = True
            return Refused(error.code, error.reason)

    def _text(self, cell: str) -> str:
        if isinstance(cell, Truth | Nested) or (isinstance(cell, Numeral) and not _WHOLE_ID.fullmatch(cell)):
            raise CellError("text", f"{shown(cell)} is not a text")
        if self._control.search(cell):
            raise CellError("bad_text", f"{shown(cell)} has a control character or half a character in it")
        if len(cell) > self._longest:
            raise CellError("too_long", f"{len(cell)} characters where {self._longest} are allowed")
        return str(cell)


class MomentColumn:
    """A column of times, as whole seconds since 1970; those without an offset are local to the shop.

    On most days a time is the beginning of its day and the seconds since: both are looked up. Days on which
    the clocks change, and times with an offset, are worked out one by one.
    """

    def __init__(self, name: str, zone: ZoneInfo, *, needed: bool = False) -> None:
        self.name = name
        self.needed = needed
        self.refused = False
        self._days = _Days(zone)
        self._clocks = _Clocks()
        self._memory = Remembered(
            lambda cell: _taken(name, lambda text: read_moment(text, zone), cell, needed)
        )

    def read(self, cells: Sequence[str]) -> list[Any]:
        """The seconds of these times; None for an empty one that is not needed."""
        days, clocks = self._days, self._clocks
        self.refused = False
        try:
            return [days[cell[:10]] + clocks[cell[10:]] for cell in cells]
        except KeyError:
            seconds = self._memory.all(cells)
            self.refused = self._memory.refused
            return seconds


class _Days(dict[str, int]):
    """The second at which a day begins; only of days without a change of the clocks."""

    def __init__(self, zone: ZoneInfo) -> None:
        super().__init__()
        self._zone = zone

    def __missing__(self, day: str) -> int:
        try:
            start, end = (read_moment(text, self._zone) for text in (day, f"{day} 23:59:59"))
        except CellError:
            raise KeyError(day) from None
        if end - start != clock.DAY - 1:
            raise KeyError(day)
        self[day] = start
        return start


class _Clocks(dict[str, int]):
    """The seconds since the beginning of the day of what follows the day in a time without offset."""

    def __missing__(self, text: str) -> int:
        found = _CLOCK.fullmatch(text)
        if not found:
            raise KeyError(text)
        if len(self) > 100_000:
            self.clear()
        hour, minute, second = (int(part or 0) for part in found.groups())
        self[text] = seconds = hour * 3600 + minute * 60 + second
        return seconds


def read_moment(cell: str, zone: ZoneInfo) -> int:
    """`2024-03-01`, `2024-03-01 09:30[:15]`, the same with T and an offset, as seconds since 1970."""
    found = _MOMENT.fullmatch(cell)
    if not found:
        raise CellError("time", f"{shown(cell)} is not a time; write 2024-03-01 or 2024-03-01T09:30:00")
    day, time, offset = found.groups()
    if not YEARS[0] <= int(day[:4]) <= YEARS[1]:
        raise CellError("time", f"{shown(cell)} is not between the years {YEARS[0]} and {YEARS[1]}")
    try:
        stated = datetime.fromisoformat(day + (time or "") + (offset or ""))
    except ValueError:
        raise CellError("time", f"{shown(cell)} is not a time that exists") from None
    return int((stated if stated.tzinfo else stated.replace(tzinfo=zone)).timestamp())


def read_quantity(cell: str) -> float:
    """How many were bought: more than none, in plain digits."""
    quantity = float(_plain_number(cell, "number"))
    if not 0 < quantity <= LARGEST_QUANTITY:
        reason = f"{shown(cell)} is not between 0 and {LARGEST_QUANTITY}; returns are refunds"
        raise CellError("quantity_range", reason)
    return quantity


def read_units(cell: str) -> float:
    """Units of use in one piece."""
    units = float(_plain_number(cell, "number"))
    if not 0 < units <= LARGEST_QUANTITY:
        raise CellError("number", f"{shown(cell)} is not more than 0")
    return units


def read_stock(cell: str) -> float:
    """Pieces in stock: none, or more; what is oversold counts as none."""
    stock = float(_plain_number(cell, "number"))
    if stock > LARGEST_AMOUNT:
        raise CellError("number", f"{shown(cell)} is more than can be right")
    return max(stock, 0.0)


def read_line_no(cell: str) -> int:
    """The number of a line within its order and product."""
    if not _WHOLE.fullmatch(cell):
        raise CellError("number", f"{shown(cell)} is not a whole number from 0 to 999999999")
    return int(cell)


def read_money(cell: str) -> Decimal:
    """A price or an amount in major units, not below 0."""
    money = _plain_number(cell, "money")
    if money < 0:
        raise CellError("money", f"{shown(cell)} is below 0; money given back is a refund")
    return money


def read_currency(cell: str) -> str:
    """A currency by its three letters."""
    if not _CURRENCY.fullmatch(cell):
        raise CellError("currency", f"{shown(cell)} is not a currency; write three capitals such as CNY")
    return str(cell)


def read_price(cell: str, currency: str) -> int | Decimal:
    """A price in whole minor units of the currency where it is exact, else in major units."""
    price = read_money(cell)
    minor = price.scaleb(decimals(currency))
    return int(minor) if minor == minor.to_integral_value() else price


def minor_units(money: Decimal, currency: str) -> int:
    """An amount in whole minor units of its currency, halves away from 0."""
    return whole(money.scaleb(decimals(currency)))


def whole(minor: Decimal) -> int:
    """Minor units without a fraction."""
    amount = int(minor.quantize(Decimal(1), ROUND_HALF_UP))
    if amount > LARGEST_AMOUNT:
        raise CellError("money", f"{amount} minor units are more than can be right")
    return amount


def read_flag(cell: str) -> bool:
    """`true` or `false`, or 1 or 0."""
    try:
        return FLAGS[cell.lower()]
    except KeyError:
        raise CellError("boolean", f"{shown(cell)} is neither true nor false") from None


def read_birthday(cell: str) -> str:
    """A day in the past two centuries, as YYYY-MM-DD."""
    if not _DAY.fullmatch(cell):
        raise CellError("day", f"{shown(cell)} is not a day; write 1990-05-31")
    try:
        born = date.fromisoformat(cell)
    except ValueError:
        raise CellError("day", f"{shown(cell)} is not a day that exists") from None
    if not 1880 <= born.year <= YEARS[1]:
        raise CellError("day", f"{shown(cell)} cannot be a birthday")
    return str(cell)


def read_lunar_birthday(cell: str) -> str:
    """A birthday in the lunar calendar: `1990-08-15`, `1990-L05-15`, `八月十五`; the year may be missing."""
    try:
        return str(parse_lunar(cell))
    except ValueError as error:
        raise CellError("day", str(error)) from None


def read_any_birthday(cell: str) -> str:
    """A birthday in either calendar; a lunar one says so, such as 农历八月十五, and keeps that word."""
    return f"{LUNAR}{read_lunar_birthday(cell)}" if is_called_lunar(cell) else read_birthday(cell)


def read_zone(cell: str) -> str:
    """A time zone's IANA name."""
    try:
        clock.zone(cell)
    except ValueError:
        raise CellError("zone", f"{shown(cell)} is not a time zone; write such as Asia/Shanghai") from None
    return str(cell)


def read_phone(cell: str) -> str:
    """A telephone number."""
    if not _PHONE.fullmatch(cell):
        raise CellError("phone", "that is not a telephone number; digits, perhaps a + before them")
    return str(cell)


def read_email(cell: str) -> str:
    """An e-mail address."""
    if not _EMAIL.fullmatch(cell):
        raise CellError("email", "that is not an e-mail address")
    return str(cell)


def shown(cell: str) -> str:
    """A cell as it may stand in a message: short, with odd characters spelled out."""
    return ascii_controls(cell if len(cell) <= 60 else cell[:57] + "…")


def ascii_controls(text: str) -> str:
    """The text in quotes, control characters and half characters as escapes."""
    return "'" + CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "'"


def _taken(name: str, read: Callable[[str], Any], cell: str, needed: bool) -> Any:
    stripped = cell.strip()
    if not stripped:
        if needed:
            raise CellError("missing", f"{name}: is empty")
        return None
    # strip() gives a plain text, and the kind of a typed cell must not be lost.
    try:
        return read(cell if type(cell) is not str else stripped)
    except CellError as error:
        raise CellError(error.code, f"{name}: {error.reason}") from None


def _plain_number(cell: str, code: str) -> Decimal:
    if not _NUMBER.fullmatch(cell):
        raise CellError(code, f"{shown(cell)} is not a number in plain digits, such as 12.50")
    return Decimal(cell)
