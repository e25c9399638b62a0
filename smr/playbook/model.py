"""What operators write, as typed and frozen values: catalog, segments, ladders, playbooks.

The models check each piece by itself; `load` gives faults their places and checks what pieces say of each
other; `lint` reads for meaning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    WithJsonSchema,
    model_validator,
)

from smr import clock
from smr.chat import Topic
from smr.conditions.model import KINDS, All, Condition, Goods, Name, Names, Part
from smr.events import InteractionKind
from smr.notation import (
    SPAN_SCHEMA,
    Day,
    Flag,
    Number,
    RateText,
    SendText,
    Share,
    Span,
    TimeOfDay,
    Whole,
    parse_span,
    span_text,
)
from smr.strict_yaml import Document

Slug = Annotated[
    str,
    Field(
        pattern=r"^[\w][\w-]{0,63}$",
        description="letters (Chinese too), digits, - and _; at most 64",
    ),
]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Cycle(Part):
    """How long one unit lasts."""

    lasts: Span = Field(description="how long one unit lasts 一个单位用多久")
    learn: Flag = Field(True, description="false: this word is final, whatever purchases say 是否允许学习")
    unit: str | None = Field(None, description="what one unit is, for people, such as kg 单位")


class ProductEntry(Part):
    """What the operator knows of one product."""

    lasts: Span | None = Field(None, description="how long one unit of it lasts 一个单位用多久")
    learn: Flag = True
    units: Number = Field(
        Decimal(1), gt=0, le=10_000, description="units in one piece: a 2 kg bag has 2 一件含几个单位"
    )
    name: str | None = Field(None, description="shown in messages 商品名")
    category: Name | None = Field(None, description="overrides the imported category 类目")
    substitutes: Names | None = Field(
        None, description="what to offer while it is out of stock, the best first 缺货时可推荐的替代品"
    )


class Cycles(Part):
    """Cycles by product, by category, and for everything else."""

    default: Cycle | None = Field(None, description="for lines that nothing else is said of")
    categories: dict[Name, Cycle] = Field(default_factory=dict)
    products: dict[Name, ProductEntry] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _of_others(self) -> Cycles:
        for name, entry in self.products.items():
            if name in (entry.substitutes or ()):
                raise ValueError(f"{name} is a substitute of itself; take it out of its substitutes")
        return self


class Role(Part):
    """Which products play a part."""

    product: Names | None = Field(None, description="these products 商品")
    category: Names | None = Field(None, description="all products of these categories 类目")

    @model_validator(mode="after")
    def _some(self) -> Role:
        if self.product is None and self.category is None:
            raise ValueError("nothing plays this part; name products or categories")
        return self


class Sensitive(Part):
    """What is not named on discreet channels, such as SMS."""

    product: Names | None = Field(None, description="these products 商品")
    category: Names | None = Field(None, description="all products of these categories 类目")


class Catalog(Part):
    """`catalog.yaml`: the operator's knowledge about products."""

    track: Literal["category", "product", "both"] = Field(
        "category", description="the line whose supply is followed"
    )
    cycles: Cycles = Cycles()
    roles: dict[Name, Role] = Field(
        default_factory=dict,
        description="the part products play, such as 引流, 核心, 利润, 爆款, 拓展 商品角色",
    )
    sensitive: Sensitive = Field(
        Sensitive(), description="what is not named where others may read along, such as in SMS 敏感商品"
    )


class Segment(Part):
    """A named set of customers."""

    title: str | None = None
    where: Condition


class Rung(Part):
    """One stage of a ladder; without a condition it takes everyone who came so far."""

    stage: Name
    title: str | None = None
    where: Condition | None = None


class TagRule(Part):
    """A tag that customers get, and lose, by a condition."""

    tag: Name
    title: str | None = Field(None, description="why, for people 说明")
    when: Condition = Field(description="whoever this holds of gets the tag 满足条件就打标签")
    for_: Span | None = Field(
        None,
        alias="for",
        description="how long it stays once set; where not said, as long as the condition holds 标签保留多久",
    )


