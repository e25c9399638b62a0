"""The email channel.

In: messages. Out: for each, what the SMTP server said. A mail is taken when the server answers 250 after the
dot; what breaks off after the dot is in doubt, and held for people. One connection carries the mails of one
call.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import parseaddr

from smr.channels.email import EmailSettings
from smr.channels.email.mail import mail, message_of, name, token
from smr.channels.protocol import Accepted, Outgoing, Refused, Result, Traits, UnknownPolicy
from smr.channels.traits import as_set
from smr.crash_points import reached
from smr.errors import ChannelError, Refusal
from smr.settings import Settings

SECONDS = 100
NO_SUCH_ADDRESS = (550, 551, 553, 556)
LOST = (smtplib.SMTPServerDisconnected, OSError, ssl.SSLError)


class EmailChannel:
    """Sends mails by one SMTP server."""

    def __init__(self, name: str, settings: Settings) -> None:
        stated = settings.channel(name)
        assert isinstance(stated, EmailSettings)  # noqa: S101 - the registry opens by kind
        self.name = name
        self._stated = stated
        own = Traits(
            personal=settings.is_personal(name),
            dedupes=False,
            can_ask=False,
            staff_confirms=False,
            max_batch=5,
            max_length=None,
            unknown_policy=UnknownPolicy.HOLD,
            parallel=2,
            call_seconds=SECONDS,
        )
        self.traits = as_set(own, name, stated)

    @property
    def place(self) -> str:
        """The server."""
        return f"smtp://{self._stated.host}:{self._stated.port}"

    def send(self, batch: Sequence[Outgoing]) -> list[Result]:
        """One connection for all; raises ChannelError where there is none to be had."""
        server = self._connect()
        try:
            return self._send_all(server, batch)
        finally:
            _quit(server)

    def ask(self, message_ids: Sequence[str]) -> dict[str, bool]:
        """A mail server cannot be asked."""
        return {}

    def probe(self) -> None:
        """Connect, encrypt, log in."""
        _quit(self._connect())

    def message_of(self, given: str) -> str | None:
        """The message whose reader followed the link that ends so."""
        return message_of(self._key, self.name, given)

    @property
    def _key(self) -> str:
        return self._stated.unsubscribe_key.get_secret_value()

    def _send_all(self, server: smtplib.SMTP, batch: Sequence[Outgoing]) -> list[Result]:
        results: list[Result] = []
        for number, message in enumerate(batch):
            results.append(self._send(server, message))
            if server.sock is None:
                lost = Refused(Refusal.UNAVAILABLE, False, "the connection was lost before this mail")
                return results + [lost] * (len(batch) - number - 1)
        return results

    def _send(self, server: smtplib.SMTP, message: Outgoing) -> Result:
        ending = f"{self.name}/{token(self._key, self.name, message.message_id)}"
        link = f"{self._stated.unsubscribe_url}/unsubscribe/{ending}"
        try:
            made = mail(
                message,
                sender=self._stated.sender,
                reply_to=self._stated.reply_to,
                named=name(self._key, self.name, message.message_id),
                link=link,
            )
            content = made.as_bytes()
        except (ValueError, TypeError, LookupError, AttributeError):
            return Refused(Refusal.REJECTED, True, "the message cannot be written as a mail")
        return self._hand_over(server, made, message.address, content)

    def _hand_over(self, server: smtplib.SMTP, made: EmailMessage, address: str, content: bytes) -> Result:
        """MAIL, RCPT, DATA, the dot; each answer for what it is."""
        try:
            code, _ = server.mail(parseaddr(self._stated.sender)[1])
            if code != 250:
                return _refused(server, code, "the sender")
            code, _ = server.rcpt(address)
            if code not in (250, 251):
                return _refused(server, code, "the address", gone=code in NO_SUCH_ADDRESS)
            code, _ = server.docmd("DATA")
            if code != 354:
                return _refused(server, code, "the mail")
        except LOST:
            server.close()
            return Refused(Refusal.UNAVAILABLE, False, "the connection was lost before the mail was sent")
        try:
            server.send(_dotted(content))
            reached("after_write")
            code, _ = server.getreply()
        except LOST:
            server.close()
            return Refused(Refusal.IN_DOUBT, False, "the connection was lost after the mail was sent")
        return Accepted() if code == 250 else _refused(server, code, "the mail")

    def _connect(self) -> smtplib.SMTP:
        """A connection under TLS, logged in. Raises ChannelError."""
        stated, seconds = self._stated, self.traits.call_seconds
        try:
            context = ssl.create_default_context(cafile=stated.ca_file)
            if stated.tls == "tls":
                server: smtplib.SMTP = smtplib.SMTP_SSL(
                    stated.host, stated.port, timeout=seconds, context=context
                )
            else:
                server = smtplib.SMTP(stated.host, stated.port, timeout=seconds)
        except (smtplib.SMTPException, OSError) as error:
            raise ChannelError(Refusal.UNAVAILABLE, _why(error), permanent=False) from None
        try:
            if stated.tls == "starttls":
                server.starttls(context=context)
            if stated.username is not None and stated.password is not None:
                server.login(stated.username, stated.password.get_secret_value())
            else:
                server.ehlo_or_helo_if_needed()
        except smtplib.SMTPAuthenticationError:
            server.close()
            raise ChannelError(Refusal.UNAUTHORIZED, "the server refused the login", permanent=True) from None
        except smtplib.SMTPNotSupportedError:
            server.close()
            raise ChannelError(
                Refusal.UNAUTHORIZED,
                "the server offers no TLS or no login; nothing is sent in the clear",
                permanent=True,
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            server.close()
            raise ChannelError(Refusal.UNAVAILABLE, _why(error), permanent=False) from None
        return server


def _dotted(content: bytes) -> bytes:
    """A mail as DATA wants it: CRLF, dots doubled, a dot at the end."""
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    doubled = (b"." + line if line.startswith(b".") else line for line in lines)
    return b"\r\n".join(doubled).removesuffix(b"\r\n") + b"\r\n.\r\n"


def _refused(server: smtplib.SMTP, code: int, what: str, *, gone: bool = False) -> Refused:
    """A clear no, for now (4xx) or for good (5xx); the next mail begins anew."""
    detail = f"the server answered {code} to {what}"
    try:
        if code == 421:
            server.close()
        else:
            server.rset()
    except LOST:
        server.close()
    if code >= 500:
        return Refused(Refusal.UNREACHABLE if gone else Refusal.REJECTED, True, detail)
    return Refused(Refusal.THROTTLED if code == 421 else Refusal.UNAVAILABLE, False, detail)


def _quit(server: smtplib.SMTP) -> None:
    try:
        if server.sock is not None:
            server.quit()
    except (smtplib.SMTPException, OSError):
        pass
    finally:
        server.close()


def _why(error: Exception) -> str:
    """What went wrong, without what the server wrote: it may repeat an address."""
    code = getattr(error, "smtp_code", None)
    if code is not None:
        return f"the server answered {code}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the server's certificate is not trusted; see ca_file"
    return "the server cannot be reached or does not speak TLS"
