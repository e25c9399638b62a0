"""`config.yaml` and the environment as one frozen `Settings`.

In: a path (or none: `config.yaml` here, else the defaults), the environment. Out: `Settings`, or FaultsError
with each fault's place. `SMR_DATABASE_URL` and `SMR_PLAYBOOKS` override the file; `${NAME}` in a value stands
for a variable, put in after the YAML is parsed. Relative paths in the file start at the file's folder.
Trap: a value may be a secret. No fault shows what came from the environment, nor a password in a URL.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializeAsAny,
    create_model,
    model_validator,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from smr import clock
from smr.channel_kinds import kind_of, kinds
from smr.cron import Cron, parse_cron
from smr.errors import Fault, FaultsError, OperatorError, did_you_mean
from smr.notation import Flag, PaceText, Rate, RateText, RateTexts, Share, ShortSpan, Span, TimeOfDay, Whole
from smr.strict_yaml import Document, Steps, read_text, read_yaml
from smr.typed import UnfitValueError, typed

KNOWN_CHANNELS = ("wecom", "wecom_moments", "wecom_group", "sms", "email", "webhook", "staff")
"""Channel names that need no entry in config.yaml: each maps to the embedded file channel."""

ONE_TEXT_TO_MANY = frozenset({"wecom_moments", "wecom_group"})
READ_BY_OTHERS = frozenset({"sms"})
"""Channels whose texts light up on a screen that lies on the table."""


class Part(BaseModel):
    """A part of the settings: frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_ZONES_OF_CHINA = frozenset({"Asia/Shanghai", "Asia/Chongqing", "Asia/Harbin", "Asia/Urumqi", "PRC"})
_ZONES_BY_HABIT = {
    "cst": "Asia/Shanghai",
    "beijing": "Asia/Shanghai",
    "utc+8": "Asia/Shanghai",
    "gmt+8": "Asia/Shanghai",
}


def _zone(value: object) -> object:
    if isinstance(value, str):
        try:
            clock.zone(value)
        except ValueError as error:
            raise UnfitValueError("timezone_unknown", f"{error}; {_zone_hint(value)}") from None
    return value


def _zone_hint(value: str) -> str:
    usual = _ZONES_BY_HABIT.get(value.lower())
    near = get_close_matches(value, sorted(available_timezones()), n=1, cutoff=0.6)
    cities = [name for name in sorted(available_timezones()) if name.lower().endswith("/" + value.lower())]
    return f"write such as {usual or next(iter(cities + near), 'Asia/Shanghai')}"


def _some_path(value: object) -> object:
    if value == "":
        raise UnfitValueError("empty_value", "no path stands here; write one, or take the key out")
    return value


def _encoding(value: object) -> object:
    try:
        codecs.lookup(str(value))
    except LookupError:
        what = f"no encoding is called {value!r}; write such as utf-8 or gb18030"
        raise UnfitValueError("unknown_encoding", what) from None
    return value


def _schedule(value: object) -> object:
    if not isinstance(value, str) or value == OFF:
        return value
    try:
        found = parse_cron(value)
    except ValueError as error:
        raise UnfitValueError("cron_invalid", f"{error}; or off") from None
    if not found.fires_ever:
        raise UnfitValueError("cron_never_fires", f"{value!r} names a day that never comes; write another")
    return value


def _listen(value: object) -> object:
    if value == OFF or not isinstance(value, str):
        return value
    host, _, port = value.rpartition(":")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65_535:
        what = f"{value!r} is no address to listen on; write HOST:PORT, such as 127.0.0.1:8321, or off"
        raise UnfitValueError("port_invalid", what)
    return value


OFF = "off"
"""Stands where a schedule or an address may stand, for none."""

CronText = Annotated[str, BeforeValidator(_schedule)]
Listen = Annotated[str, BeforeValidator(_listen)]
ZoneName = Annotated[str, BeforeValidator(_zone)]
SomePath = Annotated[Path, BeforeValidator(_some_path)]
Encoding = Annotated[str, BeforeValidator(_encoding)]
FactKind = Literal["customers", "products", "purchases", "refunds", "consents", "interactions", "calendar"]
FactKindKey = Annotated[str, Field(pattern=rf"^({'|'.join(get_args(FactKind))})$")]


