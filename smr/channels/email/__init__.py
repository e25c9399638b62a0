"""The email channel: SMTP under TLS, text and HTML, unsubscribing by one click.

Each mail carries a link to a page where its reader can refuse further ones, and the headers by which mailbox
providers do it for them (RFC 8058). What the server says at each stage is read for what it is.
"""

from __future__ import annotations

from email.utils import parseaddr
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from smr.channel_kinds import Kind
from smr.notation import Whole
from smr.settings import ChannelSettings, Settings
from smr.typed import UnfitValueError

LEAST_KEY = 32


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
    from smr.channels.email.channel import EmailChannel

    return EmailChannel(name, settings)


KIND = Kind(settings=EmailSettings, open=_open)

__all__ = ["KIND", "EmailSettings"]