class RfmCuts(Part):
    """Where the scores 2, 3, 4 and 5 begin; what is not said is cut so that each score has a fifth of all."""

    recency: Annotated[tuple[Span, ...], Field(min_length=4, max_length=4)] | None = Field(
        None, description="four spans, from score 2 to 5, such as [365d, 180d, 90d, 30d] 最近一次购买"
    )
    frequency: Annotated[tuple[Whole, ...], Field(min_length=4, max_length=4)] | None = Field(
        None, description="orders in the last year, such as [2, 3, 5, 8] 一年内订单数"
    )
    money: Annotated[tuple[Number, ...], Field(min_length=4, max_length=4)] | None = Field(
        None, description="money in the last year, such as [100, 300, 800, 2000] 一年内消费"
    )
    recut: Span = Field(30 * clock.DAY, description="how often fifths are cut anew 多久重新分档")

    @model_validator(mode="after")
    def _rising(self) -> RfmCuts:
        for name in ("recency", "frequency", "money"):
            found = getattr(self, name)
            if found is not None and list(found) != sorted(set(found), reverse=name == "recency"):
                way = "falling" if name == "recency" else "rising"
                raise ValueError(f"the cuts of {name} are not {way}; write them from score 2 to score 5")
        return self


class ReadyLifecycle(Part):
    """The five stages 引入期、成长期、成熟期、休眠期、流失期, as a ladder `lifecycle`."""

    mature_orders: Whole = Field(3, ge=1, description="orders that make 成熟期 成熟期的订单数")
    mature_within: Span = Field(180 * clock.DAY, description="in which they were placed 在多久以内")
    dormant_after: Span = Field(90 * clock.DAY, description="without a purchase: 休眠期 多久没买算休眠")
    lost_after: Span = Field(180 * clock.DAY, description="without a purchase: 流失期 多久没买算流失")

    @model_validator(mode="after")
    def _in_order(self) -> ReadyLifecycle:
        if self.dormant_after >= self.lost_after:
            raise ValueError("dormant_after is not shorter than lost_after: nobody would ever be 休眠期")
        return self


class ReadyTiers(Part):
    """The five tiers 新激活、普通、活跃、付费、铁杆, as a ladder `tier`."""

    new_for: Span = Field(30 * clock.DAY, description="after being added as a friend: 新激活 新激活持续多久")
    active_times: Whole = Field(3, ge=1, description="interactions that make 活跃 活跃的互动次数")
    active_within: Span = Field(30 * clock.DAY, description="in which they happened 在多久以内")
    loyal_orders: Whole = Field(5, ge=1, description="orders in a year that make 铁杆 铁杆的年订单数")
    loyal_spend: Number = Field(Decimal(1000), ge=0, description="and money in a year 以及年消费")


class Ready(Part):
    """Ladders that come with smr; those named are used, with these numbers."""

    lifecycle: ReadyLifecycle | None = Field(None, description="引入、成长、成熟、休眠、流失")
    tier: ReadyTiers | None = Field(None, description="新激活、普通、活跃、付费、铁杆")


class SegmentsFile(Part):
    """`segments.yaml`: segments, ladders of exclusive stages, topics of chat, tags by rule."""

    segments: dict[Slug, Segment] = Field(default_factory=dict)
    topics: dict[Slug, Topic] = Field(default_factory=dict, description="what is listened for in chat 话题")
    tags: Annotated[tuple[TagRule, ...], Field(max_length=500)] = Field(
        (), description="tags by rule 自动标签"
    )
    rfm: RfmCuts = Field(RfmCuts(), description="how recency, frequency and money are scored RFM 分档")
    ready: Ready = Field(Ready(), description="ladders that come with smr 现成的阶梯")
    ladders: dict[Slug, Annotated[tuple[Rung, ...], Field(min_length=1, max_length=50)]] = Field(
        default_factory=dict
    )


