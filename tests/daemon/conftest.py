"""Shops for the tests of daemons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.shop import Shop

MakeShop = Callable[..., Shop]


@pytest.fixture
def make_shop(tmp_path: Path, database_url: str) -> Iterator[MakeShop]:
    """Makes a shop on the test's database."""
    with ExitStack() as stack:

        def made(**how: Any) -> Shop:
            shop = Shop(tmp_path, database_url, **how)
            stack.callback(shop.close)
            return shop

        yield made
