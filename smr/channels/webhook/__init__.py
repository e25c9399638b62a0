"""The webhook channel: each message is one signed POST to an endpoint of the shop's own.

Signed as Standard Webhooks describes; the message id is the webhook id in every try, so the endpoint can take
each once. The endpoint may call back with receipts, signed in the same way.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator

from smr.channel_kinds import Kind
from smr.channels.http.networks import networks, url_fault
from smr.channels.webhook.signature import key_of
from smr.settings import ChannelSettings, Settings
from smr.typed import UnfitValueError


def _secret(value: SecretStr) -> SecretStr:
    try:
        key_of(value.get_secret_value())
    except ValueError as error:
        raise UnfitValueError("secret_invalid", str(error)) from None
    return value


def _network(value: str) -> str:
    try:
        networks([value])
    except ValueError:
        raise UnfitValueError(
            "network_invalid", f"{value!r} is not a network; write such as 10.0.0.0/8"
        ) from None
    return value


Secret = Annotated[SecretStr, AfterValidator(_secret)]
NetworkText = Annotated[str, AfterValidator(_network)]


class WebhookSettings(ChannelSettings):
    """A channel that posts each message to a URL."""

    kind: Literal["webhook"] = Field("webhook", description="the adapter")
    url: str = Field(description="where messages are posted; https://")
    secret: Secret = Field(description="whsec_ and base64 of 24 to 64 bytes; signs messages and receipts")
    old_secret: Secret | None = Field(
        None, description="the secret before this one, while it is being replaced: both sign"
    )
    allow: tuple[NetworkText, ...] = Field(
        (), description="networks inside that may be called, such as [10.0.0.0/8]; default: public addresses"
    )

    @model_validator(mode="after")
    def _callable(self) -> WebhookSettings:
        fault = url_fault(self.url, networks(self.allow))
        if fault:
            raise UnfitValueError("url_not_allowed", f"url: {fault}")
        return self


def _open(name: str, settings: Settings) -> Any:
    from smr.channels.webhook.channel import WebhookChannel

    return WebhookChannel(name, settings)


KIND = Kind(settings=WebhookSettings, open=_open)

__all__ = ["KIND", "WebhookSettings"]
