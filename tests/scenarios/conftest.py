"""The shop whose scenarios are played, on a stage that all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from smr.scenarios.stage import Stage, stage
from tests.scenarios.shop import ScenarioShop


@pytest.fixture(scope="session")
def place() -> Iterator[Stage]:
    """Where scenarios are played."""
    with stage() as made:
        yield made


@pytest.fixture
def shop(tmp_path: Path, place: Stage) -> ScenarioShop:
    """A shop in a folder of its own."""
    return ScenarioShop(tmp_path, place)
