"""The file channel keeps to what every channel must keep to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from smr.channels import Channel, open_channel
from smr.settings import Settings
from tests.channels.conformance import Conformance


class FileStage:
    """A folder that files are written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self) -> Channel:
        return open_channel("wecom", Settings.model_validate({"files": {"folder": self.folder}}))

    def received(self) -> list[str]:
        lines = (line for path in self.folder.glob("*/*.jsonl") for line in path.read_bytes().split(b"\n"))
        return [json.loads(line)["message_id"] for line in lines if line]

    def break_before(self) -> None:
        (self.folder / "wecom").mkdir(parents=True, exist_ok=True)
        (self.folder / "wecom").rmdir()
        (self.folder / "wecom").write_text("in the way")

    def break_after(self) -> bool:
        return False


class TestConformance(Conformance):
    @pytest.fixture
    def stage(self, tmp_path: Path) -> FileStage:
        return FileStage(tmp_path / "out")
