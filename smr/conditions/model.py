"""The language of *who*: a closed, typed list of conditions on one customer.

A condition is a mapping with exactly one key, so it reads like a sentence:
``{orders: {within: 180d, at_least: 3}}``. Conditions nest with `all`, `any` and `not`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from smr.events import InteractionKind
from smr.notation import Flag, Number, Span, Whole


class Part(BaseModel):
    """A piece of the language: frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def _names(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _some(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("the list is empty; name at least one")
    return value


Name = Annotated[str, Field(min_length=1, max_length=200)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_names), AfterValidator(_some), Field(max_length=1000)]


class Goods(Part):
    """Which purchases count: of these categories or products; all where neither is named."""

    category: Names | None = Field(None, description="only purchases of these categories 只算这些类目")
    product: Names | None = Field(None, description="only purchases of these products 只算这些商品")
    role: Names | None = Field(
        None, description="only purchases of products in these roles 只算这些角色的商品"
    )


class Bounds(Goods):
    """A count or sum over purchases, compared with bounds."""

    within: Span | None = Field(None, description="only purchases of the last such span 最近多久")
    at_least: Number | None = Field(None, ge=0, description="as much or more 至少")
    at_most: Number | None = Field(None, ge=0, description="as much or less 至多")

    @model_validator(mode="after")
    def _bounded(self) -> Bounds:
        if self.at_least is None and self.at_most is None:
            raise ValueError("no bound; say at_least or at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(
                f"at_least {self.at_least} is more than at_most {self.at_most}: it can never hold"
            )
        return self


class Ago(Goods):
    """How long ago something was."""

    more_than: Span | None = Field(None, description="longer ago than this 超过多久以前")
    less_than: Span | None = Field(None, description="not as long ago as this 不到多久以前")

    @model_validator(mode="after")
    def _bounded(self) -> Ago:
        if self.more_than is None and self.less_than is None:
            raise ValueError("no bound; say more_than or less_than")
        if self.more_than is not None and self.less_than is not None and self.more_than >= self.less_than:
            raise ValueError("more_than is not before less_than: it can never hold")
        return self


class BoughtWithin(Goods):
    """At least one purchase."""

    within: Span | None = Field(None, description="in the last such span; ever where not said 最近多久")


class RefundedWithin(Goods):
    """At least one refund."""

    within: Span | None = Field(None, description="in the last such span; ever where not said 最近多久")


class CustomerField(Part):
    """A field of the customer, or `attributes.NAME`, compared."""

    field: Annotated[
        str,
        Field(
            pattern=r"^(id|name|gender|birthday|lunar_birthday|zone|locale|staff|store|attributes\.[^.]{1,100})$"
        ),
    ]
    is_: Name | None = Field(None, alias="is", description="equal to 等于")
    is_not: Name | None = Field(None, description="known and not equal to 不等于")
    any_of: Names | None = Field(None, description="equal to one of 属于")
    none_of: Names | None = Field(None, description="known and none of 不属于")
    known: Flag | None = Field(None, description="whether there is a value at all 是否已知")
    at_least: Number | None = Field(None, description="a number as large or larger 数值至少")
    at_most: Number | None = Field(None, description="a number as small or smaller 数值至多")

    @model_validator(mode="after")
    def _compared(self) -> CustomerField:
        stated = [self.is_, self.is_not, self.any_of, self.none_of, self.known, self.at_least, self.at_most]
        if all(value is None for value in stated):
            raise ValueError(
                "nothing to compare with; say is, is_not, any_of, none_of, known, at_least or at_most"
            )
        return self


class ConsentOn(Part):
    """A recorded consent, the latest word on that channel and purpose."""

    channel: Name
    purpose: Name = "marketing"


class MessagedBounds(Part):
    """How many messages the customer was sent (or has waiting), compared."""

    within: Span | None = Field(None, description="in the last such span 最近多久")
    playbook: Names | None = None
    step: Names | None = None
    channel: Names | None = None
    at_least: Whole | None = Field(None, ge=0)
    at_most: Whole | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _bounded(self) -> MessagedBounds:
        if self.at_least is None and self.at_most is None:
            raise ValueError("no bound; say at_least or at_most")
        return self


class SupplyLeft(Goods):
    """When a supply runs out, seen from now."""

    runs_out_within: Span | None = Field(None, description="runs out in the next such span 多久内用完")
    ran_out_for: Span | None = Field(None, description="has been out for at least so long 已用完多久")

    @model_validator(mode="after")
    def _one(self) -> SupplyLeft:
        if (self.runs_out_within is None) == (self.ran_out_for is None):
            raise ValueError("say either runs_out_within or ran_out_for")
        if (self.category is None) == (self.product is None) or self.role is not None:
            raise ValueError("name either a category or a product")
        return self


def _counted(least: int | None, most: int | None) -> None:
    if least is not None and most is not None and least > most:
        raise ValueError(f"at_least {least} is more than at_most {most}: it can never hold")


class Spoken(Part):
    """How often a topic was spoken of in chat; at least once where no bound is said."""

    topic: Names = Field(description="topics, built in or of segments.yaml 话题")
    within: Span | None = Field(None, description="in the last such span; ever where not said 最近多久")
    at_least: Whole | None = Field(None, ge=0, description="messages, as many or more 至少几条")
    at_most: Whole | None = Field(None, ge=0, description="messages, as many or fewer 至多几条")

    @model_validator(mode="after")
    def _bounded(self) -> Spoken:
        _counted(self.at_least, self.at_most)
        return self


class Doing(Part):
    """How often the customer did something; at least once where no bound is said."""

    what: Annotated[
        tuple[InteractionKind, ...], BeforeValidator(_names), AfterValidator(_some), Field(max_length=20)
    ] = Field(description="kinds of interaction, such as moments_like, click 互动类型")
    channel: Names | None = Field(None, description="only on these channels 只算这些渠道")
    within: Span | None = Field(None, description="in the last such span; ever where not said 最近多久")
    at_least: Whole | None = Field(None, ge=0, description="times, as many or more 至少几次")
    at_most: Whole | None = Field(None, ge=0, description="times, as many or fewer 至多几次")

    @model_validator(mode="after")
    def _bounded(self) -> Doing:
        _counted(self.at_least, self.at_most)
        return self


class Score(Part):
    """A score of RFM, 1 (worst) to 5 (best), compared."""

    at_least: Whole | None = Field(None, ge=1, le=5, description="as good or better 至少")
    at_most: Whole | None = Field(None, ge=1, le=5, description="as good or worse 至多")

    @model_validator(mode="after")
    def _bounded(self) -> Score:
        if self.at_least is None and self.at_most is None:
            raise ValueError("no bound; say at_least or at_most")
        _counted(self.at_least, self.at_most)
        return self


class Scores(Part):
    """Scores of recency, frequency and money; those named must all hold."""

    recency: Score | None = Field(None, description="how lately bought 最近一次购买")
    frequency: Score | None = Field(None, description="how often bought 购买频率")
    money: Score | None = Field(None, description="for how much 消费金额")

    @model_validator(mode="after")
    def _some(self) -> Scores:
        if self.recency is None and self.frequency is None and self.money is None:
            raise ValueError("no score is named; say recency, frequency or money")
        return self


class All(Part):
    """Every one of them holds."""

    all: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=200)]


