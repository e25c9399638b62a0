"""How operators write spans, rates, shares, times of day and moments of sending.

Each notation is a small frozen value with one parser. The parsers take text (YAML scalars stay text)
and raise ValueError with a sentence that says what was found and what to write. The annotated types
below use them in pydantic models and describe themselves in the JSON Schema.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from smr import clock

UNITS = {"m": 60, "h": 3600, "d": clock.DAY, "w": 7 * clock.DAY}
LONGEST = 3660 * clock.DAY
_SPAN = re.compile(r"([0-9]{1,6})(m|h|d|w)")
_SHORT = re.compile(r"([0-9]{1,4})(s|m|h)")
_RATE = re.compile(r"([0-9]{1,6}) per (\S+)")
CALENDAR = {"day": clock.DAY, "week": 7 * clock.DAY, "month": 31 * clock.DAY}
"""What rates may count by the calendar, and how long one is at most."""
PACES = {"second": 1, "minute": 60, "hour": 3600, "day": clock.DAY}
_PACE = re.compile(rf"([0-9]{{1,7}}) per ({'|'.join(PACES)})")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)%")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_SEND = re.compile(
    r"(?:(?P<on>on)|(?P<span>\S+) (?P<side>before|after)) (?P<base>[\w-]+)(?: at (?P<share>\S+))?"
)
_NUMBER = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,6})?")
_WHOLE = re.compile(r"-?[0-9]{1,12}")


@dataclass(frozen=True)
class Rate:
    """At most `count` within any `span` seconds.

    With a `calendar`, `week` or `month`, within each of these; `span` is then how long one is at most.
    """

    count: int
    span: int
    calendar: str = ""

    @property
    def by_day(self) -> bool:
        """Whether whole days of the shop are counted, the one in question included."""
        return self.span % clock.DAY == 0

    def since(self, at: datetime, where: ZoneInfo) -> datetime:
        """The instant from which all counts that counts at `at`, in the shop's zone `where`."""
        if not self.by_day:
            return at - timedelta(seconds=self.span - 1)
        day = clock.local_day(at, where)
        back = {"week": day.weekday(), "month": day.day - 1}.get(self.calendar, self.span // clock.DAY - 1)
        return clock.day_start(day - timedelta(days=back), where)

    def __str__(self) -> str:
        return f"{self.count} per {self.calendar or span_text(self.span)}"


@dataclass(frozen=True)
class Send:
    """When a step is due: `offset` seconds (negative: before) from `base`.

    `base` is `due` (the run-out or the date), `anchor` (the purchase or event), or an earlier step. With
    a `share`, due is when that share of customers alike have bought again.
    """

    offset: int
    base: str
    share: float | None = None

    @property
    def by_day(self) -> bool:
        """Whether the step is due from the beginning of its local day rather than at the second."""
        return self.offset % clock.DAY == 0

    def __str__(self) -> str:
        at = "" if self.share is None else f" at {round(self.share * 100, 4):g}%"
        if self.offset == 0:
            return f"on {self.base}{at}"
        side = "before" if self.offset < 0 else "after"
        return f"{span_text(abs(self.offset))} {side} {self.base}{at}"


def parse_span(value: Any) -> int:
    """`30d`, `12h`, `45m`, `2w` as seconds; more than zero and at most ten years."""
    text = _text(value)
    found = _SPAN.fullmatch(text)
    if not found:
        raise ValueError(
            f"{text!r} is not a span of time; write a number and a unit, such as 30d, 12h, 45m or 2w"
        )
    seconds = int(found[1]) * UNITS[found[2]]
    if not 0 < seconds <= LONGEST:
        raise ValueError(
            f"{text!r} is out of range; a span is longer than nothing and at most ten years (3660d)"
        )
    return seconds


def parse_short_span(value: Any) -> int:
    """`30s`, `5m`, `1h` as seconds; more than zero and at most a day: how long machines wait."""
    text = _text(value)
    found = _SHORT.fullmatch(text)
    if not found:
        raise ValueError(
            f"{text!r} is not a short span of time; write a number and a unit, such as 30s, 5m or 1h"
        )
    seconds = int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]
    if not 0 < seconds <= clock.DAY:
        raise ValueError(f"{text!r} is out of range; write more than nothing and at most a day (24h)")
    return seconds