def _without_role(goods: Goods) -> Goods:
    if goods.role is not None:
        raise ValueError("what runs out is followed by category or product; name those")
    return goods


class RunsOut(Part):
    """A supply runs out: of these categories or products, or of any followed line.

    With `likely`, due is the first day on which so many of those alike buy within a week.
    """

    runs_out: Annotated[Goods, AfterValidator(_without_role)]
    likely: Share | None = Field(
        None, description="due is when at least so many of those alike buy within a week, such as 40%"
    )
    quiet: Span = Field(10 * clock.DAY, description="never likely so soon after the purchase 购买后的静默期")

    @model_validator(mode="after")
    def _likely(self) -> RunsOut:
        if self.likely is not None and not 0.01 <= self.likely <= 0.95:
            raise ValueError("likely goes from 1% to 95%; write such as likely: 40%")
        if self.likely is None and "quiet" in self.model_fields_set:
            raise ValueError("quiet belongs to likely: write such as likely: 40% beside it")
        return self


class Purchased(Part):
    """Something was bought; one round per order."""

    purchase: Goods


class ScheduleTimes(Part):
    """The times of a schedule, in the shop's zone: days and a time, or a cron expression."""

    every: Names | None = Field(
        None, description="day, or days of the week such as [tue, thu], or of the month such as [1, 15]"
    )
    at: TimeOfDay | None = Field(None, description="time of day, such as 10:00")
    cron: str | None = Field(None, description="minute hour day month weekday; 0 and 7 are Sunday")
    from_: Day | None = Field(None, alias="from", description="first day")
    until: Day | None = Field(None, description="last day")
    only: Literal["workdays", "days_off", "holidays", "not_holidays"] | None = Field(
        None,
        description="only on such days of the calendar: workdays (make-up ones, too), days_off, holidays, "
        "not_holidays 只在工作日、休息日、法定节假日、非法定节假日",
    )

    @model_validator(mode="after")
    def _one(self) -> ScheduleTimes:
        if (self.cron is None) == (self.every is None):
            raise ValueError("say either every (with at) or cron")
        if self.every is not None and self.at is None:
            raise ValueError("say at what time, such as at: 10:00")
        return self


class Scheduled(Part):
    """At set times, for everybody in `who`."""

    schedule: ScheduleTimes


class DateOf(Part):
    """A day in the customer's life."""

    field: Annotated[str, Field(pattern=r"^(birthday|first_purchase|attributes\.[^.]{1,100})$")]
    every: Literal["year", "once"] = "year"
    calendar: Literal["solar", "lunar", "own"] = Field(
        "solar",
        description="by which the day is kept: solar, lunar, or own: lunar for whoever has a lunar "
        "birthday, else solar 公历、农历，或各人自己过的那个",
    )

    @model_validator(mode="after")
    def _own_birthday(self) -> DateOf:
        if self.calendar == "own" and self.field != "birthday":
            raise ValueError("own belongs to birthday: of other dates say solar or lunar")
        if self.calendar == "lunar" and self.field == "first_purchase" and self.every == "once":
            raise ValueError("the first purchase itself is one day in any calendar; take calendar out")
        return self


class OnDate(Part):
    """A day in the customer's life, such as a birthday, each year or once."""

    date: DateOf


class OnFestival(Part):
    """A festival, such as 中秋, for everybody in `who`; smr's own, or one of the shop's in the calendar."""

    festival: Names


class SegmentChange(Part):
    """Coming into a segment, or leaving it."""

    entered: Names | None = Field(None, description="came into one of these segments 进入人群")
    left: Names | None = Field(None, description="left one of these segments 离开人群")

    @model_validator(mode="after")
    def _one(self) -> SegmentChange:
        if (self.entered is None) == (self.left is None):
            raise ValueError("say either entered or left")
        return self


class SegmentChanged(Part):
    """A customer came into a segment, or left it; one round each time."""

    segment: SegmentChange