class DatabaseSettings(Part):
    """Where the facts and decisions are kept."""

    url: str = Field("sqlite:///smr.db", description="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME")


class ShopSettings(Part):
    """The shop itself: what templates may name, and what a day and a price mean."""

    name: str = Field("", description="the shop's name, {{ shop.name }} in templates")
    zone: ZoneName = Field("Asia/Shanghai", description="the time zone of the shop's days")
    currency: str = Field(
        "CNY",
        pattern=r"^[A-Z]{3}$",
        description="three capital letters, such as CNY; of amounts that name none",
    )
    language: Literal["en", "zh"] = Field("en", description="of explanations and of in_words in templates")
    calendar: Literal["cn", "none"] | None = Field(
        None,
        description="whose public holidays hold: cn, mainland China, or none; default: cn in a zone of China",
    )
    reorder_url: str = Field("", description="{product_id}, {customer_id} and {message_id} are filled in")

    @property
    def tz(self) -> ZoneInfo:
        """The shop's time zone."""
        return ZoneInfo(self.zone)

    @property
    def region(self) -> str:
        """Whose public holidays hold: cn or none."""
        return self.calendar or ("cn" if self.zone in _ZONES_OF_CHINA else "none")


class QuietHours(Part):
    """A daily window, possibly over midnight, in which nobody is written to (customer's own zone)."""

    from_: TimeOfDay = Field(alias="from")
    to: TimeOfDay
    holidays: Flag = Field(False, description="also keep quiet on the holidays of the calendar")

    @model_validator(mode="after")
    def _some(self) -> QuietHours:
        if self.from_ == self.to:
            raise UnfitValueError(
                "range_empty", "from and to are the same: no time is quiet; write two different times"
            )
        return self


class Fatigue(Part):
    """Who does not answer is written to less often."""

    after: Whole = Field(ge=1, le=1000, description="so many messages in a row with no sign of the customer")
    slow_to: RateText = Field(description="then at most so many, such as 1 per 14d, until there is one")


class Mix(Part):
    """How much of what a customer is sent may be selling."""

    selling_at_most: Share = Field(description="the share of selling messages, such as 40%")
    within: Span = Field(30 * clock.DAY, description="counted over so long")

    @property
    def window(self) -> Rate:
        """The span as that of a rate."""
        return Rate(1, self.within)


class PolicySettings(Part):
    """The contact policy: what holds for all playbooks together."""

    caps: RateTexts = Field(
        (Rate(1, clock.DAY), Rate(8, 30 * clock.DAY)),
        description="at most so many personal messages per customer, such as [1 per 1d, 8 per 30d]",
    )
    gap: Span | None = Field(
        None, description="at least so long between two personal messages to a customer, such as 20h"
    )
    fatigue: Fatigue | None = Field(
        None, description="who does not answer is written to less often: {after: 3, slow_to: 1 per 14d}"
    )
    mix: Mix | None = Field(
        None,
        description="at most such a share of a customer's messages is selling: {selling_at_most: 40%}; what "
        "each playbook or step is, it says by content",
    )
    quiet_hours: QuietHours | None = Field(
        None, description="such as {from: 21:00, to: 09:00}; waiting, not lost"
    )
    blast_limit: Share | None = Field(
        None, description="a run that would write to a larger share of all customers stops and asks"
    )
    complaint_tags: tuple[str, ...] = Field(
        ("投诉中", "complaint"), description="customers with one of these tags are left in peace"
    )
    discreet_word: str | None = Field(
        None,
        min_length=1,
        max_length=50,
        description="what a sensitive product is called on discreet channels; "
        "default: 您买过的商品, what you bought",
    )
    after_refund: Span | None = Field(
        None, description="whoever gave something back is left in peace for so long, such as 14d"
    )
    useful_for: Span = Field(3 * clock.DAY, description="for steps that do not say how late is too late")


