"""Customers: who they are, where they are reached, what they consented to, their tags, staff and store.

A consent without its time is taken as said now, and only where it is not what was known already; so the
same file tells nothing new the next day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from smr import clock
from smr.database import insert_missing, insert_or_update
from smr.errors import OperatorError, did_you_mean
from smr.facts.batch import CURSOR, Batch, Readable
from smr.facts.cells import (
    LONGEST_TEXT,
    LUNAR,
    CellError,
    Column,
    MomentColumn,
    Remembered,
    TextColumn,
    read_any_birthday,
    read_email,
    read_flag,
    read_lunar_birthday,
    read_phone,
    read_zone,
)
from smr.facts.layout import Layout
from smr.facts.records import RecordKind, Said, attributes_apart, grown
from smr.facts.shapes import attribute_columns, place_of
from smr.settings import Settings
from smr.tables import NEVER, addresses, changed_customers, consents, customers, dice_of, staff, stores, tags

KEPT = (
    "name",
    "gender",
    "birthday",
    "lunar_birthday",
    "zone",
    "locale",
    "staff_id",
    "store_id",
    "attributes",
)
PURPOSE = "marketing"
ADDRESS_READERS = {"sms": read_phone, "email": read_email}
LONGEST_TAG = 100
LONGEST_ADDRESS = 320

Key = tuple[int, str]


class Customers(RecordKind):
    """How customers are read and kept."""

    key = ("bucket", "customer_id")

    def __init__(self, settings: Settings, layout: Layout, now: datetime) -> None:
        self._settings = settings
        self._now = now
        self._places = Remembered(place_of, 100_000)
        self._columns: tuple[Readable, ...] = (
            TextColumn("customer_id", needed=True),
            TextColumn("name", longest=LONGEST_TEXT),
            TextColumn("gender", longest=50),
            Column("birthday", read_any_birthday),
            Column("lunar_birthday", read_lunar_birthday),
            Column("zone", read_zone),
            TextColumn("locale", longest=50),
            TextColumn("staff_id"),
            TextColumn("staff_name", longest=LONGEST_TEXT),
            TextColumn("store_id"),
            TextColumn("store_name", longest=LONGEST_TEXT),
            Column("tags", _read_tags),
            MomentColumn("consented_at", settings.shop.tz),
        )
        self.readers(layout)

    def readers(self, layout: Layout) -> Mapping[str, Readable]:
        """What reads each column; refuses addresses and consents on channels there are not."""
        channels = (
            self._channel_column(name) for name in layout.columns if name.startswith(("address.", "consent."))
        )
        columns: tuple[Readable, ...] = (*self._columns, *channels, *attribute_columns(layout))
        return {column.name: column for column in columns}

    def _channel_column(self, name: str) -> Readable:
        family, _, channel = name.partition(".")
        if not self._settings.is_channel(channel):
            hint = did_you_mean(channel, self._settings.channel_names)
            raise OperatorError(f"column {name!r}: there is no channel {channel!r}; {hint}")
        if family == "consent":
            return Column(name, read_flag)
        if channel in ADDRESS_READERS:
            return Column(name, ADDRESS_READERS[channel])
        return TextColumn(name, longest=LONGEST_ADDRESS)

    def said(self, batch: Batch) -> Iterable[tuple[tuple[Any, ...], Said]]:
        """Key and sayings of each row."""
        names = [name for name in batch.values if name not in {"customer_id", CURSOR}]
        columns = (batch[name] for name in names)
        for customer_id, *values in zip(batch["customer_id"], *columns, strict=True):
            row = {name: value for name, value in zip(names, values, strict=True) if value is not None}
            yield (self._places[customer_id][0], customer_id), _sayings(row)

    def bring_in(
        self, connection: Connection, told: dict[tuple[Any, ...], Said], import_id: int
    ) -> tuple[int, int]:
        """Store these; whoever has something new is marked."""
        known = _read_known(connection, [*told])
        news = News(self._now)
        for (bucket, customer_id), said in told.items():
            news.hear((bucket, customer_id), said, known)
        news.store(connection, import_id)
        return len(news.new), len(news.changed) - len(news.new)


@dataclass
class Known:
    """What the tables hold of some customers."""

    customers: dict[Key, dict[str, Any]] = field(default_factory=dict)
    addresses: dict[Key, dict[str, str]] = field(default_factory=dict)
    consents: dict[Key, set[tuple[str, datetime, bool]]] = field(default_factory=dict)
    tags: dict[Key, dict[str, datetime | None]] = field(default_factory=dict)

    def granted(self, key: Key, channel: str) -> bool | None:
        """The latest word on a channel; a refusal goes before a yes of the same second."""
        words = [(at, not granted) for of, at, granted in self.consents.get(key, ()) if of == channel]
        return not max(words)[1] if words else None


@dataclass
class News:
    """Rows to write: what is said and not known yet."""

    now: datetime
    new: set[Key] = field(default_factory=set)
    changed: set[Key] = field(default_factory=set)
    customers: list[dict[str, Any]] = field(default_factory=list)
    addresses: list[dict[str, Any]] = field(default_factory=list)
    consents: list[dict[str, Any]] = field(default_factory=list)
    tags: list[dict[str, Any]] = field(default_factory=list)
    names: dict[str, dict[str, str]] = field(default_factory=lambda: {"staff": {}, "store": {}})

    def hear(self, key: Key, said: Said, known: Known) -> None:
        """Take down what is new in what is said of one customer."""
        owned = {"bucket": key[0], "customer_id": key[1]}
        before = self._rows()
        self._hear_customer(key, owned, said, known.customers.get(key))
        stored = known.addresses.get(key, {})
        for channel, address in said.get("addresses", {}).items():
            if stored.get(channel) != address:
                self.addresses.append(
                    {**owned, "channel": channel, "address": address, "undeliverable_since": None}
                )
        for word, granted in said.get("consents", {}).items():
            self._hear_consent(key, owned, word, granted, known)
        for tag in said.get("tags", ()):
            self._hear_tag(owned, tag, known.tags.get(key, {}))
        if self._rows() > before:
            self.changed.add(key)
        for kind, names in self.names.items():
            if f"{kind}_id" in said and f"{kind}_name" in said:
                names[said[f"{kind}_id"]] = said[f"{kind}_name"]

    def _rows(self) -> int:
        return sum(map(len, (self.customers, self.addresses, self.consents, self.tags)))

    def _hear_customer(self, key: Key, owned: Said, said: Said, before: Said | None) -> None:
        if before is None:
            self.new.add(key)
            before = {"dice": dice_of(key[1]), "first_seen_at": self.now}
            self.customers.append({**dict.fromkeys(KEPT), **owned, **grown(before, said, KEPT)})
            return
        after = grown(before, said, KEPT)
        after["first_seen_at"] = min(before["first_seen_at"], self.now)
        if after != before:
            self.customers.append(after)

    def _hear_consent(self, key: Key, owned: Said, word: str, granted: bool, known: Known) -> None:
        channel, at_text, _ = word.split("|")
        if not at_text and known.granted(key, channel) == granted:
            return
        at = clock.moment(int(at_text)) if at_text else self.now
        if (channel, at, granted) in known.consents.get(key, ()):
            return
        told = {
            "channel": channel,
            "purpose": PURPOSE,
            "decided_at": at,
            "granted": granted,
            "source": "import",
        }
        self.consents.append({**owned, **told})

    def _hear_tag(self, owned: Said, tag: str, stored: Mapping[str, datetime | None]) -> None:
        if tag in stored:
            expires_at = stored[tag]
            if expires_at is None or expires_at > self.now:
                return
        self.tags.append({**owned, "tag": tag, "source": "import", "set_at": self.now, "expires_at": None})

    def store(self, connection: Connection, import_id: int) -> None:
        """Write it all down, with the marks."""
        dialect = connection.dialect.name
        marks = [
            {"bucket": bucket, "customer_id": who, "import_id": import_id, "bought_since": NEVER}
            for bucket, who in sorted(self.changed)
        ]
        written: Sequence[tuple[Any, list[dict[str, Any]]]] = (
            (insert_or_update(dialect, staff, update=("name",)), _named("staff_id", self.names["staff"])),
            (insert_or_update(dialect, stores, update=("name",)), _named("store_id", self.names["store"])),
            (insert_or_update(dialect, customers, update=(*KEPT, "first_seen_at")), self.customers),
            (insert_or_update(dialect, addresses, update=("address", "undeliverable_since")), self.addresses),
            (insert_missing(dialect, consents), self.consents),
            (insert_or_update(dialect, tags, update=("source", "set_at", "expires_at")), self.tags),
            (insert_missing(dialect, changed_customers), marks),
        )
        for statement, rows in written:
            if rows:
                connection.execute(statement, rows)


def _sayings(row: Said) -> Said:
    """A row's cells gathered: addresses, consents, attributes; a birthday said to be lunar stands apart."""
    if row.get("birthday", "").startswith(LUNAR):
        row.setdefault("lunar_birthday", row.pop("birthday").removeprefix(LUNAR))
    at = row.pop("consented_at", "")
    parts: Said = {"addresses": {}, "consents": {}}
    for name in [*row]:
        family, _, channel = name.partition(".")
        if family == "address":
            parts["addresses"][channel] = row.pop(name)
        elif family == "consent":
            granted = row.pop(name)
            # Of words without a time the last counts; words with a time all stand.
            parts["consents"][f"{channel}|{at}|{granted if at else ''}"] = granted
    return {**attributes_apart(row), **{name: part for name, part in parts.items() if part}}


