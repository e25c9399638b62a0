"""An IMAP server under TLS with one folder that is only read, and faults.

Started as: python -m tests.providers.imap FOLDER, which holds key.pem and cert.pem. It serves
FOLDER/mails/UID.eml as INBOX; a mail came when its file was last changed. FOLDER/validity holds its
UIDVALIDITY (1 where there is none). It writes its port to FOLDER/port and each command, without the password,
to FOLDER/log.jsonl, and reads FOLDER/mode at each command.

It knows CAPABILITY, LOGIN, EXAMINE, UID SEARCH, UID FETCH and LOGOUT; anything else is BAD.
Modes: ok; drop COMMAND (the connection is cut there, such as `drop examine`, `drop fetch`); drip (each answer
comes byte by byte for ever); huge (a fetch promises a literal of a terabyte); poison UID (a fetch that names
it is NO).
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
from datetime import UTC, datetime
from pathlib import Path

USER, PASSWORD = "bounces@shop.example", 'the "mailbox" password'
_FETCH = re.compile(
    r"([0-9,]+) \(UID (BODY\.PEEK\[HEADER\.FIELDS \(CONTENT-TYPE\)\]|BODY\.PEEK\[\]<0\.(\d+)>)\)"
)
_SEARCH = re.compile(r"UID (\d+):\* SINCE (\d{1,2}-\w{3}-\d{4})")


class Gone(Exception):  # noqa: N818 - it is no error of the server's
    """The connection is to be cut."""


class Session:
    """One connection."""

    def __init__(self, folder: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.folder = folder
        self.reader = reader
        self.writer = writer

    def mode(self) -> list[str]:
        try:
            return (self.folder / "mode").read_text().split()
        except OSError:
            return ["ok"]

    def note(self, command: str) -> None:
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps({"command": command}) + "\n")

    def mails(self) -> dict[int, Path]:
        return {int(path.stem): path for path in sorted((self.folder / "mails").glob("*.eml"))}

    async def say(self, line: bytes) -> None:
        if self.mode() == ["drip"]:
            while True:
                self.writer.write(b"*")
                await self.writer.drain()
                await asyncio.sleep(0.05)
        self.writer.write(line + b"\r\n")
        await self.writer.drain()

    async def run(self) -> None:
        await self.say(b"* OK IMAP4rev1 ready")
        while line := await self.reader.readline():
            tag, _, rest = line.decode("utf-8", "replace").rstrip("\r\n").partition(" ")
            word, _, given = rest.partition(" ")
            if word.upper() == "UID":
                word, _, given = given.partition(" ")
            self.note(word.upper() if word.upper() == "LOGIN" else rest)
            if self.mode() == ["drop", word.lower()]:
                raise Gone
            answer = await self.answer(word.upper(), given)
            await self.say(f"{tag} {answer}".encode())
            if word.upper() == "LOGOUT":
                return

    async def answer(self, word: str, given: str) -> str:
        if word == "CAPABILITY":
            await self.say(b"* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN")
        elif word == "LOGIN":
            password = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
            return "OK in" if given == f'{USER} "{password}"' else "NO [AUTHENTICATIONFAILED] no"
        elif word == "EXAMINE":
            return await self.examine(given)
        elif word == "SEARCH":
            return await self.search(given)
        elif word == "FETCH":
            return await self.fetch(given)
        elif word == "LOGOUT":
            await self.say(b"* BYE")
        else:
            return "BAD not known here"
        return "OK done"

    async def examine(self, given: str) -> str:
        if given != "INBOX":
            return "NO there is no such folder"
        validity = self.folder / "validity"
        number = validity.read_text() if validity.exists() else "1"
        await self.say(f"* {len(self.mails())} EXISTS".encode())
        await self.say(f"* OK [UIDVALIDITY {number}] numbered".encode())
        return "OK [READ-ONLY] open"

    async def search(self, given: str) -> str:
        found = _SEARCH.fullmatch(given)
        if found is None:
            return "BAD not understood"
        since = datetime.strptime(found[2], "%d-%b-%Y").replace(tzinfo=UTC)
        mails = {uid: path for uid, path in self.mails().items() if uid >= int(found[1])}
        mails = mails or dict(list(self.mails().items())[-1:])  # n:* always names the last mail
        fresh = [uid for uid, path in mails.items() if path.stat().st_mtime >= since.timestamp()]
        await self.say(b" ".join([b"* SEARCH", *(b"%d" % uid for uid in fresh)]))
        return "OK found"

    async def fetch(self, given: str) -> str:
        found = _FETCH.fullmatch(given)
        if found is None:
            return "BAD not understood"
        uids = [int(uid) for uid in found[1].split(",")]
        mode = self.mode()
        if mode[0] == "poison" and int(mode[1]) in uids:
            return "NO that one cannot be read"
        for number, (uid, path) in enumerate(self.mails().items(), 1):
            if uid not in uids:
                continue
            part, text = self.part(path.read_bytes(), found[2], found[3])
            size = 10**12 if mode == ["huge"] else len(text)
            # Some servers name the UID after the text, some before it.
            before, after = (f"UID {uid} ", "") if uid % 2 else ("", f" UID {uid}")
            await self.say(f"* {number} FETCH ({before}{part} {{{size}}}".encode())
            self.writer.write(text)
            await self.say(f"{after})".encode())
        return "OK fetched"

    @staticmethod
    def part(mail: bytes, asked: str, most: str | None) -> tuple[str, bytes]:
        if most is not None:
            return "BODY[]<0>", mail[: int(most)]
        header = re.split(rb"\r?\n\r?\n", mail, maxsplit=1)[0] + b"\r\n"
        found = re.search(rb"(?im)^content-type:.*\r?\n(?:[ \t].*\r?\n)*", header)
        return asked.replace(".PEEK", ""), (found[0] if found else b"") + b"\r\n"


async def main(folder: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await Session(folder, reader, writer).run()
            writer.close()
        except (Gone, ConnectionError, ssl.SSLError):
            writer.transport.abort()

    server = await asyncio.start_server(session, "127.0.0.1", 0, ssl=context)
    port = folder / "port.new"
    port.write_text(str(server.sockets[0].getsockname()[1]))
    port.rename(folder / "port")
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
