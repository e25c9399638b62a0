"""What stands in a `*.scenarios.yaml` file, as typed and frozen values.

Times are texts that were checked for their form; they become instants where the shop's zone is known
(`clock_of`). The models check each piece by itself; `references` checks what pieces say of each other.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from smr.almanac import parse_lunar
from smr.conditions.model import Name, Names, Part
from smr.errors import did_you_mean
from smr.events import InteractionKind, Reason
from smr.notation import Day, Flag, Number, TimeOfDay, parse_moment
from smr.settings import PolicySettings, ZoneName
from smr.typed import UnfitValueError

YEARS = (1970, 2100)
MOST = 1_000
"""Most scenarios in a file, and most facts of one kind in a scenario."""


def _moment(value: Any) -> str:
    if not isinstance(value, str):
        raise UnfitValueError("time_invalid", "expected a time here; write such as 2026-11-23 09:00")
    try:
        found = parse_moment(value, ZoneInfo("UTC"))
    except ValueError as error:
        raise UnfitValueError("time_invalid", str(error)) from None
    if not YEARS[0] < found.year < YEARS[1]:
        fix = f"write a time between the years {YEARS[0]} and {YEARS[1]}"
        raise UnfitValueError("time_range", f"{value!r} is out of range; {fix}")
    return value.strip()


def _reason(value: Any) -> Any:
    known = [str(reason) for reason in Reason]
    if isinstance(value, str) and value not in known:
        raise UnfitValueError("unknown_reason", f"{value!r} is no reason; {did_you_mean(value, known)}")
    return value


def _lunar(value: Any) -> Any:
    try:
        return str(parse_lunar(value)) if isinstance(value, str) else value
    except ValueError as error:
        raise UnfitValueError("day_invalid", str(error)) from None


def _texts(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _granted(value: Any) -> Any:
    if isinstance(value, str):
        return {value: "true"}
    if isinstance(value, list) and all(isinstance(channel, str) for channel in value):
        return dict.fromkeys(value, "true")
    return value


Moment = Annotated[
    str,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-23 09:00"]}),
]
"""A time as written: a day, or a day and a time of day, local to the shop unless an offset follows."""

LunarDay = Annotated[str, BeforeValidator(_lunar)]
"""A lunar date, however it is written, as `1990-08-15`, `1990-L05-15` or, without its year, `0000-08-15`."""

Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=2_000)], ...],
    BeforeValidator(_texts),
    Field(max_length=50),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Consents = Annotated[
    dict[Name, Flag],
    BeforeValidator(_granted),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "string"}},
                {"type": "object", "additionalProperties": {"type": "boolean"}},
            ]
        }
    ),
]
"""Channels with a yes (a list), or with a yes or no (a mapping)."""


def clock_of(text: str, zone: ZoneInfo) -> datetime:
    """A checked time as an instant in UTC; a day alone is its beginning."""
    return parse_moment(text, zone)


def is_day(text: str) -> bool:
    """Whether a checked time names a day and no time of day."""
    return len(text) == len("2026-11-23")


Quantity = Annotated[Number, Field(gt=0, le=1_000_000)]
Price = Annotated[Number, Field(ge=0, le=1_000_000_000)]
Several = Field(max_length=MOST)


class GivenCustomer(Part):
    """A customer of the story."""

    id: Name
    name: Name | None = None
    gender: Name | None = None
    birthday: Day | None = None
    lunar_birthday: LunarDay | None = Field(None, description="such as 1990-08-15, 1990-L05-15 or 八月十五")
    zone: ZoneName | None = None
    locale: Name | None = None
    staff: Name | None = Field(None, description="the id of the person who owns the customer")
    store: Name | None = Field(None, description="the id of the store")
    attributes: dict[Name, str] = Field(default_factory=dict)
    addresses: dict[Name, Name] | None = Field(
        None, description="by channel; where not said, the id serves on the channels of `consents`"
    )
    consents: Consents = Field(default_factory=dict, description="[wecom, sms], or {wecom: true, sms: false}")
    tags: Texts = ()


class GivenProduct(Part):
    """A product."""

    id: Name
    name: Name | None = None
    category: Name | None = None
    price: Price | None = None
    units: Quantity = Decimal(1)
    in_stock: Flag | None = Field(None, description="whether it can be bought; where not said, nobody knows")
    substitutes: Names | None = Field(None, description="what to offer while it is out of stock")


class GivenChange(Part):
    """A product gets another price, goes out of stock or comes back."""

    product: Name
    at: Moment
    in_stock: Flag | None = None
    price: Price | None = None

    @model_validator(mode="after")
    def _some(self) -> GivenChange:
        if self.in_stock is None and self.price is None:
            raise ValueError("nothing changes; say in_stock or price")
        return self


class GivenPurchase(Part):
    """One bought line."""

    customer: Name
    product: Name
    at: Moment
    category: Name | None = Field(None, description="of a product that is not listed under products")
    quantity: Quantity = Decimal(1)
    price: Price | None = Field(None, description="of one piece")
    order: Name | None = Field(None, description="where not said: all lines of the customer at that moment")
    kind: Literal["sale", "sample", "gift"] = "sale"
    delivered_at: Moment | None = None


class GivenRefund(Part):
    """A line, or some pieces of it, taken back."""

    customer: Name
    product: Name
    at: Moment
    order: Name | None = Field(None, description="where not said: the only purchase of the product")
    quantity: Quantity | None = Field(None, description="the whole line where not said")


class GivenConsent(Part):
    """A yes or no at a time."""

    customer: Name
    channel: Name = Field(description="a channel, or * for all")
    granted: Flag
    at: Moment


class GivenTag(Part):
    """A tag, from the beginning or from a time, for good or until a time."""

    customer: Name
    tag: Name
    at: Moment | None = None
    until: Moment | None = None


class GivenInteraction(Part):
    """Something a customer did other than buying; what is said is listened to, as in an import."""

    customer: Name
    at: Moment
    kind: InteractionKind = InteractionKind.CHAT
    says: str | None = Field(None, description="what is written")
    channel: Name | None = None
    product: Name | None = Field(None, description="what it was about: attributes.product_id")


class Given(Part):
    """What has happened, and will: facts later than an expectation are not known to it."""

    customers: Annotated[tuple[GivenCustomer, ...], Several] = ()
    products: Annotated[tuple[GivenProduct, ...], Several] = ()
    changes: Annotated[tuple[GivenChange, ...], Several] = Field(
        (), description="what changes of products listed under products"
    )
    purchases: Annotated[tuple[GivenPurchase, ...], Several] = ()
    refunds: Annotated[tuple[GivenRefund, ...], Several] = ()
    consents: Annotated[tuple[GivenConsent, ...], Several] = ()
    tags: Annotated[tuple[GivenTag, ...], Several] = ()
    interactions: Annotated[tuple[GivenInteraction, ...], Several] = ()
    staff: dict[Name, Name] = Field(default_factory=dict, description="names by id")
    stores: dict[Name, Name] = Field(default_factory=dict, description="names by id")
    holidays: Annotated[tuple[Day, ...], Several] = ()
    workdays: Annotated[tuple[Day, ...], Several] = Field((), description="days that make up for holidays")
    festivals: dict[Name, Day] = Field(default_factory=dict, description="of the shop's own: days by name")


class Named(Part):
    """A step of a customer's; the playbook need only be said where several have such a step."""

    customer: Name
    step: Name
    playbook: Name | None = None


