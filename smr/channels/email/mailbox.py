"""The mailbox to which bounces go, by IMAP under TLS. It is only looked into: nothing is marked or deleted.

In: the mailbox's settings, and up to which mail it was read. Out: new mails that say they are reports, the
first `MOST_BYTES` of each. Other mails are not fetched. What the server says is bounded in size, and the
whole conversation in time.
"""

from __future__ import annotations

import imaplib
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from threading import Timer

from smr import clock
from smr.channels.email import BouncesSettings
from smr.errors import ChannelError, Refusal

SECONDS = 30
"""The longest conversation; after half of it no more mails are asked for."""
MOST_BYTES = 131_072
"""Of one mail. What a report tells stands before the mail it returns."""
MOST_SEEN, MOST_REPORTS = 1_000, 200
"""Mails looked at, and reports read, in one conversation."""
LOOKED_AT, READ = 200, 20
"""Mails asked about at once, and reports."""
LARGEST_LITERAL = READ * MOST_BYTES
AGE = timedelta(days=30)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UID = re.compile(rb"\bUID (\d{1,10})\b")
_REPORT = re.compile(rb"multipart/report", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z0-9@._+=-]+")


class _Bounded(imaplib.IMAP4):
    """Cuts the connection when the time is over, and reads no endless answer."""

    timer: Timer | None = None

    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:
        super().open(host, port, timeout)
        self.timer = Timer(SECONDS, self._cut)
        self.timer.daemon = True
        self.timer.start()

    def read(self, size: int) -> bytes:
        if size > LARGEST_LITERAL:
            raise self.abort("more was sent than was asked for")
        return super().read(size)

    def shutdown(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        super().shutdown()

    def _cut(self) -> None:
        with suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class _BoundedTls(_Bounded, imaplib.IMAP4_SSL):  # type: ignore[misc]
    """The same, encrypted from the start."""


class Mailbox:
    """An open folder, for reading only."""

    def __init__(self, server: imaplib.IMAP4, validity: str) -> None:
        self._server = server
        self.validity = validity
        """Changes when the server has numbered its mails anew."""

    def newer(self, last: int, now: datetime) -> list[int]:
        """The UIDs after `last` of mails that came within a month, the oldest first."""
        day = (now - AGE).date()
        since = f"{day.day}-{MONTHS[day.month - 1]}-{day.year}"
        said, found = self._server.uid("SEARCH", "UID", f"{last + 1}:*", "SINCE", since)
        if said != "OK":
            raise ChannelError(Refusal.UNAVAILABLE, "the mailbox for bounces cannot be read", permanent=False)
        words = b" ".join(one for one in found if isinstance(one, bytes)).split()
        return sorted({int(word) for word in words if word.isdigit() and int(word) > last})

    def reports(self, uids: Sequence[int]) -> list[int]:
        """Those of them that call themselves reports."""
        found: list[int] = []
        for start in range(0, len(uids), LOOKED_AT):
            asked = "(UID BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE)])"
            for uid, header in self._fetched(uids[start : start + LOOKED_AT], asked):
                if _REPORT.search(header):
                    found.append(uid)
        return sorted(found)

    def mails(self, uids: Sequence[int]) -> list[bytes]:
        """The beginnings of these mails; what is gone meanwhile is left out."""
        found = dict(self._fetched(uids, f"(UID BODY.PEEK[]<0.{MOST_BYTES}>)"))
        return [found[uid] for uid in sorted(found)]

    def _fetched(self, uids: Sequence[int], what: str) -> Iterator[tuple[int, bytes]]:
        said, answered = self._server.uid("FETCH", ",".join(map(str, uids)), what)
        if said != "OK":  # one that the server cannot read would stand in the way of all later ones
            for uid in uids if len(uids) > 1 else ():
                yield from self._fetched([uid], what)
            return
        for number, one in enumerate(answered):
            if not isinstance(one, tuple):
                continue
            after = answered[number + 1] if number + 1 < len(answered) else b""
            named = _UID.search(one[0] + b" " + (after if isinstance(after, bytes) else b""))
            if named is not None and int(named[1]) in uids:
                yield int(named[1]), one[1]


@contextmanager
def opened(stated: BouncesSettings, ca_file: Path | None) -> Iterator[Mailbox]:
    """The mailbox; whatever goes wrong until the end of the block is a ChannelError."""
    server = None
    try:
        server = _connected(stated, ca_file)
        yield _examined(server, stated)
    except (imaplib.IMAP4.error, OSError, ValueError, LookupError, MemoryError) as error:
        raise ChannelError(Refusal.UNAVAILABLE, _why(error), permanent=False) from None
    finally:
        if server is not None:
            with suppress(imaplib.IMAP4.error, OSError, ValueError):
                server.logout()
            with suppress(OSError, ValueError):
                server.shutdown()


def read(
    stated: BouncesSettings, ca_file: Path | None, cursor: str, now: datetime
) -> tuple[list[bytes], str]:
    """New reports, and up to where they were read: `UIDVALIDITY:UID`. Raises ChannelError."""
    end = clock.monotonic() + SECONDS / 2
    with opened(stated, ca_file) as mailbox:
        validity, _, number = cursor.partition(":")
        last = int(number) if validity == mailbox.validity and number.isdigit() else 0
        seen = mailbox.newer(last, now)[:MOST_SEEN]
        wanted = mailbox.reports(seen)
        mails: list[bytes] = []
        done = 0
        while done < min(len(wanted), MOST_REPORTS) and (done == 0 or clock.monotonic() < end):
            mails += mailbox.mails(wanted[done : done + READ])
            done += READ
        upto = wanted[done] - 1 if done < len(wanted) else max(seen, default=last)
        return mails, f"{mailbox.validity}:{upto}"


def _connected(stated: BouncesSettings, ca_file: Path | None) -> imaplib.IMAP4:
    """A connection under TLS, logged in."""
    context = ssl.create_default_context(cafile=ca_file)
    server: imaplib.IMAP4
    if stated.tls == "tls":
        server = _BoundedTls(stated.host, stated.port, ssl_context=context, timeout=SECONDS)
    else:
        server = _Bounded(stated.host, stated.port, timeout=SECONDS)
    try:
        if stated.tls == "starttls":
            server.starttls(context)
        try:
            server.login(_quoted(stated.username), stated.password.get_secret_value())
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error:
            why = "the mailbox for bounces refused the login"
            raise ChannelError(Refusal.UNAUTHORIZED, why, permanent=True) from None
    except BaseException:
        with suppress(OSError, ValueError):
            server.shutdown()
        raise
    return server


def _examined(server: imaplib.IMAP4, stated: BouncesSettings) -> Mailbox:
    said, _ = server.select(_quoted(stated.folder), readonly=True)
    if said != "OK":
        why = f"the mailbox for bounces has no folder {stated.folder!r}"
        raise ChannelError(Refusal.UNAVAILABLE, why, permanent=True)
    _, validity = server.response("UIDVALIDITY")
    told = validity[-1] if validity else None
    return Mailbox(server, told.decode("ascii", "replace") if isinstance(told, bytes) else "0")


def _quoted(text: str) -> str:
    """A word as IMAP takes it."""
    if _PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _why(error: Exception) -> str:
    """What went wrong, without what the server wrote: it may repeat an address."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the certificate of the mailbox for bounces is not trusted; see ca_file"
    return "the mailbox for bounces cannot be reached, or does not speak IMAP under TLS"
