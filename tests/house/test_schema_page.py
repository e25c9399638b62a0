"""The page of the tables names every table and every column there is, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smr.tables import metadata

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "schema.md").read_text()
SECTIONS = dict(re.findall(r"^### (\w+)\n\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))
EVERYWHERE = {"bucket", "customer_id"}


def test_every_table_has_its_paragraph_and_no_other_has() -> None:
    assert set(SECTIONS) == set(metadata.tables)


@pytest.mark.parametrize("name", metadata.tables)
def test_a_paragraph_names_every_column(name: str) -> None:
    columns = {column.name for column in metadata.tables[name].columns} - EVERYWHERE
    named = set(re.findall(r"`(\w+)`", SECTIONS[name]))
    assert columns - named == set()


def test_columns_that_are_named_exist() -> None:
    known = {column.name for table in metadata.tables.values() for column in table.columns}
    named = {
        word
        for text in SECTIONS.values()
        for word in re.findall(r"`(\w+_(?:id|at|after|since|until|no))`", text)
    }
    assert named - known == set()
