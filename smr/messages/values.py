"""What a value in a template can be, how it is printed, and what can be done with it.

Values are plain: text, whole numbers, decimals, money, dates, yes and no, nothing, lists and mappings of
these. Nothing here looks at a Python attribute of a value. Whatever does not fit raises ValueRefused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime
from decimal import ROUND_FLOOR, Decimal, DecimalException

from jinja2 import Undefined
from markupsafe import Markup

from smr.currency import decimals
from smr.messages.fault import ValueRefused

TEXT_LENGTH = 2_000
LIST_LENGTH = 200
DEPTH = 6
LARGEST = 10**15
SMALLEST_EXPONENT = -20


class Money(Decimal):
    """An amount in major units (25.90) that knows its currency."""

    currency: str

    __slots__ = ("currency",)

    @classmethod
    def of(cls, amount: Decimal, currency: str) -> Money:
        """This amount in major units."""
        made = cls(amount)
        made.currency = currency
        return made


def money(minor: int, currency: str) -> Money:
    """An amount in minor units (2590 fen) as Money."""
    return Money.of(Decimal(minor).scaleb(-decimals(currency)), currency)


def plain(value: object, depth: int = 0) -> object:
    """A deep copy made of plain values only, within the limits; anything else is refused.

    Numbers with a fraction become Decimal, so that 0.1 + 0.2 is 0.3.
    """
    if type(value) is str:
        if len(value) > TEXT_LENGTH:
            raise ValueRefused(
                f"a text of {len(value):,} characters; at most {TEXT_LENGTH:,} fit in a message"
            )
        return value
    if value is None or isinstance(value, bool | Money):
        return value
    if isinstance(value, int | float | Decimal):
        return number(value)
    if isinstance(value, date):
        return value
    if depth >= DEPTH:
        raise ValueRefused(f"values more than {DEPTH} levels deep")
    if isinstance(value, list | tuple | dict) and len(value) > LIST_LENGTH:
        raise ValueRefused(f"a list of {len(value):,}; at most {LIST_LENGTH} fit in a message")
    if isinstance(value, list | tuple):
        return [plain(one, depth + 1) for one in value]
    if isinstance(value, dict):
        return {str(key): plain(one, depth + 1) for key, one in value.items()}
    raise ValueRefused(f"{kind(value)} cannot be used in a message")


def number(value: int | float | Decimal) -> int | Decimal:
    """A number that can be computed with and printed: finite and of an ordinary size."""
    if isinstance(value, bool):
        raise ValueRefused("yes/no is not a number")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueRefused(f"{value} is not a number that can be printed")
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueRefused(f"{value} is not a number that can be printed")
        if value and not SMALLEST_EXPONENT <= value.adjusted() <= 15:
            raise ValueRefused("a number out of all ordinary size")
        exponent = value.as_tuple().exponent
        if isinstance(exponent, int) and exponent < 3 * SMALLEST_EXPONENT:
            raise ValueRefused("a number with too many decimals")
    if not -LARGEST <= value <= LARGEST:
        raise ValueRefused("a number out of all ordinary size")
    return value


def kind(value: object) -> str:
    """What a value is, in the operator's words."""
    for types, name in _KINDS:
        if isinstance(value, types):
            return name
    return "something that is no text"


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (str, "a text"),
    (bool, "yes/no"),
    (Money, "an amount of money"),
    ((int, float, Decimal), "a number"),
    (date, "a date"),
    ((list, tuple), "a list"),
    (dict, "a group of values"),
    (type(None), "nothing"),
)


def shown(value: object) -> str:
    """A value as it is printed: text, numbers and dates only."""
    if type(value) is str:
        if len(value) > TEXT_LENGTH:
            raise ValueRefused(
                f"a text of {len(value):,} characters; at most {TEXT_LENGTH:,} can be printed at once"
            )
        return value
    if type(value) is int and -LARGEST <= value <= LARGEST:
        return str(value)
    if isinstance(value, Markup):
        return value
    if isinstance(value, bool):
        raise ValueRefused("yes/no cannot be printed", "use {% if … %}")
    if isinstance(value, int):
        return str(number(value))
    if isinstance(value, float | Decimal):
        return format(number(value), "f")
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, date):
        return value.isoformat()
    raise _cannot_show(value)


