"""Signatures as Standard Webhooks writes them: HMAC-SHA256 over id, time and body.

In: secrets, an id, a time, a body. Out: a header, or whether one is good. See standardwebhooks.com.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from smr import clock

PREFIX = "whsec_"
TOLERANCE = 300
_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")


def key_of(secret: str) -> bytes:
    """The key of a secret `whsec_…` (base64 of 24 to 64 bytes). Raises ValueError; never says the secret."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a secret is whsec_ and base64; make one with: openssl rand -base64 32") from None
    if not 24 <= len(key) <= 64:
        raise ValueError("a secret holds 24 to 64 bytes; make one with: openssl rand -base64 32")
    return key


def sign(keys: Sequence[bytes], webhook_id: str, at: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature for each key."""
    return " ".join(f"v1,{_signature(key, webhook_id, at, body)}" for key in keys)


def is_good(
    keys: Sequence[bytes], webhook_id: str, stamp: str, signatures: str, body: bytes, *, now: datetime
) -> bool:
    """Whether one of the signatures is by one of the keys, over this body, within five minutes of now."""
    if not _ID.fullmatch(webhook_id) or not re.fullmatch(r"[0-9]{1,12}", stamp):
        return False
    fresh = abs(clock.seconds(now) - int(stamp)) <= TOLERANCE
    good = [_signature(key, webhook_id, int(stamp), body) for key in keys]
    given = [one[3:] for one in signatures.split(" ") if one.startswith("v1,")][:10]
    matches = [hmac.compare_digest(mine.encode(), theirs.encode()) for mine in good for theirs in given]
    return fresh and any(matches)


def _signature(key: bytes, webhook_id: str, at: int, body: bytes) -> str:
    signed = f"{webhook_id}.{at}.".encode() + body
    return base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()