class AnyOf(Part):
    """At least one of them holds."""

    any: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=200)]


class Not(Part):
    """It does not hold."""

    not_: Condition = Field(alias="not")


class InSegment(Part):
    """The customer is a member of one of these segments."""

    segment: Names


class AtStage(Part):
    """The customer stands at one of these stages of a ladder: ``{stage: {lifecycle: [成长期]}}``."""

    stage: Annotated[dict[Name, Names], Field(min_length=1, max_length=20)]


class HasTag(Part):
    """The customer has one of these tags."""

    tag: Names


class Orders(Part):
    """How many orders."""

    orders: Bounds


class Spend(Part):
    """How much money, in the shop's currency, refunds taken off."""

    spend: Bounds


class Quantity(Part):
    """How many pieces, refunds taken off."""

    quantity: Bounds


class Bought(Part):
    """At least one purchase."""

    bought: BoughtWithin


class FirstPurchase(Part):
    """How long ago the first purchase was."""

    first_purchase: Ago


class LastPurchase(Part):
    """How long ago the last purchase was."""

    last_purchase: Ago


class Refunded(Part):
    """At least one refund."""

    refunded: RefundedWithin


class CustomerIs(Part):
    """A field of the customer compared."""

    customer: CustomerField


class OfStaff(Part):
    """The customer belongs to one of these members of staff (ids)."""

    staff: Names