class StageChange(Part):
    """Coming to a stage of a ladder."""

    ladder: Name = Field(description="which ladder 哪个阶梯")
    to: Names = Field(description="the stages come to 到哪个阶段")
    from_: Names | None = Field(None, alias="from", description="only from these stages 从哪个阶段")


class StageChanged(Part):
    """A customer came to a stage of a ladder; one round each time."""

    stage: StageChange


class TagAdded(Part):
    """A tag was set: by a rule, by chat, by an import; one round each time."""

    tag: Names


class Happening(Part):
    """Something a customer does other than buying."""

    what: (
        Annotated[tuple[InteractionKind, ...], BeforeValidator(_listed), Field(min_length=1, max_length=20)]
        | None
    ) = Field(None, description="kinds of interaction, such as friend_added, click 互动类型")
    channel: Names | None = Field(None, description="only on these channels 只算这些渠道")
    topic: Names | None = Field(None, description="only where one of these topics was spoken of 聊到的话题")

    @model_validator(mode="after")
    def _some(self) -> Happening:
        if self.what is None and self.topic is None:
            raise ValueError("nothing is named; say what, or topic")
        return self


class Interacted(Part):
    """A customer did something other than buying; one round per interaction."""

    interaction: Happening


class Quiet(Part):
    """How long nothing was heard."""

    for_: Span = Field(alias="for", description="without purchase and interaction 多久没有购买和互动")


class Silent(Part):
    """Nothing was bought and nothing heard for so long; one round per silence."""

    silence: Quiet


class GaveBack(Part):
    """Something was given back; one round per refund."""

    refund: Goods


class ProductNews(Goods):
    """A product comes back in stock, or gets cheaper; of all products where none is named."""

    what: Literal["back_in_stock", "price_drop"] = Field(
        description="back_in_stock: it can be bought again; price_drop: it costs less 到货或降价"
    )
    by: Share | None = Field(None, description="of price_drop: cheaper by at least so much, such as 10% 降幅")
    interested: Annotated[
        tuple[Literal["bought", "looked", "asked"], ...],
        BeforeValidator(_listed),
        Field(min_length=1, max_length=3),
    ] = Field(
        ("bought", "looked", "asked"),
        description="who hears of it: whoever bought it, looked at it (an interaction with "
        "attributes.product_id), asked about it (a chat message with it) 告诉谁",
    )
    within: Span = Field(180 * clock.DAY, description="how long ago at most they did so 多久以内")

    @model_validator(mode="after")
    def _drop(self) -> ProductNews:
        if self.by is not None and self.what != "price_drop":
            raise ValueError("by belongs to price_drop: coming back in stock has no size")
        if self.by is not None and not 0 < self.by < 1:
            raise ValueError("by goes from 1% to 99%; write such as by: 10%")
        return self


class OnProduct(Part):
    """Something changes about a product that a customer bought, looked at or asked about."""

    product: ProductNews


TRIGGERS: dict[str, type[Part]] = {
    "runs_out": RunsOut,
    "purchase": Purchased,
    "schedule": Scheduled,
    "date": OnDate,
    "festival": OnFestival,
    "segment": SegmentChanged,
    "stage": StageChanged,
    "tag": TagAdded,
    "interaction": Interacted,
    "silence": Silent,
    "refund": GaveBack,
    "product": OnProduct,
}


def _single_key(known: Mapping[str, Any]) -> Any:
    def find(value: Any) -> str | None:
        if isinstance(value, Part):
            return f"«{next(iter(type(value).model_fields)).rstrip('_')}»"
        if not isinstance(value, dict):
            return None
        if len(value) == 1 and next(iter(value)) in known:
            return f"«{next(iter(value))}»"
        # A supply that runs out may be told more of; what stands beside others is a slip.
        alone = [key for key in value if key in known] == ["runs_out"]
        return "«runs_out»" if alone else None

    return find


