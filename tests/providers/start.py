"""Starting a fake provider, and reading its log."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Provider:
    """A running fake provider."""

    folder: Path
    port: int

    def mode(self, mode: str) -> None:
        """How it behaves from now on."""
        new = self.folder / "mode.new"
        new.write_text(mode)
        new.rename(self.folder / "mode")

    def log(self) -> list[dict[str, Any]]:
        """Everything it got, in order."""
        path = self.folder / "log.jsonl"
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        return [json.loads(line) for line in lines[:-1]]


@cache
def certificate() -> dict[str, bytes]:
    """A key and a certificate for a server on localhost, by the names of their files."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout"]
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        files = [f"{folder}/key.pem", "-out", f"{folder}/cert.pem"]
        subprocess.run([*command, *files, *names], check=True, capture_output=True)
        return {name: Path(folder, name).read_bytes() for name in ("key.pem", "cert.pem")}


@contextmanager
def under_tls(kind: str, folder: Path) -> Iterator[Provider]:
    """A provider that has a certificate."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in certificate().items():
        (folder / name).write_bytes(content)
    with started(kind, folder) as running:
        yield running


@contextmanager
def started(kind: str, folder: Path) -> Iterator[Provider]:
    """The provider of that kind, in its own process, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen([sys.executable, "-m", f"tests.providers.{kind}", str(folder)], cwd=ROOT)
    try:
        until = time.monotonic() + 30
        while not (folder / "port").exists():
            assert process.poll() is None, "the provider died"
            assert time.monotonic() < until, "the provider does not come up"
            time.sleep(0.02)
        yield Provider(folder, int((folder / "port").read_text()))
    finally:
        process.kill()
        process.wait()
