"""Looks over the shoulder of every test: a statement that smr executes in any of them has to keep the rules.

A statement counts as smr's when the first frame outside SQLAlchemy belongs to the package. Each shape of
statement is looked at once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from tests.house.statements import faults_of

PRODUCT = str(Path(__file__).parents[2] / "smr") + "/"
_seen: set[Any] = set()
_found: list[str] = []


def _is_ours() -> bool:
    frame = sys._getframe(2)
    while frame.f_back is not None and "/sqlalchemy/" in frame.f_code.co_filename:
        frame = frame.f_back
    return frame.f_code.co_filename.startswith(PRODUCT)


@sa.event.listens_for(Engine, "before_execute")
def _look(_connection: Any, statement: Any, *_: Any) -> None:
    if not isinstance(statement, sa.sql.ClauseElement) or not _is_ours():
        return
    shape = statement._generate_cache_key()
    if shape is None or shape.key not in _seen:
        _seen.add(shape and shape.key)
        _found.extend(faults_of([statement]))


@pytest.fixture(autouse=True)
def statements_keep_the_rules() -> Iterator[None]:
    """Fail the test in which smr executed a statement that breaks a rule."""
    _found.clear()
    yield
    if _found:
        pytest.fail("\n".join(_found))
