"""Loading a folder of playbooks: what is read, in which order, and that all faults are told at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smr.errors import FaultsError, OperatorError
from smr.playbook import load_library
from smr.settings import Settings
from tests.examples import many

SHOP = Settings()
REFILL = """name: {name}
status: live
priority: {priority}
trigger: {{runs_out: {{category: 洁面}}}}
steps:
  - {{name: heads_up, send: 5d before due, message: 快用完了}}
  - {{name: offer, send: 2d after heads_up, template: texts/offer.txt}}
"""
SEGMENTS = """segments:
  best: {where: {all: [{segment: loyal}, {stage: {lifecycle: 成长期}}]}}
  loyal: {where: {orders: {at_least: 3}}}
ladders:
  lifecycle:
    - {stage: 成长期, where: {not: {segment: loyal}}}
    - {stage: 新客}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path, "refill.yaml", REFILL.format(name="refill", priority=50))
    put(tmp_path, "texts/offer.txt", "再来一支")
    put(tmp_path, "segments.yaml", SEGMENTS)
    put(tmp_path, "catalog.yaml", "cycles: {categories: {洁面: {lasts: 45d}}}\n")
    return tmp_path


def put(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def faults(folder: Path) -> list[tuple[str, str]]:
    with pytest.raises(FaultsError) as caught:
        load_library(folder, SHOP)
    return [(Path(fault.file).name, fault.code) for fault in caught.value.faults]


def test_a_folder_is_loaded_in_the_order_of_use(folder: Path) -> None:
    put(folder, "team/urgent.yml", REFILL.format(name="urgent", priority=90))
    put(folder, "早餐.yaml", REFILL.format(name="早餐", priority=50))
    library = load_library(folder, SHOP)
    assert [playbook.name for playbook in library.playbooks] == ["urgent", "refill", "早餐"]
    assert list(library.segments) == ["loyal", "best"]
    assert library.order == (("segment", "loyal"), ("ladder", "lifecycle"), ("segment", "best"))
    assert library.texts == {"texts/offer.txt": "再来一支"}
    assert library.body(library.playbook("refill").step("offer")) == "再来一支"
    assert library.files["urgent"] == "team/urgent.yml"
    assert library.document("refill").place(("steps", 1, "send")) == (7, 25)


def test_scenarios_and_hidden_files_are_no_playbooks(folder: Path) -> None:
    for name in (
        "a.scenarios.yaml",
        "_draft.yaml",
        ".hidden.yaml",
        ".git/x.yaml",
        "_old/x.yaml",
        "notes.txt",
    ):
        put(folder, name, "- not a playbook\n")
    assert [playbook.name for playbook in load_library(folder, SHOP).playbooks] == ["refill"]


def test_a_folder_may_hold_only_playbooks(tmp_path: Path) -> None:
    put(
        tmp_path,
        "a.yaml",
        "name: a\ntrigger: {purchase: {}}\nsteps: [{name: x, send: on purchase, message: hi}]\n",
    )
    put(tmp_path, "segments.yaml", "# none yet\nsegments:\nladders:\n")
    put(tmp_path, "catalog.yaml", "cycles:\n  categories:\n")
    library = load_library(tmp_path, SHOP)
    assert (library.segments, library.order, library.catalog.cycles.categories) == ({}, (), {})


def test_a_folder_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="smr init"):
        load_library(tmp_path / "playbooks", SHOP)


def test_all_faults_of_all_files_are_told_at_once(folder: Path) -> None:
    put(
        folder,
        "a.yaml",
        REFILL.format(name="a", priority=500) + "who: {segment: loyl}\nlimits: {per_rum: 5}\n",
    )
    put(folder, "b.yaml", "name: b\nsteps: [{{ x }}]\n")
    put(folder, "catalog.yaml", "track: all\n")
    put(folder, "segments.yaml", SEGMENTS.replace("{segment: loyal}}}", "{segment: best}}}"))
    assert faults(folder) == [
        ("a.yaml", "range"),
        ("a.yaml", "unknown_segment"),
        ("a.yaml", "unknown_key"),
        ("b.yaml", "template_needs_quotes"),
        ("catalog.yaml", "unknown_value"),
        ("segments.yaml", "segment_cycle"),
    ]


DOINGS = """segments:
  fans: {where: {did: {what: [WHAT], within: 30d, at_least: 2}}}
"""


def test_kinds_of_interaction_may_be_named_in_chinese_as_in_files(tmp_path: Path) -> None:
    """What 小林 writes means what the reference calls moments_like and live."""
    for name, written in (("zh", "朋友圈点赞, 看直播"), ("en", "moments_like, live")):
        put(tmp_path / name, "segments.yaml", DOINGS.replace("WHAT", written))
    zh, en = (load_library(tmp_path / name, SHOP).segments["fans"].where for name in ("zh", "en"))
    assert zh == en


