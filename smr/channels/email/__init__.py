"""The email channel: SMTP under TLS, text and HTML, unsubscribing by one click.

Each mail carries a link to a page where its reader can refuse further ones, and the headers by which mailbox
providers do it for them (RFC 8058). What the server says at each stage is read for what it is. Where the
settings name the mailbox to which bounces go, that is read as well.
"""

from __future__ import annotations

from email.utils import parseaddr
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from smr.channel_kinds import Kind
from smr.notation import ShortSpan, Whole
from smr.settings import ChannelSettings, Part, Settings
from smr.typed import UnfitValueError

LEAST_KEY = 32


class BouncesSettings(Part):
    """The mailbox to which the sender's bounces go."""

    host: str = Field(description="the IMAP server")
    port: Whole = Field(993, ge=1, le=65_535, description="993 for tls, 143 for starttls")
    tls: Literal["tls", "starttls"] = Field(
        "tls", description="tls: encrypted from the start; starttls: begin in the clear, then encrypt"
    )
    username: str = Field(description="to log in with")
    password: SecretStr = Field(description="to log in with")
    folder: str = Field("INBOX", description="where the bounces lie; nothing in it is marked or deleted")
    every: ShortSpan = Field(300, ge=10, description="how often it is looked into")

    @field_validator("username", "folder")
    @classmethod
    def _sayable(cls, value: str) -> str:
        return _printable(value)

    @field_validator("password")
    @classmethod
    def _secret_sayable(cls, value: SecretStr) -> SecretStr:
        _printable(value.get_secret_value())
        return value


def _printable(value: str) -> str:
    """A word that can be said to an IMAP server."""
    if not value or not value.isascii() or not value.isprintable():
        raise UnfitValueError("bad_text", "IMAP takes letters, digits and signs of ASCII only")
    return value


class EmailSettings(ChannelSettings):
    """A channel that sends mail."""

    kind: Literal["email"] = Field("email", description="the adapter")
    host: str = Field(description="the SMTP server")
    port: Whole = Field(587, ge=1, le=65_535, description="587 for starttls, 465 for tls")
    tls: Literal["starttls", "tls"] = Field(
        "starttls", description="starttls: begin in the clear, then encrypt; tls: encrypted from the start"
    )
    ca_file: Path | None = Field(None, description="certificates to trust, where the server's is of your own")
    username: str | None = Field(None, description="to log in with")
    password: SecretStr | None = Field(None, description="to log in with")
    sender: str = Field(description="who writes: 小林的店 <post@shop.example>")
    reply_to: str | None = Field(None, description="where answers go, if not to the sender")
    unsubscribe_url: str = Field(
        description="where the daemon's pages are reached from outside: https://smr.shop.example"
    )
    unsubscribe_key: SecretStr = Field(description="at least 32 characters; signs the links")
    bounces: BouncesSettings | None = Field(None, description="the mailbox to which the sender's bounces go")

    @field_validator("sender", "reply_to")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and ("@" not in parseaddr(value)[1] or "\n" in value or "\r" in value):
            raise UnfitValueError("address_invalid", "this holds no address; write NAME <post@shop.example>")
        return value

    @field_validator("unsubscribe_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < LEAST_KEY:
            raise UnfitValueError(
                "secret_invalid", "the key is too short; make one with: openssl rand -base64 32"
            )
        return value

    @field_validator("unsubscribe_url")
    @classmethod
    def _https(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme != "https" or not parts.hostname:
            raise UnfitValueError("url_not_allowed", "mailbox providers call it; it must begin with https://")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _login(self) -> EmailSettings:
        if (self.username is None) != (self.password is None):
            raise UnfitValueError("missing_key", "username and password come together; write both or none")
        return self


def _open(name: str, settings: Settings) -> Any:
    from smr.channels.email.bounces import EmailWithBounces
    from smr.channels.email.channel import EmailChannel

    stated = settings.channel(name)
    if isinstance(stated, EmailSettings) and stated.bounces is not None:
        return EmailWithBounces(name, settings, stated.bounces)
    return EmailChannel(name, settings)


KIND = Kind(settings=EmailSettings, open=_open, polls=True)

__all__ = ["KIND", "BouncesSettings", "EmailSettings"]
