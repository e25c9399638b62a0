"""What a mail in the bounce mailbox tells: a bounce (RFC 3464), a complaint (RFC 5965), or nothing to us.

In: a mail as it lies there, possibly cut off, from anybody. Out: a receipt, where the mail is such a report
and returns headers that we signed. Anybody may write to that mailbox, so a mail is believed only about the
message whose signed name it brings back, which nobody has but its reader and the servers on the way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any

from smr.channels.email.mail import message_in
from smr.channels.protocol import Receipt, ReceiptKind

MOST_PARTS = 20
"""Mentions of a boundary; the parser takes time with their number, and a report has a few."""
OLDEST = timedelta(days=60)
NO_SUCH_ADDRESS = frozenset({"0", "1", "2", "3", "6", "10"})
"""Details of status 5.1 that speak of the reader's address; 5.1.7 and 5.1.8 speak of the sender's."""
NO_SUCH_MAILBOX = ("550", "551", "553", "556")
COMPLAINTS = {
    "abuse": ReceiptKind.COMPLAINED,
    "fraud": ReceiptKind.COMPLAINED,
    "opt-out": ReceiptKind.OPTED_OUT,
}
"""What types of feedback mean. `not-spam`, `virus` and `auth-failure` say nothing of what a reader wants."""
RETURNED = ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global")
"""Parts that hold the mail that is reported on, or its headers."""
NAMING = ("Message-ID", "List-Unsubscribe", "Original-Message-ID", "X-Original-Message-ID")
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
_REPLY = re.compile(r"(?:smtp\s*;\s*)?([245]\d\d)\b")
Fields = Message
"""A block of fields, written like headers."""


def told(raw: bytes, *, key: str, channel: str, now: datetime) -> Receipt | None:
    """What a mail tells of a message of this channel; None where it tells nothing."""
    try:
        return _told(raw, key, channel, now)
    except Exception:  # garbage breaks the standard library's parser in ways that nobody has listed
        return None


def _told(raw: bytes, key: str, channel: str, now: datetime) -> Receipt | None:
    if raw.count(b"boundary") > MOST_PARTS:
        return None
    mail = message_from_bytes(raw)
    if mail.get_content_type() != "multipart/report":
        return None
    parts = {part.get_content_type(): part for part in reversed(_inside(mail))}
    blocks = _inside(parts.get("message/delivery-status"))
    feedback = _inside(parts.get("message/feedback-report"))
    found = _of_delivery(blocks) or _of_feedback(feedback)
    headers = [*_returned(parts), *blocks, *feedback]
    message_id = next((one for one in _named(headers, key, channel) if one is not None), None)
    if found is None or message_id is None:
        return None
    kind, dead, detail = found
    own = str(mail.get("Message-ID", "")).encode("utf-8", "replace") or raw
    return Receipt(
        f"{message_id}:{kind}:{sha256(own).hexdigest()[:16]}",
        kind,
        _at(mail, now),
        message_id=message_id,
        dead_address=dead,
        detail=detail,
    )


def _inside(part: Any) -> list[Message]:
    """The parts of a part, or the blocks of fields of one; empty where it has none."""
    payload = None if part is None else part.get_payload()
    return [one for one in payload if isinstance(one, Message)] if isinstance(payload, list) else []


def _returned(parts: dict[str, Message]) -> Iterator[Fields]:
    """The headers of the mail that is reported on."""
    for kind in RETURNED:
        if kind not in parts:
            continue
        yield from _inside(parts[kind])
        text = parts[kind].get_payload(decode=True)
        if isinstance(text, bytes):
            yield BytesHeaderParser().parsebytes(text.lstrip())


def _named(headers: Sequence[Fields], key: str, channel: str) -> Iterator[str | None]:
    for fields in headers:
        for name in NAMING:
            for value in fields.get_all(name, ()):
                yield message_in(key, channel, "".join(str(value).split()))


def _of_delivery(blocks: Sequence[Fields]) -> tuple[ReceiptKind, bool, str] | None:
    """What a delivery status says, over all recipients it names: one, since a mail has one reader."""
    recipients = [(_word(block, "Action"), block) for block in blocks if "Action" in block]
    actions = {action for action, _ in recipients}
    if "delivered" in actions:
        return ReceiptKind.DELIVERED, False, ""
    if "failed" not in actions:
        return None
    failed = next(block for action, block in recipients if action == "failed")
    status, reply = _status(failed)
    return ReceiptKind.UNDELIVERED, _is_dead(status, reply), f"bounced with {status or 'no status'}"


def _of_feedback(blocks: Sequence[Fields]) -> tuple[ReceiptKind, bool, str] | None:
    for block in blocks:
        kind = COMPLAINTS.get(_word(block, "Feedback-Type"))
        if kind is not None:
            return kind, False, ""
    return None


def _word(fields: Fields, name: str) -> str:
    """The first word of a field, in lower case: comments may follow it."""
    return (str(fields.get(name, "")).split() or [""])[0].lower()


def _status(block: Fields) -> tuple[str, str]:
    """The status of a failure and the reply code of the server that refused; "" for what is not told.

    Where the status says nothing (5.0.x), the one in the refusing server's own words counts.
    """
    said = str(block.get("Diagnostic-Code", ""))
    stated = _STATUS.search(str(block.get("Status", "")))
    inner = _STATUS.search(said)
    vague = stated is None or stated[2] == "0"
    status = inner if vague and inner is not None else stated
    reply = _REPLY.match(said.strip().lower())
    return status[0] if status else "", reply[1] if reply else ""


def _is_dead(status: str, reply: str) -> bool:
    """Whether nothing will ever arrive there."""
    kind, _, rest = status.partition(".")
    subject, _, detail = rest.partition(".")
    if kind != "5":
        return False
    if subject == "0":
        return reply in NO_SUCH_MAILBOX
    return subject == "1" and detail in NO_SUCH_ADDRESS


def _at(mail: Message, now: datetime) -> datetime:
    """When it happened, by the report; now where it says nothing that can be."""
    try:
        said = parsedate_to_datetime(str(mail.get("Date", "")))
        at = said.astimezone(UTC) if said.tzinfo else said.replace(tzinfo=UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return now
    return at.replace(microsecond=0) if now - OLDEST <= at <= now else now
