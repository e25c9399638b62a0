"""An SMTP server under TLS with a switch for each stage.

Started as: python -m tests.providers.smtp FOLDER, which holds key.pem and cert.pem. It writes its port to
FOLDER/port and each mail it has taken to FOLDER/log.jsonl, and reads FOLDER/mode at each command.

Modes: ok; STAGE CODE with a stage of ehlo, mail, rcpt, data (before the text), dot (after it); drop STAGE
(the connection is cut; after `dot` the mail was taken); silent (the mail is taken and never answered).
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session, syntax

USER, PASSWORD = "shop", "the-mail-password"


class Stages:
    """Answers as the mode says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = os.open(folder / "log.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def said(self, server: Any, stage: str) -> str:
        """The answer the mode has for this stage, or ""."""
        try:
            mode = (self.folder / "mode").read_text().split()
        except OSError:
            return ""
        if mode == ["drop", stage]:
            server.transport.abort()
            return "421 gone"
        return f"{mode[1]} said so" if mode[:1] == [stage] else ""

    async def handle_EHLO(  # noqa: N802
        self, server: Any, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        said = self.said(server, "ehlo")
        return [said] if said else responses

    async def handle_MAIL(  # noqa: N802
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.said(server, "mail") or "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        said = self.said(server, "rcpt")
        if not said:
            envelope.rcpt_tos.append(address)
        return said or "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        mode = (self.folder / "mode").read_text() if (self.folder / "mode").exists() else ""
        said = self.said(server, "dot")
        if not said or mode == "drop dot":
            self.take(envelope)
        if mode == "silent":
            await asyncio.sleep(3600)
        return said or "250 taken"

    def take(self, envelope: Envelope) -> None:
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        mail: Any = message_from_bytes(content, policy=policy.default)
        leaves = [part for part in mail.walk() if not part.is_multipart()]
        parts = {part.get_content_type(): part.get_content().replace("\r\n", "\n") for part in leaves}
        line = {
            "id": str(mail["Message-ID"])[1:33],
            "to": envelope.rcpt_tos,
            "headers": {name: str(value) for name, value in mail.items()},
            "parts": parts,
        }
        os.write(self.log, json.dumps(line, ensure_ascii=False).encode() + b"\n")


class Staged(SMTP):
    """Also the answer to DATA itself can be switched."""

    @syntax("DATA")
    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        said = self.event_handler.said(self, "data")
        if said:
            await self.push(said)
            return
        await super().smtp_DATA(arg)


def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    """One user."""
    good = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False)


async def main(folder: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    handler = Stages(folder)

    def session() -> SMTP:
        return Staged(
            handler, tls_context=context, require_starttls=True, authenticator=check, auth_required=True
        )

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    port = folder / "port.new"
    port.write_text(str(server.sockets[0].getsockname()[1]))
    port.rename(folder / "port")
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
