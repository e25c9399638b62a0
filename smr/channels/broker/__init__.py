"""The broker channel: each message is handed to a message broker, which confirms that it has it.

RabbitMQ, Redis Streams, NATS JetStream or Kafka, by the URL's scheme. What a broker cannot route is a
failure, never silence. Whoever takes the messages from the broker takes each id once. Needs `smr[broker]`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from smr.channel_kinds import Kind
from smr.errors import OperatorError
from smr.settings import ChannelSettings, Settings
from smr.typed import UnfitValueError

PORTS = {
    "amqp": 5672,
    "amqps": 5671,
    "redis": 6379,
    "rediss": 6379,
    "nats": 4222,
    "tls": 4222,
    "kafka": 9092,
    "kafkas": 9093,
}
"""The schemes that are known, each with its usual port."""
UNDER_TLS = frozenset({"amqps", "rediss", "tls", "kafkas"})
JETSTREAM = ("nats", "tls")


class BrokerSettings(ChannelSettings):
    """A channel that hands messages to a message broker."""

    kind: Literal["broker"] = Field("broker", description="the adapter")
    url: SecretStr = Field(
        description="amqp://, redis://, nats:// or kafka://USER:PASSWORD@HOST:PORT; under TLS amqps://, "
        "rediss://, tls:// (NATS), kafkas://"
    )
    to: str = Field(
        min_length=1,
        max_length=255,
        description="RabbitMQ: the queue, or with exchange the routing key; Redis: the stream; "
        "NATS: the subject; Kafka: the topic",
    )
    exchange: str | None = Field(None, min_length=1, description="RabbitMQ: publish there, not to a queue")
    stream: str | None = Field(None, min_length=1, description="NATS: the JetStream stream with the subject")
    login: Literal["plain", "scram-sha-256", "scram-sha-512"] = Field(
        "plain", description="Kafka: how the user of the URL proves to be it"
    )
    ca_file: Path | None = Field(None, description="certificates to trust, where the broker's is of your own")

    @field_validator("url")
    @classmethod
    def _known(cls, value: SecretStr) -> SecretStr:
        fault = _url_fault(value.get_secret_value())
        if fault:
            raise UnfitValueError("url_not_allowed", f"url: {fault}")
        return value

    @field_validator("to")
    @classmethod
    def _one_word(cls, value: str) -> str:
        if not value.isprintable() or " " in value:
            raise UnfitValueError("bad_name", "the name holds a space or a sign that cannot be seen")
        return value

    @model_validator(mode="after")
    def _goes_together(self) -> BrokerSettings:
        if self.scheme in JETSTREAM and self.stream is None:
            raise UnfitValueError("missing_key", "the key stream is missing: NATS keeps messages in streams")
        if self.scheme not in JETSTREAM and self.stream is not None:
            raise UnfitValueError("unknown_key", "stream is for NATS only; take it out")
        if self.scheme in JETSTREAM and any(part in ("", "*", ">") for part in self.to.split(".")):
            raise UnfitValueError("bad_name", "to: a message goes to one subject, such as smr.reminders")
        if self.exchange is not None and self.scheme not in ("amqp", "amqps"):
            raise UnfitValueError("unknown_key", "exchange is for RabbitMQ only; take it out")
        if self.ca_file is not None and self.scheme not in UNDER_TLS:
            raise UnfitValueError("unknown_key", "ca_file is for TLS; write amqps, rediss, tls or kafkas")
        return self

    @property
    def scheme(self) -> str:
        """Which broker, and whether under TLS."""
        return self._parts.scheme

    @property
    def host(self) -> str:
        """The broker's host."""
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        """The broker's port."""
        return self._parts.port or PORTS[self.scheme]

    @property
    def username(self) -> str | None:
        """Who logs in; None: nobody."""
        return unquote(self._parts.username) if self._parts.username else None

    @property
    def password(self) -> str | None:
        """With what."""
        return unquote(self._parts.password) if self._parts.password else None

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url.get_secret_value())


_WRITE = "write such as amqp://USER:PASSWORD@HOST:5672; one host; in a password write % as %25, @ as %40"


def _url_fault(url: str) -> str:
    """What is wrong with a URL; "" where nothing is. It is not repeated: it may hold a password."""
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return _WRITE
    if parts.scheme and parts.scheme not in PORTS:
        return f"this begins like no broker's; write one of {', '.join(PORTS)}"
    return "" if parts.scheme and named and "," not in str(parts.hostname) else _WRITE


def _open(name: str, settings: Settings) -> Any:
    from smr.channels.broker.channel import BrokerChannel

    try:
        return BrokerChannel(name, settings)
    except ImportError as error:
        if error.name and error.name.partition(".")[0] == "smr":
            raise
        raise OperatorError(
            f"channels.{name}: a broker needs more than smr comes with; pip install 'smr[broker]'"
        ) from None


KIND = Kind(settings=BrokerSettings, open=_open)

__all__ = ["KIND", "BrokerSettings"]