def test_a_misspelt_kind_of_interaction_brings_the_chinese_name_that_is_meant(tmp_path: Path) -> None:
    put(tmp_path, "segments.yaml", DOINGS.replace("WHAT", "朋友圈点攒"))
    with pytest.raises(FaultsError, match="did you mean '朋友圈点赞'"):
        load_library(tmp_path, SHOP)


def test_names_of_segments_are_not_judged_when_their_file_cannot_be_read(folder: Path) -> None:
    put(folder, "segments.yaml", "segments: [\n")
    put(folder, "a.yaml", REFILL.format(name="a", priority=5) + "who: {segment: whoever}\n")
    assert faults(folder) == [("segments.yaml", "yaml_syntax")]


def test_a_version_changes_with_the_playbook_and_its_templates_alone(folder: Path) -> None:
    put(folder, "other.yaml", REFILL.replace("texts/offer.txt", "other.txt").format(name="other", priority=1))
    put(folder, "other.txt", "hi")
    first = load_library(folder, SHOP)
    assert load_library(folder, SHOP).version == first.version
    assert len(first.versions["refill"]) == 12

    put(folder, "refill.yaml", "# a comment\n" + REFILL.format(name="refill", priority=50))
    assert load_library(folder, SHOP).versions == first.versions

    put(folder, "texts/offer.txt", "再来两支")
    second = load_library(folder, SHOP)
    assert second.versions["refill"] != first.versions["refill"]
    assert second.versions["other"] == first.versions["other"]

    put(folder, "catalog.yaml", "cycles: {categories: {洁面: {lasts: 40d}}}\n")
    third = load_library(folder, SHOP)
    assert third.versions == second.versions
    assert third.version != second.version


def test_nothing_leads_out_of_the_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    put(outside, "x.yaml", REFILL.format(name="x", priority=5))
    put(outside, "x.txt", "secret")
    (folder / "link.yaml").symlink_to(outside / "x.yaml")
    (folder / "texts" / "offer.txt").unlink()
    (folder / "texts" / "offer.txt").symlink_to(outside / "x.txt")
    (folder / "linked").symlink_to(outside)
    assert faults(folder) == [("link.yaml", "outside_folder"), ("refill.yaml", "outside_folder")]


def test_a_link_to_nowhere_a_pipe_and_a_folder_are_no_files(folder: Path) -> None:
    (folder / "a.yaml").symlink_to(folder / "gone.yaml")
    os.mkfifo(folder / "b.yaml")
    (folder / "c.yaml").mkdir()
    assert faults(folder) == [("a.yaml", "not_a_file"), ("b.yaml", "not_a_file"), ("c.yaml", "not_a_file")]


def test_a_template_may_be_too_large_or_in_another_encoding(folder: Path) -> None:
    put(folder, "texts/offer.txt", "x" * 70_000)
    assert faults(folder) == [("refill.yaml", "file_too_large")]
    (folder / "texts/offer.txt").write_bytes("再来一支".encode("gb18030"))
    assert faults(folder) == [("refill.yaml", "bad_encoding")]


FAULTLESS = (
    REFILL.format(name="refill", priority=50) + "who: {all: [{tag: a}, {not: {segment: loyal}}]}\n"
).replace("texts/offer.txt", "offer.txt")


@settings(max_examples=many(250), deadline=None)
@given(
    st.integers(0, len(FAULTLESS)),
    st.integers(0, 12),
    st.sampled_from(
        [
            "",
            " ",
            "\n",
            "\t",
            "{",
            "}",
            "[",
            "]",
            ": ",
            "- ",
            "'",
            '"',
            "null",
            "&a ",
            "*a",
            "!!x ",
            "0",
            "洁",
            "{{",
            "\x00",
            "<<",
        ]
    ),
)
def test_no_playbook_ends_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, place: int, cut: int, put_in: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "mutated"
    put(folder, "refill.yaml", FAULTLESS[:place] + put_in + FAULTLESS[place + cut :])
    put(folder, "offer.txt", "hi")
    put(folder, "segments.yaml", SEGMENTS)
    try:
        load_library(folder, SHOP)
    except FaultsError as error:
        assert all(fault.file and fault.what and fault.code for fault in error.faults)


@settings(max_examples=many(200), deadline=None)
@given(
    st.integers(0, len(SEGMENTS)),
    st.integers(0, 12),
    st.sampled_from(
        [
            "",
            " ",
            "\n",
            "{",
            "}",
            "[",
            "]",
            ": ",
            "segment",
            "stage",
            "null",
            "best",
            "loyal",
            "not: ",
            "all: ",
        ]
    ),
)
def test_no_segments_file_ends_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, place: int, cut: int, put_in: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "mutated_segments"
    put(folder, "segments.yaml", SEGMENTS[:place] + put_in + SEGMENTS[place + cut :])
    try:
        load_library(folder, SHOP)
    except FaultsError as error:
        assert all(fault.file and fault.what and fault.code for fault in error.faults)