class ChannelSettings(Part):
    """One channel: which adapter, and what every adapter knows. Each kind adds its own keys."""

    kind: str = Field(
        "file", description="the adapter: file, webhook, email, broker, or one installed beside"
    )
    consent: Literal["required", "opt_out"] = Field(
        "required", description="required: only with a recorded consent; opt_out: unless refused"
    )
    address: Literal["required", "customer_id"] = Field(
        "required",
        description="required: only to a recorded address; customer_id: the id serves as the address",
    )
    cap: RateTexts = Field(
        (),
        description="at most so many messages per customer on this channel, such as 2 per 30d, or several: "
        "[1 per day, 4 per month]",
    )
    gap: Span | None = Field(
        None, description="at least so long between two messages to a customer on this channel"
    )
    personal: Flag | None = Field(None, description="false: one text goes to many (such as Moments)")
    discreet: Flag | None = Field(
        None,
        description="true: others may read along, so nothing sensitive is named; default: of sms only",
    )
    max_length: Whole | None = Field(None, ge=1, description="longest text, in characters")
    rate: PaceText | None = Field(
        None, description="at most so fast, over all processes, such as 50 per second or 600 per minute"
    )
    parallel: Whole | None = Field(None, ge=1, le=64, description="calls at once, in each process")
    timeout: Whole | None = Field(None, ge=1, le=600, description="seconds one call may take in all")
    confirm_within: Span | None = Field(
        None,
        description="how long staff have to send what they were given; then it is taken back from them, and "
        "the step's next channel is tried",
    )
    unknown: Literal["ask", "resend", "hold"] | None = Field(
        None,
        description="what to do with a message that may or may not have gone out: ask the provider, "
        "send it again under the same id, or leave it to people; default: as the adapter knows best",
    )


def _by_kind(value: Any) -> Any:
    """A channel's entry as the settings of its kind."""
    return settings_of(value).model_validate(value) if isinstance(value, dict) else value


def settings_of(entry: Mapping[str, Any]) -> type[ChannelSettings]:
    """The model of a channel's entry, by its `kind`. Raises OperatorError for a kind nobody provides."""
    found = kind_of(str(entry.get("kind", "file"))).settings
    if not issubclass(found, ChannelSettings):
        raise OperatorError(
            f"channels: {found.__name__} is not made from ChannelSettings; its package is faulty"
        )
    return found


AnyChannel = Annotated[SerializeAsAny[ChannelSettings], BeforeValidator(_by_kind)]


class FilesSettings(Part):
    """Where the file channel writes."""

    folder: SomePath = Field(
        Path("outbox"), description="one JSONL and one readable text file per channel and day"
    )


class ImportSettings(Part):
    """How files of facts are read."""

    columns: dict[FactKindKey, dict[str, str]] = Field(
        default_factory=dict,
        description="per kind: our column name → the file's, such as {purchases: {customer_id: 会员号}}",
    )
    reject_limit: Share = Field(0.2, description="a file with a larger share of bad rows is refused whole")
    rejects_folder: SomePath = Field(Path("rejects"), description="where refused rows are written")
    encoding: Encoding = Field("utf-8", description="of CSV and JSONL files, such as gb18030")


class SourceSettings(Part):
    """A SELECT in the shop's own database, read as far as it has grown since the last time."""

    kind: FactKind = Field(description="what the rows are")
    url: str = Field(description="an SQLAlchemy URL; reading only")
    select: str = Field(description="one SELECT; :cursor stands for the last value seen")
    cursor: str = Field(description="the selected column that grows, such as updated_at or id")
    columns: dict[str, str] = Field(default_factory=dict, description="our column name → the selected one")


