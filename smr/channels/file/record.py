"""A message as a line of JSON, and as text for people. No file is touched here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from smr.channels.protocol import Outgoing

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ID = re.compile(rb'\{"message_id": "([^"\\]{1,200})"')
_ENTRY_END = re.compile(rb"^id (\S{1,200})\n\n\Z", re.MULTILINE)


def line(channel: str, message: Outgoing) -> bytes:
    """One line of JSON, its newline included; the message id stands first."""
    fields = {
        "message_id": message.message_id,
        "channel": channel,
        "address": message.address,
        "customer_id": message.customer_id,
        "playbook": message.playbook,
        "step": message.step,
        "subject": message.subject,
        "text": message.text,
        "html": message.html,
        "attachments": list(message.attachments),
        "sent_at": message.sent_at.isoformat().replace("+00:00", "Z"),
    }
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"


def line_id(found: bytes) -> str | None:
    """The message id of a line that is whole; None for anything else."""
    start = _ID.match(found)
    return start[1].decode(errors="replace") if start and found.endswith(b"}\n") else None


def entry(fields: Mapping[str, Any]) -> bytes:
    """A message as people read it; takes the fields of its line. Ends with its id and an empty line."""
    origin = f"({fields['playbook']}/{fields['step']})"
    parts = [f"{fields['sent_at']}  {fields['channel']} → {fields['address']}  {origin}"]
    if fields["subject"]:
        parts.append(str(fields["subject"]))
    parts.append(fields["text"])
    parts.extend(f"+ {_attachment(attachment)}" for attachment in fields["attachments"])
    parts.append(f"id {fields['message_id']}")
    return _CONTROL.sub("", "\n".join(parts) + "\n\n").encode()


def last_entry_id(tail: bytes) -> str | None:
    """The id of the last entry of a text; None where the text is empty or breaks off within an entry."""
    found = _ENTRY_END.search(tail)
    return found[1].decode(errors="replace") if found else None


def _attachment(attachment: Any) -> str:
    """`link: a title, https://…`."""
    if not isinstance(attachment, Mapping):
        return str(attachment)
    named = (
        f"{kind}: " + ", ".join(str(value) for value in content.values() if value)
        if isinstance(content, Mapping)
        else f"{kind}: {content}"
        for kind, content in attachment.items()
        if content
    )
    return "; ".join(named)
