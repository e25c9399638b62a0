"""Reading YAML strictly: what stays text, what is refused, and how fast."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smr.errors import FaultsError
from smr.strict_yaml import BYTES, CHARACTERS, ENTRIES, load_yaml, path_text, read_yaml
from tests.examples import many


def codes(text: str) -> list[str]:
    with pytest.raises(FaultsError) as caught:
        read_yaml(text, "a.yaml")
    return [fault.code for fault in caught.value.faults]


def test_scalars_stay_as_they_were_written() -> None:
    text = "at: 22:00\nin: NO\nsku: 0777\nv: 3.10\nday: 2024-02-30\nf: on\nbig: 1_000\nhex: 0x1F\nnan: .nan\n"
    data = read_yaml(text, "a.yaml").data
    assert list(data.values()) == ["22:00", "NO", "0777", "3.10", "2024-02-30", "on", "1_000", "0x1F", ".nan"]


def test_nothing_is_none_but_a_quoted_nothing_is_text() -> None:
    data = read_yaml("a:\nb: null\nc: ~\nd: ''\ne: 'null'\n", "a.yaml").data
    assert data == {"a": None, "b": None, "c": None, "d": "", "e": "null"}


def test_every_key_and_value_knows_its_place() -> None:
    document = read_yaml("name: x\nsteps:\n  - {send: on due}\n  - send: later\n", "a.yaml")
    assert document.keys[("steps", 0, "send")] == (3, 6)
    assert document.values[("steps", 1, "send")] == (4, 11)
    assert document.place(("steps", 1, "missing")) == (4, 5)
    assert document.place(("nowhere",)) == (1, 1)
    assert document.value(("steps", 1, "send")) == "later"
    assert document.value(("steps", 9, "send")) is None
    assert path_text(("steps", 1, "send")) == "steps[2] → send"


def test_a_key_that_stands_twice_keeps_its_first_value_and_its_inside_is_still_read() -> None:
    document = read_yaml("who: {a: 1}\nwho: {b: 1, b: 2}\nname: x\n", "a.yaml")
    assert document.data == {"who": {"a": "1"}, "name": "x"}
    assert [(fault.code, fault.line) for fault in document.faults] == [
        ("duplicate_key", 2),
        ("duplicate_key", 2),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfname: x\n")
    assert load_yaml(file).data == {"name": "x"}


def test_windows_line_ends_are_line_ends() -> None:
    assert read_yaml("a: 1\r\nb:\r\n  - x\r\n", "a").data == {"a": "1", "b": ["x"]}


@pytest.mark.parametrize(
    "text", ["[" * 50_000, "{a: " * 5_000, "- " * 5_000, "a: " + "[" * 500, "? " * 5_000]
)
def test_deep_nesting_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    assert codes(text)[0] in {"too_deep", "bad_key", "yaml_syntax"}
    assert time.process_time() - began < 1


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    bomb = "a: &a {k: v}\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [{', '.join(['*' + chr(97 + n)] * 10)}]}}\n" for n in range(8)
    )
    began = time.process_time()
    assert set(codes(bomb)) == {"alias_not_allowed"}
    assert time.process_time() - began < 0.5


def test_sizes_are_limited(tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    file.write_text("# " + "x" * BYTES, encoding="utf-8")
    with pytest.raises(FaultsError, match="file_too_large"):
        load_yaml(file)
    assert codes("a: " + "x" * (CHARACTERS + 1)) == ["value_too_long"]
    assert codes("".join(f"k{n}: 1\n" for n in range(ENTRIES + 1))) == ["too_many_values"]


def test_what_is_no_file_is_said_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path, said in (
        (tmp_path, "a folder"),
        (tmp_path / "pipe.yaml", "a pipe"),
        (tmp_path / "no.yaml", "No such"),
    ):
        with pytest.raises(FaultsError, match=said):
            load_yaml(path)


hostile = st.text(
    st.sampled_from("abz {}[]:,-&*!|>'\"%@`#?\n\t~0.\\洁\ufeff\x85\u2028\U0001f600"), max_size=60
)


@settings(max_examples=many(800), deadline=None)
@given(hostile)
def test_no_text_ends_in_a_traceback(text: str) -> None:
    try:
        document = read_yaml(text, "a.yaml")
    except FaultsError as error:
        assert all(fault.code and fault.what for fault in error.faults)
    else:
        assert isinstance(document.data, dict)


def test_a_key_that_looks_like_the_name_of_a_doubled_one_is_no_fault_of_its_own() -> None:
    document = read_yaml("a: 1\na: 2\na (1): 3\n", "x.yaml")
    assert [fault.code for fault in document.faults] == ["duplicate_key"]