class DaemonSettings(Part):
    """What `smr daemon` does, and when: cron expressions, or `off`. Weekdays 0 and 7 are Sunday."""

    zone: ZoneName | None = Field(None, description="the time zone of these schedules; else the shop's")
    import_: CronText = Field("*/10 * * * *", alias="import", description="when the sources are read")
    run: CronText = Field("*/30 * * * *", description="when it is decided who is reminded")
    deliver: CronText = Field("* * * * *", description="when what waits is sent; also after each run")
    rescue: CronText = Field("* * * * *", description="when what dead workers held is taken back")
    watch: CronText = Field("* * * * *", description="when incidents are looked for and alerts are sent")
    prune: CronText = Field("30 3 * * *", description="when old texts and records are let go of")
    backup: CronText = Field(OFF, description="when a SQLite database is copied")
    backup_folder: SomePath = Field(Path("backups"), description="where the copies lie")
    backups: Whole = Field(7, ge=1, le=1000, description="how many copies are kept; the oldest goes first")
    keep: Span | None = Field(
        None, description="texts and addresses of messages that ended longer ago are emptied; else kept"
    )
    grace: ShortSpan = Field(30, description="how long a stop may take: batches in hand are finished")
    listen: Listen = Field(
        "127.0.0.1:8321", description="HOST:PORT of /health and /metrics, or off; has no password"
    )

    def cron(self, duty: str) -> Cron | None:
        """When a duty is to be done; None where it is off."""
        stated = getattr(self, "import_" if duty == "import" else duty)
        return None if stated == OFF else parse_cron(stated)

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port to listen on; None where it is off."""
        host, _, port = self.listen.rpartition(":")
        return None if self.listen == OFF else (host.strip("[]"), int(port))


class AlertReceiver(Part):
    """One who is told of incidents: an address on a channel."""

    channel: str = Field(description="a channel of this file, such as email or webhook")
    to: str = Field(min_length=1, description="the operator's address on it")


class AlertSettings(Part):
    """What is an incident, and who is told."""

    to: tuple[AlertReceiver, ...] = Field(
        (), description="who is told, such as [{channel: email, to: ops@shop.example}]"
    )
    error_share: Share = Field(0.2, description="of an hour's attempts on a channel; more are an incident")
    unusual: Whole = Field(
        3, ge=2, le=1000, description="a run that queues so many times the usual is an incident"
    )
    late: Span = Field(1800, description="a message still waiting so long after its time is an incident")
    unknown: Whole = Field(1, ge=1, description="so many messages of unknown fate are an incident")
    database: ShortSpan = Field(60, description="a database that cannot be reached for so long is one")


class Settings(Part):
    """Everything `config.yaml` may say."""

    database: DatabaseSettings = DatabaseSettings()
    playbooks: SomePath = Field(Path("playbooks"), description="the folder of playbooks")
    shop: ShopSettings = ShopSettings()
    policy: PolicySettings = PolicySettings()
    channels: dict[str, AnyChannel] = Field(default_factory=dict)
    files: FilesSettings = FilesSettings()
    imports: ImportSettings = Field(ImportSettings(), alias="import")
    sources: dict[str, SourceSettings] = Field(default_factory=dict)
    daemon: DaemonSettings = DaemonSettings()
    alerts: AlertSettings = AlertSettings()
    holdout_seed: str = Field("", description="change it to draw new holdouts for all playbooks")

    _warnings: tuple[Fault, ...] = PrivateAttr(())

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """What is doubtful about the file it came from, without being wrong."""
        return self._warnings

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

    def is_discreet(self, name: str) -> bool:
        """Whether others may read along there, so that nothing sensitive is named."""
        stated = self.channel(name).discreet
        return name in READ_BY_OTHERS if stated is None else stated

    @property
    def daemon_tz(self) -> ZoneInfo:
        """The time zone of the daemon's schedules."""
        return ZoneInfo(self.daemon.zone or self.shop.zone)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """All channel names playbooks may use."""
        return tuple(dict.fromkeys((*KNOWN_CHANNELS, *self.channels)))


CONFIG = Path("config.yaml")
"""The file that is read where none is named."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DRIVERS = {"sqlite", "sqlite+pysqlite", "postgresql", "postgres", "postgresql+psycopg"}


def load_settings(path: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in that file, or in `config.yaml` of this folder, or the defaults.

    A file that is named must exist. FaultsError tells all faults.
    """
    chosen = path if path is not None else (CONFIG if CONFIG.exists() else None)
    document = Document("", {}) if chosen is None else _document(chosen)
    filled = _Filled(document, environ)
    channels, strange = _channels(document, filled)
    rest = {key: value for key, value in filled.data.items() if key != "channels"}
    settings, faults = typed(Settings, document, data=rest, hidden=filled.paths)
    faults = [*strange, *faults]
    told = {(fault.line, fault.column) for fault in filled.faults}
    faults = [fault for fault in faults if (fault.line, fault.column) not in told]
    faults = [*document.faults, *filled.faults, *faults]
    if settings is None or faults:
        raise FaultsError(faults)
    folder = chosen.parent if chosen is not None else Path()
    settings = settings.model_copy(update={"channels": channels})
    settings = _overridden(_located(settings, folder), environ)
    faults = [
        *_url_faults(settings, document, environ),
        *_alert_faults(settings, document),
        *_backup_faults(settings, document),
    ]
    if faults:
        raise FaultsError(faults)
    settings._warnings = (*_warnings(chosen, document), *_open_to_all(settings, document))
    return settings


