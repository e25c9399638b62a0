"""What tests of imports begin with: settings of a shop, and a way to import a text as a file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from smr.database import Database
from smr.facts import ImportReport, import_files
from smr.settings import Settings

NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)

Take = Callable[..., ImportReport]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A shop in Shanghai that refuses a file with more than half of its rows bad."""
    return Settings.model_validate(
        {"import": {"rejects_folder": tmp_path / "rejects", "reject_limit": "50%"}}
    )


@pytest.fixture
def take(database: Database, settings: Settings, tmp_path: Path) -> Take:
    """Import a text as a file: `take("purchases", text)`."""

    def import_text(kind: str, text: str | bytes, name: str = "sales.csv", **changed: object) -> ImportReport:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        used = changed.pop("settings", settings)
        assert isinstance(used, Settings)
        return import_files(database, used, kind, [path], now=NOW, **changed)  # type: ignore[arg-type]

    return import_text
