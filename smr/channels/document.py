"""A message as the JSON document that endpoints and brokers get.

In: the channel's name and a message. Out: UTF-8 bytes, the shape told in docs/how-to/send-by-webhook.md.
"""

from __future__ import annotations

import json
from typing import Any

from smr.channels.protocol import Outgoing


def document(channel: str, message: Outgoing) -> bytes:
    """The document. Raises TypeError or ValueError for a message that holds what cannot be written."""
    content: dict[str, Any] = {
        "message_id": message.message_id,
        "channel": channel,
        "customer_id": message.customer_id,
        "address": message.address,
        "playbook": message.playbook,
        "step": message.step,
        "purpose": message.purpose,
        "subject": message.subject,
        "text": message.text,
        "html": message.html,
        "attachments": list(message.attachments),
        "attempt": message.attempt,
    }
    stamp = message.sent_at.isoformat().replace("+00:00", "Z")
    whole = {"type": "message.send", "timestamp": stamp, "data": content}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