def _channels(document: Document, filled: _Filled) -> tuple[dict[str, ChannelSettings], list[Fault]]:
    """The channels, each by the model of its kind; and what is wrong with them."""
    stated = filled.data.get("channels", {})
    if not isinstance(stated, dict):
        return {}, typed(Settings, document, data={"channels": stated})[1]
    models: dict[str, type[ChannelSettings]] = {}
    faults: list[Fault] = []
    for name, entry in stated.items():
        try:
            models[name] = settings_of(entry) if isinstance(entry, dict) else ChannelSettings
        except OperatorError as error:
            faults.append(_kind_fault(document, filled, name, str(entry["kind"]), str(error)))
    fields: dict[str, Any] = {
        f"channel_{number}": (model, Field(alias=name)) for number, (name, model) in enumerate(models.items())
    }
    whole = create_model("Whole", channels=(create_model("Channels", **fields), ...))
    data = {"channels": {name: stated[name] for name in models}}
    found, wrong = typed(whole, document, data=data, hidden=filled.paths)
    if found is None:
        return {}, [*faults, *wrong]
    read: BaseModel = found.channels  # type: ignore[attr-defined]
    return {name: getattr(read, f"channel_{number}") for number, name in enumerate(models)}, faults


def _kind_fault(document: Document, filled: _Filled, name: str, kind: str, why: str) -> Fault:
    """A channel of a kind that nobody provides, or whose package is faulty."""
    path = ("channels", name, "kind")
    if path in filled.paths:
        return document.fault(path, "unknown_value", "the value from the environment does not fit here", "")
    if kind in kinds():
        return document.fault(path, "unknown_value", why, "")
    return document.fault(path, "unknown_value", f"{kind!r} is not known here", did_you_mean(kind, kinds()))


def _document(path: Path) -> Document:
    """The file as it stands; one with nothing but comments says nothing."""
    if not path.exists():
        fix = "check --config, or make one with smr init"
        raise FaultsError([Fault(str(path), 0, 0, "", "config_missing", "there is no such file", fix)])
    try:
        return read_yaml(read_text(path), str(path))
    except FaultsError as error:
        if [fault.code for fault in error.faults] == ["empty"]:
            return Document(str(path), {})
        raise


class _Filled:
    """The document's data with variables put in and unsaid values left out; `paths` are those filled."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self.document = document
        self.environ = environ
        self.paths: set[Steps] = set()
        self.faults: list[Fault] = []
        self.data: dict[str, Any] = self._fill(document.data, ())

    def _fill(self, value: Any, path: Steps) -> Any:
        if isinstance(value, dict):
            return {key: self._fill(part, (*path, key)) for key, part in value.items() if part is not None}
        if isinstance(value, list):
            return [self._fill(part, (*path, number)) for number, part in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        self.paths.add(path)
        return _VARIABLE.sub(lambda found: self._variable(found[1], path), value)

    def _variable(self, name: str, path: Steps) -> str:
        if not _VARIABLE_NAME.fullmatch(name):
            fix = "write letters, digits and _ only, such as ${SMR_PASSWORD}"
            self.faults.append(
                self.document.fault(path, "variable_name", "this is no name of a variable", fix)
            )
        elif not self.environ.get(name):
            what = f"the environment variable {name} is {'empty' if name in self.environ else 'not set'}"
            fix = f"set {name}, or write the value here"
            self.faults.append(self.document.fault(path, "secret_empty", what, fix))
        return self.environ.get(name, "")


def _located(settings: Settings, folder: Path) -> Settings:
    """The settings with relative paths starting at the config file's folder."""
    files = settings.files.model_copy(update={"folder": folder / settings.files.folder})
    imports = settings.imports.model_copy(update={"rejects_folder": folder / settings.imports.rejects_folder})
    daemon = settings.daemon.model_copy(update={"backup_folder": folder / settings.daemon.backup_folder})
    database = DatabaseSettings(url=_located_url(settings.database.url, folder))
    changes = {
        "files": files,
        "imports": imports,
        "database": database,
        "daemon": daemon,
        "playbooks": folder / settings.playbooks,
    }
    return settings.model_copy(update=changes)


