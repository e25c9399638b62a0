"""The webhook channel.

In: messages. Out: one signed POST each; any 2xx is taken as accepted. Redirects are not followed.
Receipts come back by POST, signed with the same secret.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from smr import clock
from smr.channels.document import document
from smr.channels.http import Client, Reply
from smr.channels.http.networks import networks
from smr.channels.http.retry_after import retry_after
from smr.channels.protocol import (
    Accepted,
    Call,
    CallRefusedError,
    Outgoing,
    Receipt,
    ReceiptKind,
    Refused,
    Result,
    Traits,
    UnknownPolicy,
)
from smr.channels.traits import as_set
from smr.channels.webhook import WebhookSettings
from smr.channels.webhook.signature import is_good, key_of, sign
from smr.errors import ChannelError, Refusal
from smr.settings import Settings

SECONDS = 20
PARALLEL = 8
KINDS = {f"message.{kind.value}": kind for kind in ReceiptKind}


class WebhookChannel:
    """Posts messages to one URL."""

    def __init__(self, name: str, settings: Settings) -> None:
        stated = settings.channel(name)
        assert isinstance(stated, WebhookSettings)  # noqa: S101 - the registry opens by kind
        self.name = name
        own = Traits(
            personal=settings.is_personal(name),
            dedupes=True,
            can_ask=False,
            staff_confirms=False,
            max_batch=1,
            max_length=None,
            unknown_policy=UnknownPolicy.RESEND,
            parallel=PARALLEL,
            call_seconds=SECONDS,
        )
        self.traits = as_set(own, name, stated)
        secrets = [one for one in (stated.secret, stated.old_secret) if one is not None]
        self._keys = [key_of(secret.get_secret_value()) for secret in secrets]
        self._url = stated.url
        self._client = Client(
            seconds=self.traits.call_seconds,
            parallel=self.traits.parallel,
            allowed=networks(stated.allow),
        )

    @property
    def place(self) -> str:
        """The host messages are posted to."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.hostname}"

    def send(self, batch: Sequence[Outgoing]) -> list[Result]:
        """Post each message; one call each."""
        return [self._send(message) for message in batch]

    def ask(self, message_ids: Sequence[str]) -> dict[str, bool]:
        """An endpoint cannot be asked; it takes each id once instead."""
        return {}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def receive(self, call: Call, now: datetime) -> Sequence[Receipt]:
        """Receipts that the endpoint posts back, signed like messages."""
        webhook_id = call.headers.get("webhook-id", "")
        stamp, signed = call.headers.get("webhook-timestamp", ""), call.headers.get("webhook-signature", "")
        if not is_good(self._keys, webhook_id, stamp, signed, call.body, now=now):
            raise CallRefusedError(401, "the signature is not good")
        try:
            return [_receipt(webhook_id, json.loads(call.body), now)]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise CallRefusedError(422, "this is not a receipt") from None

    def _send(self, message: Outgoing) -> Result:
        try:
            # The time of the signature is the real one, or the endpoint would not believe it.
            at = clock.seconds(clock.now())
            body = document(self.name, message)
            headers = {
                "content-type": "application/json",
                "user-agent": "smr",
                "webhook-id": message.message_id,
                "webhook-timestamp": str(at),
                "webhook-signature": sign(self._keys, message.message_id, at, body),
            }
            reply = self._client.post(self._url, headers, body)
        except ChannelError as error:
            return Refused(error.refusal, error.permanent, str(error))
        except (TypeError, ValueError):
            return Refused(Refusal.REJECTED, True, "the message holds what cannot be written")
        return _result(reply)


def _result(reply: Reply) -> Result:
    """What a status means; see docs/how-to/send-by-webhook.md."""
    status, detail = reply.status, f"the endpoint answered {reply.status}"
    if 200 <= status < 300:
        return Accepted()
    if status == 429:
        return Refused(Refusal.THROTTLED, False, detail, retry_after(reply.headers, clock.now()))
    if status == 503:
        return Refused(Refusal.UNAVAILABLE, False, detail, retry_after(reply.headers, clock.now()))
    if status in (401, 403, 404, 405, 407, 410) or 300 <= status < 400:
        return Refused(Refusal.UNAUTHORIZED, False, detail)
    if 400 <= status < 500 and status not in (408, 425):
        return Refused(Refusal.REJECTED, True, detail)
    return Refused(Refusal.IN_DOUBT, False, detail)


def _receipt(webhook_id: str, told: Any, now: datetime) -> Receipt:
    about = told["data"]
    stated = told.get("timestamp")
    at = datetime.fromisoformat(str(stated)).astimezone(UTC) if stated else now
    return Receipt(
        receipt_id=webhook_id,
        kind=KINDS[told["type"]],
        at=min(at, now),
        message_id=_text(about.get("message_id")),
        provider_id=_text(about.get("provider_id")),
        address=_text(about.get("address")),
        dead_address=about.get("dead_address") is True,
        detail=str(about.get("detail", ""))[:500],
    )


def _text(value: Any) -> str | None:
    return str(value)[:200] if value is not None else None
