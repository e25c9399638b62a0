"""Changing the catalog's text changes the cycles that are meant, and nothing else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smr.learning import Change, changed_catalog, difference
from smr.playbook.model import Catalog
from smr.strict_yaml import read_yaml

CATALOG = """\
# What we know 商品知识
track: category      # by category
cycles:
  default: {lasts: 30d, learn: true}   # for the rest
  categories:
    洁面:   {lasts: 45d}               # one tube
    猫粮:   {lasts: 12d, unit: kg}     # a 2 kg bag counts as 2
    napkin:
      lasts: 5d   # short
      unit: pack

  # the products
  products:
    SKU-881: {lasts: 20d, learn: false}   # final
    "21210": {units: 2}
"""


def changed_lines(old: str, new: str) -> list[str]:
    """The lines that went and came."""
    lines = difference(old, new, "catalog.yaml").splitlines()[2:]
    return [line for line in lines if line[:1] in "+-"]


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (
            Change("category", "洁面", 38),
            [
                "-    洁面:   {lasts: 45d}               # one tube",
                "+    洁面:   {lasts: 38d}               # one tube",
            ],
        ),
        (Change("category", "napkin", 6), ["-      lasts: 5d   # short", "+      lasts: 6d   # short"]),
        (Change("category", "猫砂", 21), ["+    猫砂: {lasts: 21d}"]),
        (Change("category", "yes", 21), ['+    "yes": {lasts: 21d}']),
        (Change("category", "a: b #c", 21), ['+    "a: b #c": {lasts: 21d}']),
        (
            Change("product", "21210", 7),
            ['-    "21210": {units: 2}', '+    "21210": {units: 2, lasts: 7d}'],
        ),
        (Change("product", "0042", 7), ['+    "0042": {lasts: 7d}']),
    ],
)
def test_only_the_meant_line_changes(change: Change, lines: list[str]) -> None:
    assert changed_lines(CATALOG, changed_catalog(CATALOG, [change])) == lines


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing yet\n",
        "track: product\n",
        "track: product",
        "cycles: {}\n",
        "cycles:\n  default: {lasts: 30d}\n",
        "cycles: {default: {lasts: 30d}}\n",
        "cycles: {categories: {洁面: {lasts: 45d}}}  # all in one line\n",
        "cycles:\n  categories: {}\n",
        "cycles:\n  categories: {\n    洁面: {lasts: 45d},\n  }\n",
        "cycles:\n  categories:\n    洁面: {lasts: 45d}",
        "cycles:\n  categories:\n    洁面: {lasts:\n      45d}\n",
        "cycles:\n    categories:\n        洁面: {lasts: 45d}\ntrack: both\n",
        '"cycles": {"categories": {"洁面": {"lasts": "45d"}}}\n',
        "cycles:\n  categories:\n    洁面: {lasts: 45d}\n    # to do: more\n\n# the end\n",
        "cycles:\n  categories:\n    洁面: {lasts: '45d', learn: no}\n".replace("no", "false"),
    ],
)
def test_every_way_of_writing_a_catalog_can_be_changed(text: str) -> None:
    changes = [Change("category", "洁面", 40), Change("category", "猫砂", 21), Change("product", "P 1", 9)]
    read = Catalog.model_validate(read_yaml(changed_catalog(text, changes), "catalog.yaml").data).cycles
    assert read.categories["洁面"].lasts == 40 * 86_400
    assert read.categories["猫砂"].lasts == 21 * 86_400
    assert read.products["P 1"].lasts == 9 * 86_400


NAMES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8)


@given(
    names=st.lists(NAMES, unique=True, max_size=6),
    new=st.lists(st.tuples(st.sampled_from(("category", "product")), NAMES, st.integers(1, 400)), max_size=4),
    block=st.booleans(),
)
def test_comments_stay_whatever_lines_are_called(
    names: list[str], new: list[tuple[str, str, int]], block: bool
) -> None:
    rows = [
        f"    {json.dumps(name, ensure_ascii=False)}: {{lasts: 3d}}  # {n}" for n, name in enumerate(names)
    ]
    text = (
        "# first\ncycles:\n"
        + ("  categories:\n" + "\n".join(rows) + "\n" if names and block else "")
        + "# last\n"
    )
    text = text if names and block else "# first\ntrack: both\n# last\n"
    changes = [Change(*one) for one in dict.fromkeys(new)]
    changed = changed_catalog(text, changes)
    kept = [line.partition("#")[2] for line in text.splitlines() if "#" in line]
    assert [line for line in kept if f"#{line}" in changed] == kept


def test_the_difference_can_be_applied_by_patch(tmp_path: Path) -> None:
    new = changed_catalog(CATALOG, [Change("category", "洁面", 38), Change("product", "P9", 5)])
    folder = tmp_path / "playbooks"
    folder.mkdir()
    (folder / "catalog.yaml").write_text(CATALOG, encoding="utf-8")
    patch = difference(CATALOG, new, "playbooks/catalog.yaml")
    try:
        subprocess.run(["patch", "-p1", "-s"], input=patch.encode(), cwd=tmp_path, check=True)
    except FileNotFoundError:
        pytest.skip("there is no patch here")
    assert (folder / "catalog.yaml").read_text(encoding="utf-8") == new