Trigger = Annotated[
    Annotated[RunsOut, Tag("«runs_out»")]
    | Annotated[Purchased, Tag("«purchase»")]
    | Annotated[Scheduled, Tag("«schedule»")]
    | Annotated[OnDate, Tag("«date»")]
    | Annotated[OnFestival, Tag("«festival»")]
    | Annotated[SegmentChanged, Tag("«segment»")]
    | Annotated[StageChanged, Tag("«stage»")]
    | Annotated[TagAdded, Tag("«tag»")]
    | Annotated[Interacted, Tag("«interaction»")]
    | Annotated[Silent, Tag("«silence»")]
    | Annotated[GaveBack, Tag("«refund»")]
    | Annotated[OnProduct, Tag("«product»")],
    Discriminator(_single_key(TRIGGERS)),
]


class StopOnPurchase(Part):
    """Stop when such goods were bought after the anchor."""

    purchase: Goods


class StopOnRefund(Part):
    """Stop when the anchor's purchase was refunded (`anchor`), or anything since the anchor (`any`)."""

    refund: Literal["anchor", "any"]


class StopOnCondition(Part):
    """Stop when a condition holds."""

    where: Condition


STOPS: dict[str, type[Part]] = {"purchase": StopOnPurchase, "refund": StopOnRefund, "where": StopOnCondition}
Stop = Annotated[
    Annotated[StopOnPurchase, Tag("«purchase»")]
    | Annotated[StopOnRefund, Tag("«refund»")]
    | Annotated[StopOnCondition, Tag("«where»")],
    Discriminator(_single_key(STOPS)),
]


class Link(Part):
    """A link shown as a card."""

    title: str
    url: str
    description: str = ""
    image: str = ""


class Image(Part):
    """A picture."""

    url: str


class MiniProgram(Part):
    """A mini-program card."""

    title: str
    appid: str
    page: str


class File(Part):
    """A file."""

    name: str
    url: str


class Attachment(Part):
    """One attachment; its texts are templates."""

    link: Link | None = None
    image: Image | None = None
    mini_program: MiniProgram | None = None
    file: File | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """Its templates."""
        parts = [part for part in (self.link, self.image, self.mini_program, self.file) if part is not None]
        return tuple(text for part in parts for text in part.model_dump().values())

    @model_validator(mode="after")
    def _one(self) -> Attachment:
        if sum(part is not None for part in (self.link, self.image, self.mini_program, self.file)) != 1:
            raise ValueError("one attachment is one of link, image, mini_program, file")
        return self


Content = Literal["selling", "useful"]
"""What a message is to its reader: it sells, or it is of use whether they buy or not."""


class Step(Part):
    """One message of a playbook."""

    name: Slug
    send: SendText = Field(description="when: 5d before due, on due, 3d after due, 2d after NAME-OF-A-STEP")
    via: Names = Field(("wecom",), description="channels; the first that may reach the customer is taken")
    when: Condition | None = Field(None, description="only for customers of whom this holds")
    subject: str | None = Field(None, description="a template in one line, for channels with a subject")
    message: str | None = Field(None, description="the text, a template")
    template: str | None = Field(None, description="a file with the text, beside the playbooks")
    html: str | None = Field(None, description="an HTML text, a template, for channels that have it")
    html_template: str | None = Field(None, description="a file with the HTML text")
    attach: Annotated[tuple[Attachment, ...], Field(max_length=9)] = ()
    useful_for: Span | None = Field(None, description="later than this it is not sent any more")
    content: Content | None = Field(None, description="selling or useful, where it differs from the playbook")

    @model_validator(mode="after")
    def _one_text(self) -> Step:
        if (self.message is None) == (self.template is None):
            raise ValueError("a step has one text: say either message or template")
        if self.html is not None and self.html_template is not None:
            raise ValueError("say either html or html_template")
        return self


class Limits(Part):
    """How much a playbook may send."""

    per_customer: RateText | None = Field(
        None,
        description="rounds (anchors) a customer may be reminded of, such as 1 per 20d; "
        "steps of one round are not counted",
    )
    per_run: Whole | None = Field(None, ge=1, description="messages in one run; the rest waits")


