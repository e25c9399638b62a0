"""`config.yaml` and the environment as one frozen `Settings`.

In: a path (or none: the defaults), the environment. Out: `Settings`, or FaultsError with each fault's place.
`SMR_DATABASE_URL` and `SMR_PLAYBOOKS` override the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from smr import clock
from smr.notation import Flag, Rate, RateText, Share, Span, TimeOfDay, Whole

KNOWN_CHANNELS = ("wecom", "wecom_moments", "wecom_group", "sms", "email", "webhook", "staff")
"""Channel names that need no entry in config.yaml: each maps to the embedded file channel."""

ONE_TEXT_TO_MANY = frozenset({"wecom_moments", "wecom_group"})


class Part(BaseModel):
    """A part of the settings: frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _zone(value: object) -> object:
    if isinstance(value, str):
        clock.zone(value)
    return value


ZoneName = Annotated[str, BeforeValidator(_zone)]


class DatabaseSettings(Part):
    """Where the facts and decisions are kept."""

    url: str = Field("sqlite:///smr.db", description="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME")


class ShopSettings(Part):
    """The shop itself: what templates may name, and what a day and a price mean."""

    name: str = Field("", description="the shop's name, {{ shop.name }} in templates")
    zone: ZoneName = Field("Asia/Shanghai", description="the time zone of the shop's days")
    currency: str = Field("CNY", pattern=r"^[A-Z]{3}$", description="of amounts that name none")
    language: Literal["en", "zh"] = Field("en", description="of explanations and of in_words in templates")
    reorder_url: str = Field("", description="{product_id}, {customer_id} and {message_id} are filled in")

    @property
    def tz(self) -> ZoneInfo:
        """The shop's time zone."""
        return ZoneInfo(self.zone)


class QuietHours(Part):
    """A daily window, possibly over midnight, in which nobody is written to (customer's own zone)."""

    from_: TimeOfDay = Field(alias="from")
    to: TimeOfDay
    holidays: Flag = Field(False, description="also keep quiet on the holidays of the calendar")


class PolicySettings(Part):
    """The contact policy: what holds for all playbooks together."""

    caps: tuple[RateText, ...] = Field(
        (Rate(1, clock.DAY), Rate(8, 30 * clock.DAY)),
        description="at most so many personal messages per customer, such as [1 per 1d, 8 per 30d]",
    )
    quiet_hours: QuietHours | None = Field(None, description="such as {from: 21:00, to: 09:00}; waiting, not lost")
    blast_limit: Share | None = Field(
        None, description="a run that would write to a larger share of all customers stops and asks"
    )
    complaint_tags: tuple[str, ...] = Field(
        ("投诉中", "complaint"), description="customers with one of these tags are left in peace"
    )
    useful_for: Span = Field(3 * clock.DAY, description="for steps that do not say how late is too late")


class ChannelSettings(Part):
    """One channel: which adapter, and what it needs."""

    kind: Literal["file"] = Field("file", description="the adapter")
    consent: Literal["required", "opt_out"] = Field(
        "required", description="required: only with a recorded consent; opt_out: unless refused"
    )
    address: Literal["required", "customer_id"] = Field(
        "required", description="required: only to a recorded address; customer_id: the id serves as the address"
    )
    cap: RateText | None = Field(None, description="at most so many messages per customer on this channel")
    personal: Flag | None = Field(None, description="false: one text goes to many (such as Moments)")
    max_length: Whole | None = Field(None, ge=1, description="longest text, in characters")


class FilesSettings(Part):
    """Where the file channel writes."""

    folder: Path = Field(Path("outbox"), description="one JSONL and one readable text file per channel and day")


class ImportSettings(Part):
    """How files of facts are read."""

    columns: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="per kind: our column name → the file's, such as {purchases: {customer_id: 会员号}}"
    )
    reject_limit: Share = Field(0.2, description="a file with a larger share of bad rows is refused whole")
    rejects_folder: Path = Field(Path("rejects"), description="where refused rows are written")
    encoding: str = Field("utf-8", description="of CSV and JSONL files, such as gb18030")


class SourceSettings(Part):
    """A SELECT in the shop's own database, read as far as it has grown since the last time."""

    kind: Literal["customers", "products", "purchases", "refunds", "consents", "interactions"]
    url: str = Field(description="an SQLAlchemy URL; reading only")
    select: str = Field(description="one SELECT; :cursor stands for the last value seen")
    cursor: str = Field(description="the selected column that grows, such as updated_at or id")
    columns: dict[str, str] = Field(default_factory=dict, description="our column name → the selected one")


class Settings(Part):
    """Everything `config.yaml` may say."""

    database: DatabaseSettings = DatabaseSettings()
    playbooks: Path = Field(Path("playbooks"), description="the folder of playbooks")
    shop: ShopSettings = ShopSettings()
    policy: PolicySettings = PolicySettings()
    channels: dict[str, ChannelSettings] = Field(default_factory=dict)
    files: FilesSettings = FilesSettings()
    imports: ImportSettings = Field(ImportSettings(), alias="import")
    sources: dict[str, SourceSettings] = Field(default_factory=dict)
    holdout_seed: str = Field("", description="change it to draw new holdouts for all playbooks")

    def channel(self, name: str) -> ChannelSettings:
        """The settings of a channel; known names work without an entry."""
        return self.channels.get(name) or ChannelSettings()

    def is_channel(self, name: str) -> bool:
        """Whether playbooks may name this channel."""
        return name in self.channels or name in KNOWN_CHANNELS

    def is_personal(self, name: str) -> bool:
        """Whether each customer gets an own message there (else one text goes to many)."""
        stated = self.channel(name).personal
        return name not in ONE_TEXT_TO_MANY if stated is None else stated

    @property
    def channel_names(self) -> tuple[str, ...]:
        """All channel names playbooks may use."""
        return tuple(dict.fromkeys((*KNOWN_CHANNELS, *self.channels)))