class ExpectedMessage(Named):
    """A message that is sent."""

    channel: Name | None = None
    subject: str | None = None
    text: str | None = Field(None, description="the whole text, exactly")
    contains: Texts = ()
    not_contains: Texts = ()


class ExpectedWait(Named):
    """A message that is queued and waits for the end of the quiet hours."""

    channel: Name | None = None
    until: Moment | None = None


class ExpectedBlock(Named):
    """A step that is due and is not sent, for a reason."""

    reason: Annotated[Reason, BeforeValidator(_reason)]


class ExpectedHoldout(Named):
    """A step that would be sent, to a customer who is held out."""


class Expectation(Part):
    """What is true at one moment, right after a run and a delivery."""

    at: Moment
    messages: Annotated[tuple[ExpectedMessage, ...], Several] | None = Field(
        None, description="all messages of this moment; [] means none"
    )
    waiting: Annotated[tuple[ExpectedWait, ...], Several] = ()
    blocked: Annotated[tuple[ExpectedBlock, ...], Several] = ()
    held_out: Annotated[tuple[ExpectedHoldout, ...], Several] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Expectation:
        if self.messages is None and not (self.waiting or self.blocked or self.held_out):
            what = "this expects nothing; say messages (messages: [] for none), waiting, blocked or held_out"
            raise UnfitValueError("expects_nothing", what)
        return self


class Scenario(Part):
    """One story: what happened, and what smr does about it at some moments."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    playbooks: Names | None = Field(
        None, description="only these are live, drafts too; where not said, all that are live"
    )
    policy: PolicySettings | None = Field(None, description="what differs from the policy of config.yaml")
    live_since: Moment | None = Field(None, description="when the playbooks went live; else before the story")
    daily: TimeOfDay | None = Field(
        None, description="also run every day at this time, from the first expectation to the last"
    )
    given: Given
    expect: Annotated[tuple[Expectation, ...], Field(min_length=1, max_length=400)]


class ScenarioFile(Part):
    """A `*.scenarios.yaml` file."""

    scenarios: Annotated[tuple[Scenario, ...], Field(min_length=1, max_length=MOST)]