def short_span_text(seconds: int) -> str:
    """A short span as an operator would write it."""
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def span_text(seconds: int) -> str:
    """A span as an operator would write it."""
    for unit in (
        ("w", "d", "h") if seconds % (7 * clock.DAY) == 0 and seconds >= 28 * clock.DAY else ("d", "h")
    ):
        if seconds % UNITS[unit] == 0:
            return f"{seconds // UNITS[unit]}{unit}"
    return f"{seconds // 60}m"


def parse_rate(value: Any) -> Rate:
    """`1 per 20d`; of calendar days, weeks and months `4 per month`."""
    text = _text(value)
    found = _RATE.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a rate; write how many and in how long, such as 1 per 20d")
    count = int(found[1])
    if not 1 <= count <= 1000:
        raise ValueError(f"{text!r} is out of range; a rate allows from 1 to 1000")
    if found[2] in CALENDAR:
        return Rate(count, CALENDAR[found[2]], "" if found[2] == "day" else found[2])
    if not _SPAN.fullmatch(found[2]):
        what = f"{found[2]!r} is not a span of time"
        raise ValueError(f"{what}; write such as 20d, 36h, 2w, or day, week, month")
    return Rate(count, parse_span(found[2]))


def parse_rates(value: Any) -> Any:
    """One rate may stand alone where a list of rates may."""
    return [value] if isinstance(value, str) else value


def parse_pace(value: Any) -> Rate:
    """`50 per second`, `600 per minute`: how fast a channel may be."""
    text = _text(value)
    found = _PACE.fullmatch(text)
    if not found:
        raise ValueError(
            f"{text!r} is not a rate; write how many per second, minute, hour or day, such as 50 per second"
        )
    if int(found[1]) < 1:
        raise ValueError(f"{text!r} is out of range; a rate allows at least 1")
    return Rate(int(found[1]), PACES[found[2]])


def pace_text(rate: Rate) -> str:
    """A channel's rate as an operator would write it."""
    return f"{rate.count} per {next(name for name, span in PACES.items() if span == rate.span)}"


def parse_share(value: Any) -> float:
    """`10%` as 0.1; from 0% to 100%."""
    text = _text(value)
    found = _SHARE.fullmatch(text)
    if not found or float(found[1]) > 100:
        raise ValueError(f"{text!r} is not a share; write a percentage from 0% to 100%, such as 10%")
    return float(found[1]) / 100


def parse_time(value: Any) -> time:
    """`22:00`."""
    text = _text(value)
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a time of day; write hours and minutes, from 00:00 to 23:59")
    return time(int(found[1]), int(found[2]))


def parse_send(value: Any) -> Send:
    """`5d before due`, `on due`, `due at 75%`, `7d after anchor`, `2d after heads_up`."""
    text = " ".join(_text(value).split())
    text = f"on {text}" if text == "due" or text.startswith("due at ") else text
    found = _SEND.fullmatch(text)
    if not found:
        raise ValueError(
            f"{text!r} does not say when; write such as 5d before due, on due, 3d after due, "
            "7d after purchase, or 2d after NAME-OF-AN-EARLIER-STEP"
        )
    base = "anchor" if found["base"] in {"anchor", "purchase", "date", "slot"} else found["base"]
    share = None if found["share"] is None else _part(found["share"], base)
    if found["on"]:
        return Send(0, base, share)
    span = parse_span(found["span"])
    return Send(-span if found["side"] == "before" else span, base, share)


def _part(text: str, base: str) -> float:
    """A share more than nothing and less than all, of `due` only."""
    if base != "due":
        raise ValueError(
            f"at {text} is said of due only, such as 5d before due at 75%; {base} has one moment"
        )
    share = parse_share(text)
    if not 0.01 <= share <= 0.99:
        raise ValueError(f"{text!r} is out of range; write a share from 1% to 99%, such as due at 75%")
    return share


