"""The page of faults names, for each, a test that is there, or why there is none."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "faults.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([A-Z]\d{1,2}) \| (.+?) \| (.*?) \| (.+?) \|$", re.MULTILINE)
ROWS = {found[1]: found for found in ROW.finditer(PAGE)}
KINDS = {"C": 15, "D": 15, "T": 13, "H": 23, "L": 14, "Y": 30, "F": 12, "W": 16, "U": 12}
"""How many faults there are of each kind, numbered without a gap."""
WITHOUT = ("none here: ", "not tested: ")


@cache
def functions_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_no_fault_is_left_out() -> None:
    expected = {f"{kind}{number}" for kind, count in KINDS.items() for number in range(1, count + 1)}
    assert expected <= set(ROWS)
    assert len(ROWS) == len(ROW.findall(PAGE)), "a number stands twice"


@pytest.mark.parametrize("number", ROWS)
def test_a_fault_names_its_tests_or_says_why_there_is_none(number: str) -> None:
    _, _, expected, shown = ROWS[number].groups()
    named = re.findall(r"`([^`]+)`", shown)
    if shown.startswith(WITHOUT):
        return
    assert expected.strip(), "what happens is not said"
    assert named, "no test is named"
    for one in named:
        file, _, test = one.partition("::")
        assert (ROOT / file).is_file(), one
        assert not test or test in functions_in(ROOT / file), one
        assert test or file.startswith("tests/bad_playbooks/"), f"{one}: name the test in the file"
