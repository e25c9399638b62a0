"""The email channel of a shop that reads its bounces: what a mailbox brings back becomes receipts."""

from __future__ import annotations

from datetime import datetime

from smr.channels.email import BouncesSettings
from smr.channels.email.channel import EmailChannel
from smr.channels.email.mailbox import opened, read
from smr.channels.email.reports import told
from smr.channels.protocol import Polled
from smr.settings import Settings


class EmailWithBounces(EmailChannel):
    """Sends mails by one SMTP server, and reads by IMAP what came back."""

    def __init__(self, name: str, settings: Settings, bounces: BouncesSettings) -> None:
        super().__init__(name, settings)
        self._bounces = bounces

    @property
    def poll_seconds(self) -> int:
        """How long to wait between two looks into the mailbox."""
        return self._bounces.every

    def poll(self, cursor: str, now: datetime) -> Polled:
        """What has come since `cursor`, which is `UIDVALIDITY:UID`. Raises ChannelError."""
        mails, upto = read(self._bounces, self._stated.ca_file, cursor, now)
        found = (told(one, key=self._key, channel=self.name, now=now) for one in mails)
        return Polled([receipt for receipt in found if receipt is not None], upto)

    def probe(self) -> None:
        """Log in to the mail server, and to the mailbox."""
        super().probe()
        with opened(self._bounces, self._stated.ca_file):
            pass
