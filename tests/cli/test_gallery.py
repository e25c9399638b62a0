"""`smr gallery` lists the ready playbooks and takes some into a shop, where they pass their tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from smr.cli.app import app

GALLERY = Path(__file__).parents[2] / "playbooks" / "_gallery"


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shop that says nothing but that it is Chinese."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("shop: {language: zh}\n", encoding="utf-8")
    folder = tmp_path / "playbooks"
    folder.mkdir()
    return folder


def smr(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def names() -> list[str]:
    return [one["name"] for one in json.loads(smr("gallery", "--json").stdout)]


def test_all_of_them_are_listed_by_their_files() -> None:
    books = {path.stem for path in GALLERY.glob("*.yaml") if not path.stem.endswith(".scenarios")}
    assert set(names()) == books - {"catalog", "segments"}
    assert "猫粮补货" in smr("gallery").stdout


def test_all_of_them_can_be_taken_as_drafts(shop: Path) -> None:
    taken = smr("gallery", *names())
    assert taken.exit_code == 0, taken.output
    assert "status: live" not in "".join(path.read_text(encoding="utf-8") for path in shop.glob("*.yaml"))
    assert smr("check").exit_code == 0


def test_drafts_pass_the_tests_that_came_along() -> None:
    assert smr("gallery", "birthday", "dormant").exit_code == 0
    tested = smr("test")
    assert tested.exit_code == 0, tested.output


def test_what_a_category_lasts_is_added_to_the_catalog_and_nothing_else_changes(shop: Path) -> None:
    (shop / "catalog.yaml").write_text(
        "cycles:\n  categories:\n    茶叶: {lasts: 40d}  # 一罐\n", encoding="utf-8"
    )
    assert smr("gallery", "cat-food").exit_code == 0
    assert (shop / "catalog.yaml").read_text(encoding="utf-8") == (
        "cycles:\n  categories:\n    茶叶: {lasts: 40d}  # 一罐\n    猫粮: {lasts: 12d}\n"
    )


@pytest.mark.parametrize(
    ("said", "then"),
    [
        ("", "cycles:\n  categories:\n    奶粉: {lasts: 10d}\nsensitive: {category: [奶粉]}\n"),
        (
            "sensitive: {category: [咖啡]}\n",
            "sensitive: {category: [咖啡]}\ncycles:\n  categories:\n    奶粉: {lasts: 10d}\n",
        ),
    ],
    ids=["nothing", "something else"],
)
def test_what_is_sensitive_comes_along_where_the_shop_says_nothing_of_it(
    shop: Path, said: str, then: str
) -> None:
    (shop / "catalog.yaml").write_text(said, encoding="utf-8")
    assert smr("gallery", "milk-powder").exit_code == 0
    assert (shop / "catalog.yaml").read_text(encoding="utf-8") == then


def test_a_segment_that_the_shop_lacks_is_told_with_its_line(shop: Path) -> None:
    (shop / "segments.yaml").write_text(
        "segments: {老客: {where: {orders: {at_least: 2}}}}\n", encoding="utf-8"
    )
    taken = smr("gallery", "first-order")
    assert taken.exit_code == 2
    assert "没买过: {where: {orders: {at_most: 0}}}" in taken.output


def test_playbooks_whose_tests_tell_of_each_other_come_together(shop: Path) -> None:
    assert smr("gallery", "milk-powder").exit_code == 0
    assert (shop / "milk-powder-stage.yaml").exists()


def test_what_is_there_already_is_kept_and_an_unknown_name_is_told(shop: Path) -> None:
    assert smr("gallery", "birthday").exit_code == 0
    (shop / "birthday.yaml").write_text("name: mine", encoding="utf-8")
    again = smr("gallery", "birthday", "coffee")
    assert again.exit_code != 0
    assert "nothing was written" in str(again.exception)
    assert not (shop / "coffee.yaml").exists()
    assert "did you mean 'coffee'" in str(smr("gallery", "coffe").exception)


def test_where_there_is_no_shop_nothing_is_written(shop: Path) -> None:
    shop.rmdir()
    assert "smr init" in str(smr("gallery", "coffee").exception)
    assert not shop.exists()