def _read_known(connection: Connection, keys: list[tuple[Any, ...]]) -> Known:
    buckets = [key[0] for key in keys]
    cut = {"least": min(buckets), "most": max(buckets), "ids": [key[1] for key in keys]}
    known = Known()
    for row in connection.execute(_owned(customers), cut).mappings():
        known.customers[row["bucket"], row["customer_id"]] = dict(row)
    for row in connection.execute(_owned(addresses), cut).mappings():
        known.addresses.setdefault((row["bucket"], row["customer_id"]), {})[row["channel"]] = row["address"]
    for row in connection.execute(_owned(consents).where(consents.c.purpose == PURPOSE), cut).mappings():
        word = (row["channel"], row["decided_at"], row["granted"])
        known.consents.setdefault((row["bucket"], row["customer_id"]), set()).add(word)
    for row in connection.execute(_owned(tags), cut).mappings():
        known.tags.setdefault((row["bucket"], row["customer_id"]), {})[row["tag"]] = row["expires_at"]
    return known


def _owned(table: sa.Table) -> Any:
    """Rows of these customers, by their neighbouring buckets."""
    return sa.select(table).where(
        table.c.bucket.between(sa.bindparam("least"), sa.bindparam("most")),
        table.c.customer_id.in_(sa.bindparam("ids", expanding=True)),
    )


def _named(key: str, names: Mapping[str, str]) -> list[dict[str, str]]:
    return [{key: identity, "name": name} for identity, name in sorted(names.items())]


def _read_tags(cell: str) -> list[str]:
    """Tags with ; between them."""
    found = [tag.strip() for tag in cell.replace("；", ";").split(";")]
    for tag in found:
        if not tag.isprintable():
            raise CellError("bad_text", "a tag has a control character in it")
        if len(tag) > LONGEST_TAG:
            raise CellError("too_long", f"a tag has {len(tag)} characters where {LONGEST_TAG} are allowed")
    return sorted({tag for tag in found if tag})