class Bundle(Part):
    """Several products that run out about the same time, in one message."""

    within: Span = Field(
        3 * clock.DAY, description="what is due within so many days more joins in 多少天内到期的一起说"
    )
    at_most: Whole = Field(4, ge=2, le=10, description="products in one message 一条消息最多几件商品")
    lead: Literal["earliest", "dearest"] = Field(
        "earliest", description="whose message it is: of what runs out first, or costs most 谁是主商品"
    )
    prefer: Names | None = Field(
        None, description="roles of products that lead before others, such as 利润 优先作主商品的角色"
    )


def _bundle(value: Any) -> Any:
    if value in (True, "true"):
        return {}
    return None if value in (False, "false") else value


def _or_flag(schema: dict[str, Any]) -> None:
    choices = [choice for choice in schema.pop("anyOf", ()) if choice != {"type": "null"}]
    schema["anyOf"] = [{"type": "boolean"}, *choices]


class HandOver(Part):
    """A rule by which a person writes instead of the robot; all it says must hold."""

    price_from: Number | None = Field(
        None, gt=0, description="where one piece costs so much or more, in the shop's currency 单价达到多少"
    )
    when: Condition | None = Field(None, description="where this holds of the customer 客户满足条件")

    @model_validator(mode="after")
    def _some(self) -> HandOver:
        if self.price_from is None and self.when is None:
            raise ValueError("nothing decides when a person writes; say price_from, or when")
        return self


def _rules(value: Any) -> Any:
    return [value] if isinstance(value, dict | HandOver) else value


def _one_or_several(schema: dict[str, Any]) -> None:
    several = {key: schema.pop(key) for key in ("type", "items", "maxItems", "minItems") if key in schema}
    schema["anyOf"] = [several["items"], several]


class Goal(Part):
    """What counts as success."""

    purchase: Goods
    within: Span = 14 * clock.DAY


def parse_backfill(value: Any) -> int:
    """`none` or a span, in seconds."""
    return 0 if value == "none" else parse_span(value)


BackfillText = Annotated[
    int,
    BeforeValidator(parse_backfill),
    PlainSerializer(lambda seconds: span_text(seconds) if seconds else "none", return_type=str),
    WithJsonSchema({"anyOf": [{"const": "none"}, SPAN_SCHEMA]}),
]


class Playbook(Part):
    """One playbook: for whom, when, what, and when not."""

    name: Slug
    title: str | None = None
    description: str | None = None
    requires: str | None = Field(None, description="the least version of smr, such as smr>=0.1")
    status: Literal["draft", "live", "paused"] = "draft"
    priority: Whole = Field(50, ge=0, le=100, description="the higher wins where only one may write")
    purpose: Name = Field("marketing", description="what customers consented to 同意的用途")
    out_of_stock: Literal["hold", "send"] | None = Field(
        None,
        description="what to do while the product cannot be bought: hold, or send all the same; "
        "where not said, hold for runs_out and send for other triggers 缺货时:hold 先不发、send 照发",
    )
    content: Content = Field(
        "selling",
        description="what its messages are, for policy.mix: selling, or useful whether one buys or not",
    )
    trigger: Trigger
    who: Condition | None = Field(None, description="only customers of whom this holds")
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=50)]
    stop_when: Annotated[tuple[Stop, ...], Field(max_length=50)] = ()
    limits: Limits = Limits()
    holdout: Share = Field(0.0, description="share of customers who are not written to, to compare with")
    goal: Goal | None = None
    bundle: Annotated[Bundle | None, BeforeValidator(_bundle)] = Field(
        None,
        description="true, or how: several products due about the same time make one message "
        "多件商品合成一条消息",
        json_schema_extra=_or_flag,
    )
    hand_over: Annotated[tuple[HandOver, ...], BeforeValidator(_rules)] = Field(
        (),
        max_length=20,
        description="a person writes instead, where one of these rules holds 转人工的规则",
        json_schema_extra=_one_or_several,
    )
    backfill: BackfillText | None = Field(
        None,
        description="on going live: none, or how late a step may be; where not said, as late as it is useful",
    )

    def step(self, name: str) -> Step:
        """The step of that name."""
        return next(step for step in self.steps if step.name == name)

    def content_of(self, step: Step) -> Content:
        """Whether a step's message is selling or useful."""
        return step.content or self.content

    @property
    def shown(self) -> str:
        """What people call it."""
        return self.title or self.name


