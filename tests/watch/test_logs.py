"""The log tells nothing of a customer, whatever is put into it, and no value can forge a line."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smr import logs
from smr.errors import DatabaseRefusedError
from smr.events import FIELDS, Event

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗"


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Set the log up on a text, and read its lines."""
    stream, root = StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level
    logs.set_up(stream, as_json=True)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


def planted(number: int) -> list[str]:
    """Telephone numbers, addresses and long numbers in many spellings."""
    draw = random.Random(number)  # noqa: S311
    digits = "".join(draw.choice("0123456789") for _ in range(8))
    return [
        f"138{digits}",
        f"+86 139 {digits[:4]} {digits[4:]}",
        f"(0{digits[0]}) {digits[1:4]}-{digits[4:]}",
        f"li.{digits}@example.com",
        f"李{digits}@例子.中国",
        f"https://user:{digits}@shop.example/?token=t{digits}&access_token=a{digits}",
        "".join(chr(ord(digit) - ord("0") + ord("０")) for digit in f"137{digits}"),
    ]


@pytest.mark.parametrize("event", list(Event))
def test_numbers_and_addresses_are_masked_in_every_field(
    event: Event, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    values = [value for number in range(30) for value in planted(number)]
    for value in values:
        around = {field: {"in": [f"before {value} after", value]} for field in FIELDS[event]}
        logs.tell(event, **around)
        logs.tell(event, **dict.fromkeys(FIELDS[event], f"said: {value}."))
    text = json.dumps(lines(), ensure_ascii=False)
    assert len(lines()) == 2 * len(values)
    assert [value for value in values if value in text] == []
    assert not any(value[-8:] in text for number in range(30) for value in planted(number)[:1])


def test_what_an_event_is_not_documented_with_is_left_out(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    logs.tell(Event.CHANNEL_FAILED, channel="sms", name="张三", body="您好")
    assert set(lines()[0]) == {"time", "level", "event", "channel"}


def test_ids_times_owners_and_addresses_to_listen_on_stay_readable(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    shown = {
        "owner": "shop-1.local/12345678/1772330000",
        "listen": "127.0.0.1:8321",
        "version": "48867fd60943",
    }
    logs.tell(Event.DAEMON_STARTED, **shown)
    logs.tell(Event.DUTY_STOPPED, duty="run", slot="2026-11-25T19:12:00Z")
    assert lines()[0].items() >= shown.items()
    assert lines()[1]["slot"] == "2026-11-25T19:12:00Z"


def test_of_an_exception_only_its_type_and_places_are_told(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    for surname in SURNAMES:
        try:
            raise ValueError(f"cannot render 亲爱的{surname}小明, 该补货啦")
        except ValueError as error:
            logs.tell(Event.DUTY_FAILED, duty="run", **logs.error_of(error))
            logging.getLogger("somebody").exception("broken")
    text = json.dumps(lines(), ensure_ascii=False)
    assert "小明" not in text
    assert "ValueError" in text
    assert "test_logs.py:" in text


def test_a_refusal_of_the_database_is_told_in_words(lines: Callable[[], list[dict[str, Any]]]) -> None:
    logs.tell(Event.DATABASE_LOST, **logs.error_of(DatabaseRefusedError("the database x is busy")))
    assert lines()[0]["why"] == "the database x is busy"


def test_a_librarys_record_tells_its_constant_text_and_nothing_put_into_it(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    logging.getLogger("driver").warning("could not send %s to %s", "该补货啦", "张三")
    logging.getLogger("driver").warning(f"could not send {'该补货啦'}")
    first, second = lines()
    assert first["said"] == "could not send %s to %s"
    assert "said" not in second
    assert second["where"].startswith("test_logs.py:")


@given(text=st.text(max_size=60))
def test_a_value_stays_on_its_line(text: str) -> None:
    shown = logs.mask(text)
    assert shown.splitlines() in ([shown], [])
    assert not any(ord(letter) < 32 or letter in "\u2028\u2029\u202e\u200f\x7f\x85" for letter in shown)


class FullDisk(StringIO):
    """Where nothing more can be written."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_written_stops_nobody(
    lines: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", FullDisk())
    logs.set_up(FullDisk(), as_json=True)
    logs.tell(Event.DUTY_STARTED, duty="run")


def test_text_for_people_is_one_line_with_field_and_value() -> None:
    stream = StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    logs.set_up(stream, as_json=False)
    logs.tell(Event.DUTY_STOPPED, duty="run\nforged", slot="s")
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().rstrip().endswith("duty.stopped duty=run\\u000aforged slot=s")
