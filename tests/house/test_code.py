"""House rules of the code, each read from the syntax tree of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from smr.events import Reason
from smr.words import REASONS

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "smr").rglob("*.py"))
CLOCKS = {
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.perf_counter",
    "time.sleep",
    "time.localtime",
}
RAW_SQL = {"text", "sa.text", "sqlalchemy.text", "literal_column", "sa.literal_column"}
EMPTY_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "manager",
    "managers",
    "service",
    "services",
    "misc",
}

# Where raw SQL stands, and why it cannot be a Core construct.
RAW_SQL_ALLOWED = {
    "smr/database": "PRAGMA, BEGIN IMMEDIATE: what has no construct; nothing of an operator gets there",
    "smr/tables": "predicates of partial indexes, word for word as a query must repeat them",
    "smr/facts/staging.py": "temporary tables, ANALYZE and work_mem: bulk import on PostgreSQL",
    "smr/facts/sources.py": "the SELECT that the operator wrote, on the shop's own database",
    "smr/outbox/sql.py": "predicates of partial indexes, which a parameter would not match",
    "smr/outbox/put.py": "bulk insert of rendered messages: one prepared statement for thousands of rows",
    "smr/publication.py": "the predicate of the index of queued messages",
    "smr/runs.py": "the predicate of the index of the running run",
}


def _name(module: Path) -> str:
    return str(module.relative_to(ROOT))


def _calls(module: Path) -> Iterator[tuple[int, str]]:
    """Every call in a module: its line, and what is called, as written."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def wall_clocks(module: Path) -> list[str]:
    """Where a module reads the clock."""
    return [f"{_name(module)}:{line}" for line, called in _calls(module) if called in CLOCKS]


def commits(module: Path) -> list[str]:
    """Where a module commits."""
    return [f"{_name(module)}:{line}" for line, called in _calls(module) if called.endswith(".commit")]


def raw_sql(module: Path) -> list[str]:
    """Where a module holds SQL as text."""
    return [
        f"{_name(module)}:{line}"
        for line, called in _calls(module)
        if called in RAW_SQL or called.endswith("exec_driver_sql")
    ]


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (wall_clocks, "import time\nfrom datetime import datetime\nx = datetime.now()\ny = time.time()"),
        (commits, "def f(c):\n    c.begin()\n    c.commit()"),
        (raw_sql, "import sqlalchemy as sa\nx = sa.text('SELECT 1')"),
        (raw_sql, "def f(c):\n    c.exec_driver_sql('SELECT 1')"),
    ],
)
def test_each_rule_catches_its_breach(
    rule: object, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    breach = tmp_path / "breach.py"
    breach.write_text(code)
    assert rule(breach)  # type: ignore[operator]


def test_only_the_clock_reads_the_clock() -> None:
    found = [place for module in MODULES if module.name != "clock.py" for place in wall_clocks(module)]
    assert found == []


def test_only_the_database_commits() -> None:
    found = [
        place for module in MODULES for place in commits(module) if not place.startswith("smr/database/")
    ]
    assert found == []


def test_sql_as_text_stands_only_where_it_is_allowed() -> None:
    allowed = tuple(RAW_SQL_ALLOWED)
    assert [place for module in MODULES for place in raw_sql(module) if not place.startswith(allowed)] == []


@pytest.mark.parametrize("place", RAW_SQL_ALLOWED)
def test_no_leave_for_sql_as_text_is_kept_unused(place: str) -> None:
    used = [found for module in MODULES for found in raw_sql(module)]
    assert any(found.startswith(place) for found in used)


def test_every_module_says_what_it_is_for() -> None:
    files = [*MODULES, *sorted((ROOT / "migrations").rglob("*.py"))]
    assert [str(file) for file in files if not ast.get_docstring(ast.parse(file.read_text()))] == []


def test_no_file_has_a_name_that_says_nothing() -> None:
    files = [*MODULES, *(ROOT / "tests").rglob("*.py")]
    assert [str(file) for file in files if EMPTY_NAMES & {file.stem, file.parent.name}] == []


def test_every_reason_has_words_in_both_languages() -> None:
    assert set(REASONS) == set(Reason)
    assert all(english and chinese for english, chinese in REASONS.values())
    assert all(any("一" <= letter <= "鿿" for letter in chinese) for _, chinese in REASONS.values())