class OfStore(Part):
    """The customer belongs to one of these stores (ids)."""

    store: Names


class Consent(Part):
    """A recorded consent."""

    consent: ConsentOn


class Reachable(Part):
    """At least one of these channels may reach the customer: an address, and consent where it is required."""

    reachable: Names


class Messaged(Part):
    """How many messages were sent."""

    messaged: MessagedBounds


class Supply(Part):
    """When a supply runs out."""

    supply: SupplyLeft


class Chat(Part):
    """A topic was spoken of in chat."""

    chat: Spoken


class Did(Part):
    """The customer did something other than buying: read or liked Moments, clicked, came to a group …"""

    did: Doing


class Rfm(Part):
    """How the customer scores in recency, frequency and money: ``{rfm: {recency: {at_least: 4}}}``."""

    rfm: Scores


class Everyone(Part):
    """All customers: ``{everyone: true}``."""

    everyone: Literal[True]

    @model_validator(mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("everyone") == "true":
            return {**value, "everyone": True}
        return value


KINDS: dict[str, type[Part]] = {
    "all": All,
    "any": AnyOf,
    "not": Not,
    "everyone": Everyone,
    "segment": InSegment,
    "stage": AtStage,
    "tag": HasTag,
    "orders": Orders,
    "spend": Spend,
    "quantity": Quantity,
    "bought": Bought,
    "first_purchase": FirstPurchase,
    "last_purchase": LastPurchase,
    "refunded": Refunded,
    "customer": CustomerIs,
    "staff": OfStaff,
    "store": OfStore,
    "consent": Consent,
    "reachable": Reachable,
    "messaged": Messaged,
    "supply": Supply,
    "chat": Chat,
    "did": Did,
    "rfm": Rfm,
}
"""Every condition by its key."""


def _kind(value: Any) -> str | None:
    """The tag of a condition; tags stand in « » so that an error's path can tell them from keys."""
    if isinstance(value, Part):
        key = next(iter(type(value).model_fields.values())).alias or next(iter(type(value).model_fields))
        return f"«{key}»"
    if isinstance(value, dict) and len(value) == 1:
        key = next(iter(value))
        return f"«{key}»" if key in KINDS else None
    return None


Condition = Annotated[
    Annotated[All, Tag("«all»")]
    | Annotated[AnyOf, Tag("«any»")]
    | Annotated[Not, Tag("«not»")]
    | Annotated[Everyone, Tag("«everyone»")]
    | Annotated[InSegment, Tag("«segment»")]
    | Annotated[AtStage, Tag("«stage»")]
    | Annotated[HasTag, Tag("«tag»")]
    | Annotated[Orders, Tag("«orders»")]
    | Annotated[Spend, Tag("«spend»")]
    | Annotated[Quantity, Tag("«quantity»")]
    | Annotated[Bought, Tag("«bought»")]
    | Annotated[FirstPurchase, Tag("«first_purchase»")]
    | Annotated[LastPurchase, Tag("«last_purchase»")]
    | Annotated[Refunded, Tag("«refunded»")]
    | Annotated[CustomerIs, Tag("«customer»")]
    | Annotated[OfStaff, Tag("«staff»")]
    | Annotated[OfStore, Tag("«store»")]
    | Annotated[Consent, Tag("«consent»")]
    | Annotated[Reachable, Tag("«reachable»")]
    | Annotated[Messaged, Tag("«messaged»")]
    | Annotated[Supply, Tag("«supply»")]
    | Annotated[Chat, Tag("«chat»")]
    | Annotated[Did, Tag("«did»")]
    | Annotated[Rfm, Tag("«rfm»")],
    Discriminator(_kind),
]
"""Any condition. (The discriminator is the single key.)"""

All.model_rebuild()
AnyOf.model_rebuild()
Not.model_rebuild()

__all__ = ["KINDS", "Condition", "Decimal", "Part"] + [kind.__name__ for kind in KINDS.values()]