def parse_flag(value: Any) -> bool:
    """`true` or `false`; nothing else is a yes or a no."""
    if isinstance(value, bool):
        return value
    text = _text(value)
    if text not in {"true", "false"}:
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


def parse_whole(value: Any) -> int:
    """A whole number in plain digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = _text(value)
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a whole number; write plain digits, such as 50")
    return int(text)


def parse_number(value: Any) -> Decimal:
    """A number in plain digits, with at most six decimals."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        value = str(value)
    text = _text(value)
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number")
    return Decimal(text)


def parse_moment(value: str, where: ZoneInfo) -> datetime:
    """`2026-11-23`, `2026-11-23 09:00[:30]` or the same with T and an offset, as an instant in UTC.

    A day alone is its beginning. Without an offset the time is local to `where`.
    """
    text = value.strip()
    if not re.fullmatch(
        r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?", text
    ):
        raise ValueError(
            f"{value!r} is not a time; write 2026-11-23 or 2026-11-23T09:00 (an offset may follow)"
        )
    try:
        found = datetime.fromisoformat(text)
        local = found if found.tzinfo else found.replace(tzinfo=where)
        return local.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        raise ValueError(f"{value!r} is not a time that exists") from None


def parse_day(value: Any) -> date:
    """`2026-11-23`."""
    text = _text(value)
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise ValueError(f"{text!r} is not a day; write year, month and day, such as 2026-11-23")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a day that exists") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        kind = {dict: "a mapping", list: "a list", type(None): "nothing"}.get(
            type(value), "another kind of value"
        )
        raise ValueError(f"expected a short text here, found {kind}")
    return value.strip()


SPAN_SCHEMA = {"type": "string", "pattern": r"^\d+(m|h|d|w)$", "examples": ["30d", "12h", "2w"]}

Span = Annotated[
    int, BeforeValidator(parse_span), PlainSerializer(span_text, return_type=str), WithJsonSchema(SPAN_SCHEMA)
]
ShortSpan = Annotated[
    int,
    BeforeValidator(parse_short_span),
    PlainSerializer(short_span_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(s|m|h)$", "examples": ["30s", "5m"]}),
]
RATE_SCHEMA = {
    "type": "string",
    "pattern": r"^\d+ per (\d+(m|h|d|w)|day|week|month)$",
    "examples": ["1 per 20d", "4 per month"],
}
RateText = Annotated[
    Rate,
    BeforeValidator(parse_rate),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(RATE_SCHEMA),
]
RateTexts = Annotated[
    tuple[RateText, ...],
    BeforeValidator(parse_rates),
    WithJsonSchema({"anyOf": [RATE_SCHEMA, {"type": "array", "items": RATE_SCHEMA}]}),
]
PaceText = Annotated[
    Rate,
    BeforeValidator(parse_pace),
    PlainSerializer(pace_text, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\d+ per (second|minute|hour|day)$",
            "examples": ["50 per second", "600 per minute"],
        }
    ),
]
Share = Annotated[
    float,
    BeforeValidator(parse_share),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,3}(\.\d+)?%$", "examples": ["10%"]}),
]
TimeOfDay = Annotated[
    time,
    BeforeValidator(parse_time),
    WithJsonSchema({"type": "string", "pattern": r"^([01]\d|2[0-3]):[0-5]\d$", "examples": ["22:00"]}),
]
SendText = Annotated[
    Send,
    BeforeValidator(parse_send),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^((on|\d+(m|h|d|w) (before|after)) [\w-]+|due)( at \d{1,2}(\.\d+)?%)?$",
            "examples": [
                "5d before due",
                "on due",
                "due at 75%",
                "3d after due",
                "7d after purchase",
                "2d after heads_up",
            ],
        }
    ),
]
Flag = Annotated[bool, BeforeValidator(parse_flag), WithJsonSchema({"type": "boolean"})]
Whole = Annotated[int, BeforeValidator(parse_whole), WithJsonSchema({"type": "integer"})]
Number = Annotated[Decimal, BeforeValidator(parse_number), WithJsonSchema({"type": "number"})]
Day = Annotated[date, BeforeValidator(parse_day), WithJsonSchema({"type": "string", "format": "date"})]