def _located_url(url: str, folder: Path) -> str:
    scheme, separator, file = url.partition(":///")
    if not scheme.startswith("sqlite") or not separator or not file or file.startswith((":", "file:")):
        return url
    return f"{scheme}:///{folder / file}"


def _overridden(settings: Settings, environ: Mapping[str, str]) -> Settings:
    changes: dict[str, Any] = {}
    if environ.get("SMR_DATABASE_URL"):
        changes["database"] = DatabaseSettings(url=environ["SMR_DATABASE_URL"])
    if environ.get("SMR_PLAYBOOKS"):
        changes["playbooks"] = Path(environ["SMR_PLAYBOOKS"])
    return settings.model_copy(update=changes)


def _url_faults(settings: Settings, document: Document, environ: Mapping[str, str]) -> Iterator[Fault]:
    """Whether the URL names a database smr can use; its password is never shown."""
    what = _url_fault(settings.database.url)
    if not what:
        return
    fix = (
        "write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME; in a password write % as %25, @ as %40"
    )
    if environ.get("SMR_DATABASE_URL"):
        yield Fault("SMR_DATABASE_URL", 0, 0, "", "database_url", what, fix)
    else:
        yield document.fault(("database", "url"), "database_url", what, fix)


def _alert_faults(settings: Settings, document: Document) -> Iterator[Fault]:
    """Receivers on channels that are not there."""
    for number, receiver in enumerate(settings.alerts.to):
        if not settings.is_channel(receiver.channel):
            what = f"there is no channel {receiver.channel!r}"
            place = ("alerts", "to", number, "channel")
            yield document.fault(
                place, "channel_unknown", what, did_you_mean(receiver.channel, settings.channel_names)
            )


def _backup_faults(settings: Settings, document: Document) -> Iterator[Fault]:
    """A schedule for copies of a database that smr does not copy."""
    if settings.daemon.backup != OFF and settings.database.url.startswith("postgres"):
        what, fix = "smr copies SQLite databases only", "write off, and have pg_dump copy it at its time"
        yield document.fault(("daemon", "backup"), "backup_postgresql", what, fix)


def _url_fault(url: str) -> str:
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        return "this is not the URL of a database"
    if found.drivername not in _DRIVERS:
        return f"{found.render_as_string(hide_password=True)} is no database that smr can use"
    if "@" in (found.host or ""):
        return "the URL has two @"
    return ""


def _warnings(path: Path | None, document: Document) -> Iterator[Fault]:
    """A password in a file that everybody on this machine can read."""
    if path is None or os.name != "posix" or not path.stat().st_mode & stat.S_IROTH:
        return
    for place, url in _urls(document.data):
        if re.search(r"://[^/@:]*:[^@]+@", _VARIABLE.sub("", url)):
            what = "a password stands in a file that everybody on this machine can read"
            fix = f"chmod 600 {path}, or write ${{NAME}} and set that variable"
            yield document.fault(place, "config_readable", what, fix, warning=True)
            return


def _open_to_all(settings: Settings, document: Document) -> Iterator[Fault]:
    """An address on which everybody can read how the shop is doing."""
    address = settings.daemon.address
    if address is not None and address[0] in ("0.0.0.0", "::"):  # noqa: S104 - what is warned of
        what = f"{settings.daemon.listen} can be read from other machines, without a password"
        fix = "listen on 127.0.0.1, or let only your own network come there"
        yield document.fault(("daemon", "listen"), "listen_public", what, fix, warning=True)


def _urls(data: Mapping[str, Any]) -> Iterator[tuple[Steps, str]]:
    parts: dict[Steps, Any] = {("database",): data.get("database")}
    sources = data.get("sources")
    parts |= {
        ("sources", name): part for name, part in (sources if isinstance(sources, dict) else {}).items()
    }
    for path, part in parts.items():
        if isinstance(part, dict) and isinstance(part.get("url"), str):
            yield (*path, "url"), part["url"]