def _cannot_show(value: object) -> ValueRefused:
    if isinstance(value, Undefined):
        return ValueRefused(value._undefined_message, 'where it may be missing, add | default("…")')
    if value is None:
        return ValueRefused("there is no value", 'add | default("…")', empty=True)
    if isinstance(value, dict):
        names = ", ".join(str(key) for key in list(value)[:8])
        return ValueRefused("a whole group of values cannot be printed", f"name one of its parts: {names}")
    if isinstance(value, list | tuple):
        return ValueRefused("a list cannot be printed", 'use {% for … %} or | join("、")')
    return ValueRefused(f"{kind(value)} cannot be printed")


def glued(values: tuple[object, ...]) -> str:
    """Values printed one after the other (the ~ operator)."""
    text = "".join(unmarked(shown(value)) for value in values)
    return short(text)


def short(text: str) -> str:
    """A text, refused where it is too long to go on with."""
    if len(text) > TEXT_LENGTH:
        raise ValueRefused(f"a text grows beyond {TEXT_LENGTH:,} characters")
    return text


def unmarked(text: str) -> str:
    """A text as it is; refused where it was escaped already."""
    if isinstance(text, Markup):
        raise ValueRefused("escaped text cannot be changed any more", "let escape or nl2br come last")
    return text


def same(left: object, right: object) -> bool:
    """Whether two values are equal; refused where they never could be, such as 3 and "3"."""
    for side in (left, right):
        if isinstance(side, Undefined):
            side._fail_with_undefined_error()
    numbers = isinstance(left, int | Decimal) and isinstance(right, int | Decimal)
    if left is not None and right is not None and not numbers and kind(left) != kind(right):
        raise ValueRefused(f"{kind(left)} is compared with {kind(right)}", "they can never be the same")
    return bool(left == right)


def _numeric(value: object) -> Decimal | int:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueRefused(
            f"cannot compute with {kind(value)}",
            "a missing number takes | default(0)" if value is None else "",
        )
    return number(value)


def computed(operator: str, left: object, right: object) -> object:
    """The result of an operator on two numbers; or of + on two short texts."""
    if operator == "+" and isinstance(left, str) and isinstance(right, str):
        return short(unmarked(left) + unmarked(right))
    if operator == "+" and (isinstance(left, str) or isinstance(right, str)):
        raise ValueRefused(f"+ between {kind(left)} and {kind(right)}", "write ~ to put them side by side")
    first, second = _numeric(left), _numeric(right)
    try:
        result = _OPERATORS[operator](first, second)
        return _as_money(operator, first, second, number(result))
    except KeyError:
        raise ValueRefused(f"the operator {operator} cannot be used") from None
    except (ZeroDivisionError, DecimalException):
        raise ValueRefused(
            "a division by zero" if not second else "a number out of all ordinary size"
        ) from None


def negated(operator: str, value: object) -> int | Decimal:
    """+x and -x of a number."""
    found = _numeric(value)
    result: int | Decimal = -found if operator == "-" else found
    return Money.of(Decimal(result), found.currency) if isinstance(found, Money) else result


def _as_money(
    operator: str, first: int | Decimal, second: int | Decimal, result: int | Decimal
) -> int | Decimal:
    left = first.currency if isinstance(first, Money) else None
    right = second.currency if isinstance(second, Money) else None
    if left and right and left != right:
        raise ValueRefused(f"cannot compute with {left} and {right} together")
    if (left or right) and not (operator == "/" and left and right):
        return Money.of(Decimal(result), str(left or right))
    return result


def _divide(a: int | Decimal, b: int | Decimal) -> int | Decimal:
    exact = Decimal(a) / Decimal(b)
    whole = exact.to_integral_value()
    return int(whole) if whole == exact else round(exact, 10).normalize()


def _floor(a: int | Decimal, b: int | Decimal) -> int | Decimal:
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    return int((Decimal(a) / Decimal(b)).to_integral_value(ROUND_FLOOR))


_OPERATORS: dict[str, Callable[[int | Decimal, int | Decimal], int | Decimal]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "//": _floor,
    "%": lambda a, b: a - b * _floor(a, b),
}
