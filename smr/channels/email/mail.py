"""A message as a mail, and the link by which its reader refuses further ones. Nothing is sent here.

A mail names its message twice, each time signed: in its Message-ID, which comes back with a bounce, and in
its link. Some providers put a Message-ID of their own in the place of ours; the link stays as it is.
"""

from __future__ import annotations

import hmac
import html
import re
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from hashlib import sha256

from smr.channels.protocol import Outgoing

REFUSE = "不想再收到?退订 Unsubscribe"
_TOKEN = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{40})")
_NAME = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{16})")


def token(key: str, channel: str, message_id: str) -> str:
    """What the link ends with: the message's id, signed. It tells nothing about the customer."""
    return f"{message_id}.{_mac(key, channel, message_id)}"


def message_of(key: str, channel: str, given: str) -> str | None:
    """The message a link was made for; None where it is not one of ours."""
    found = _TOKEN.fullmatch(given)
    if found is None or not hmac.compare_digest(found[2], _mac(key, channel, found[1])):
        return None
    return found[1]


def name(key: str, channel: str, message_id: str) -> str:
    """What stands before the @ of a Message-ID: the message's id, signed."""
    return f"{message_id}.{_mac(key, channel, message_id, 'name')[:16]}"


def message_in(key: str, channel: str, header: str) -> str | None:
    """The message of ours that a header of a mail names, be it by its Message-ID or by its link."""
    for found in _TOKEN.finditer(header):
        if message_of(key, channel, found[0]) is not None:
            return found[1]
    for found in _NAME.finditer(header):
        if hmac.compare_digest(found[0], name(key, channel, found[1])):
            return found[1]
    return None


def _mac(key: str, channel: str, message_id: str, what: str = "unsubscribe") -> str:
    signed = f"{what}\n{channel}\n{message_id}".encode()
    return hmac.new(key.encode(), signed, sha256).hexdigest()[:40]


def mail(message: Outgoing, *, sender: str, reply_to: str | None, named: str, link: str) -> EmailMessage:
    """The mail. Raises ValueError for an address or a subject that cannot stand in a header."""
    shown, address = parseaddr(sender)
    made = EmailMessage(policy=policy.SMTP)
    made["From"] = Address(shown, addr_spec=address)
    made["To"] = Address(addr_spec=message.address)
    made["Subject"] = message.subject or message.text.strip().split("\n")[0][:60]
    made["Date"] = format_datetime(message.sent_at)
    made["Message-ID"] = f"<{named}@{address.rpartition('@')[2]}>"
    if reply_to is not None:
        made["Reply-To"] = reply_to
    made["List-Unsubscribe"] = f"<{link}>"
    made["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    made["Auto-Submitted"] = "auto-generated"
    lines = [message.text, *_links(message)]
    made.set_content("\n".join(lines) + f"\n\n-- \n{REFUSE}: {link}\n")
    if message.html is not None:
        refuse = f'<p><a href="{html.escape(link, quote=True)}">{html.escape(REFUSE)}</a></p>'
        made.add_alternative(message.html + refuse, subtype="html")
    return made


def _links(message: Outgoing) -> list[str]:
    """Attached links, one a line."""
    links = [one.get("link") for one in message.attachments]
    return [f"{link.get('title', '')} {link['url']}".strip() for link in links if isinstance(link, dict)]