def asks_for_stock(playbook: Playbook) -> bool:
    """Whether nothing is sent about a product that is out of stock."""
    if playbook.out_of_stock is not None:
        return playbook.out_of_stock == "hold"
    return isinstance(playbook.trigger, RunsOut | OnProduct)


def bundles(library: Library, playbook: Playbook, step: Step) -> bool:
    """Whether a step makes one message of several products: its text has to name them."""
    follows_supplies = isinstance(playbook.trigger, RunsOut)
    return playbook.bundle is not None and follows_supplies and library.speaks_of(step, "bundle")


def counts_from_run_out(playbook: Playbook, step: Step) -> bool:
    """Whether a step's time is counted from when a supply runs out, or is foretold to be bought again."""
    return isinstance(playbook.trigger, RunsOut) and step.send.base == "due"


@cache
def _names(root: str) -> re.Pattern[str]:
    """A name of that root within the braces of a template."""
    return re.compile(r"\{[{%][^}%]*\b" + root + r"\b")


@dataclass(frozen=True)
class Library:
    """A loaded folder: everything the operator wrote, checked, in the order it is to be used.

    `segments` are ordered so that each comes after those it uses; `order` names segments, ladders and tags
    by rule together in such an order, as ("segment", name), ("ladder", name) and ("tag", name); `topics` are
    those built in, as the operator changed them, and the operator's own; `playbooks` stand by falling
    priority, then name. `texts` has the content of each template file by its path in the folder.
    `versions` names the content of each playbook (its file and templates) by a hash; `version` that of the
    whole folder. `documents` are the files as written, by their path in the folder, and `files` says which
    file a playbook is in.
    """

    folder: Path
    catalog: Catalog = field(default_factory=Catalog)
    segments: Mapping[str, Segment] = field(default_factory=dict)
    ladders: Mapping[str, tuple[Rung, ...]] = field(default_factory=dict)
    playbooks: tuple[Playbook, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    order: tuple[tuple[str, str], ...] = ()
    topics: Mapping[str, Topic] = field(default_factory=dict)
    tags: Mapping[str, TagRule] = field(default_factory=dict)
    rfm: RfmCuts = field(default_factory=RfmCuts)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    documents: Mapping[str, Document] = field(default_factory=dict, repr=False, compare=False)

    def document(self, playbook: str) -> Document:
        """The file of the playbook of that name as it was written, for the places of its parts."""
        return self.documents.get(self.files.get(playbook, "")) or Document(playbook, {})

    def playbook(self, name: str) -> Playbook:
        """The playbook of that name."""
        return next(playbook for playbook in self.playbooks if playbook.name == name)

    def body(self, step: Step) -> str:
        """The source of a step's text."""
        return step.message if step.message is not None else self.texts[step.template or ""]

    def speaks_of(self, step: Step, root: str) -> bool:
        """Whether a text of a step uses names of that root, such as `offer`."""
        texts = [step.subject, self.body(step), self.html(step)]
        texts += [text for one in step.attach for text in one.texts]
        return any(root in text and _names(root).search(text) for text in texts if text)

    def html(self, step: Step) -> str | None:
        """The source of a step's HTML text, if it has one."""
        return self.texts[step.html_template] if step.html_template else step.html


__all__ = ["KINDS", "All", "Condition", "Library", "Part", "Playbook", "Step"]
