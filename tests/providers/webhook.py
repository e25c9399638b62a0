"""An endpoint for signed webhooks, with a switch for each fault.

Started as: python -m tests.providers.webhook FOLDER. It writes its port to FOLDER/port, each request to
FOLDER/log.jsonl, and reads FOLDER/mode at each request. It takes each webhook id once, as an endpoint should;
`repeats` in the log are requests with an id it had.

Modes: ok; status CODE [RETRY-AFTER]; close (before reading); cut (read all, then close); half (half an
answer); silence (read all, never answer); deaf (never read); drip (one byte a second); huge (an endless
answer); headers (endless headers); redirect URL; html; slow SECONDS; faults N (each N-th request meets one of
them).
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import os
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

KEY = b"a key of the endpoint, 32 bytes!"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Endpoint:
    """Counts and logs what it gets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = os.open(folder / "log.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.seen: set[str] = set()
        self.count = 0

    def mode(self) -> list[str]:
        try:
            stated = (self.folder / "mode").read_text().split()
        except OSError:
            return ["ok"]
        if stated[:1] == ["faults"]:
            nth, met = int(stated[1]), self.count % int(stated[1]) == 0
            kinds = (["cut"], ["half"], ["status", "500"], ["status", "503"], ["status", "429", "0"])
            return kinds[self.count // nth % len(kinds)] if met else ["ok"]
        return stated or ["ok"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self.request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        mode = self.mode()
        if mode[0] == "deaf":
            await asyncio.sleep(3600)
        if mode[0] == "close":
            return False
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        plain = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
        body = await reader.readexactly(int(headers["content-length"]))
        self.count += 1
        taken = mode[0] in ("ok", "cut", "half", "silence", "drip", "huge", "headers", "html", "slow") or (
            mode[0] == "status" and mode[1] in ("500", "200", "204", "502", "504")
        )
        self.note(plain, body, taken)
        return await self.answer(mode, writer)

    def note(self, headers: dict[str, str], body: bytes, taken: bool) -> None:
        given = {name.lower(): value for name, value in headers.items()}
        webhook_id, stamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
        mac = hmac.new(KEY, f"{webhook_id}.{stamp}.".encode() + body, sha256).digest()
        signed = f"v1,{base64.b64encode(mac).decode()}" in given.get("webhook-signature", "").split(" ")
        line: dict[str, Any] = {
            "id": webhook_id,
            "at": time.time(),
            "taken": taken,
            "again": webhook_id in self.seen,
            "signed": signed,
            "body": json.loads(body),
        }
        if taken:
            self.seen.add(webhook_id)
        os.write(self.log, json.dumps(line, ensure_ascii=False).encode() + b"\n")

    async def answer(self, mode: list[str], writer: asyncio.StreamWriter) -> bool:
        match mode:
            case ["ok"]:
                writer.write(OK)
            case ["slow", seconds]:
                await asyncio.sleep(float(seconds))
                writer.write(OK)
            case ["html"]:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>")
            case ["status", code, *rest]:
                wait = f"Retry-After: {' '.join(rest)}\r\n" if rest else ""
                writer.write(f"HTTP/1.1 {code} Said\r\n{wait}Content-Length: 0\r\n\r\n".encode())
            case ["redirect", url]:
                writer.write(f"HTTP/1.1 307 Moved\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode())
            case ["half"]:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Len")
                return False
            case ["silence"]:
                await asyncio.sleep(3600)
            case ["drip"]:
                for byte in OK * 100:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.2)
            case ["huge"]:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
                while True:
                    writer.write(b"x" * 65536)
                    await writer.drain()
            case ["headers"]:
                writer.write(b"HTTP/1.1 200 OK\r\n")
                while True:
                    writer.write(b"X-More: " + b"x" * 1000 + b"\r\n")
                    await writer.drain()
            case _:
                return False
        await writer.drain()
        return True


async def main(folder: Path) -> None:
    server = await asyncio.start_server(Endpoint(folder).serve, "127.0.0.1", 0)
    port = folder / "port.new"
    port.write_text(str(server.sockets[0].getsockname()[1]))
    port.rename(folder / "port")
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
