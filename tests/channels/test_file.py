from __future__ import annotations

import errno
import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from smr.channel_kinds import kind_of
from smr.channels import Accepted, Outgoing, Refused, open_channel
from smr.channels.file import FileChannel, journal
from smr.channels.file.channel import folder_name
from smr.errors import ChannelError, OperatorError, Refusal
from smr.settings import Settings

MORNING = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
LATE = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
"""Midnight in Shanghai: the next day's file."""


def settings(folder: Path, **channels: Any) -> Settings:
    return Settings.model_validate({"files": {"folder": folder}, "channels": channels})


def message(number: int, *, text: str = "洁面快用完了", sent_at: datetime = MORNING, **rest: Any) -> Outgoing:
    given: dict[str, Any] = {"address": "wx_ana", "subject": None, "html": None, "attachments": ()} | rest
    return Outgoing(
        message_id=f"{number:032x}",
        customer_id="ana",
        playbook="refill",
        step="heads_up",
        text=text,
        sent_at=sent_at,
        **given,
    )


def lines(folder: Path, name: str = "wecom/2026-11-23.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def numbers(folder: Path) -> list[int]:
    return [int(line["message_id"], 16) for line in lines(folder)]


def text_numbers(folder: Path) -> list[int]:
    found = (folder / "wecom/2026-11-23.txt").read_text().splitlines()
    return [int(line[3:], 16) for line in found if line.startswith("id ")]


def test_messages_lie_in_a_file_per_channel_and_local_day(tmp_path: Path) -> None:
    channel = open_channel("wecom", settings(tmp_path))
    assert channel.send([message(1), message(2, sent_at=LATE)]) == [Accepted(), Accepted()]
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*")) == [
        "wecom/2026-11-23.jsonl",
        "wecom/2026-11-23.txt",
        "wecom/2026-11-24.jsonl",
        "wecom/2026-11-24.txt",
    ]
    assert channel.place == str(tmp_path / "wecom")


def test_only_their_owner_may_read_them(tmp_path: Path) -> None:
    open_channel("wecom", settings(tmp_path / "out")).send([message(1)])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").rglob("*")}
    assert modes == {"wecom": 0o700, "2026-11-23.jsonl": 0o600, "2026-11-23.txt": 0o600}


def test_people_read_the_text_with_its_attachments(tmp_path: Path) -> None:
    link = {"link": {"title": "再来一支", "url": "https://shop.example/r"}}
    sent = message(1, text="亲,\n要留一支吗?", subject="补货", attachments=[link])
    open_channel("email", settings(tmp_path)).send([sent])
    assert (tmp_path / "email/2026-11-23.txt").read_text() == (
        "2026-11-23T01:00:00Z  email → wx_ana  (refill/heads_up)\n补货\n亲,\n要留一支吗?\n"
        "+ link: 再来一支, https://shop.example/r\n"
        "id 00000000000000000000000000000001\n\n"
    )


def test_the_same_message_twice_is_one_line(tmp_path: Path) -> None:
    first, second = (open_channel("wecom", settings(tmp_path)) for _ in range(2))
    first.send([message(1), message(2)])
    second.send([message(2), message(3), message(3)])
    first.send([message(3), message(4)])
    assert numbers(tmp_path) == [1, 2, 3, 4]
    assert text_numbers(tmp_path) == [1, 2, 3, 4]


def test_it_can_be_asked_about_any_day(tmp_path: Path) -> None:
    open_channel("wecom", settings(tmp_path)).send([message(1), message(2, sent_at=LATE)])
    asked = open_channel("wecom", settings(tmp_path)).ask([message(n).message_id for n in (1, 2, 3)])
    assert list(asked.values()) == [True, True, False]


def test_asked_before_anything_was_sent_it_has_nothing(tmp_path: Path) -> None:
    assert open_channel("wecom", settings(tmp_path)).ask(["ab"]) == {"ab": False}


@pytest.mark.parametrize("keep", [1, 40, 100, -2, -1])
def test_half_a_line_left_by_a_crash_is_cut_off_and_written_anew(tmp_path: Path, keep: int) -> None:
    open_channel("wecom", settings(tmp_path)).send([message(1), message(2)])
    path = tmp_path / "wecom/2026-11-23.jsonl"
    whole, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(whole + last[:keep])
    channel = open_channel("wecom", settings(tmp_path))
    assert list(channel.ask([message(n).message_id for n in (1, 2)]).values()) == [True, False]
    channel.send([message(2), message(3)])
    assert numbers(tmp_path) == [1, 2, 3]
    assert text_numbers(tmp_path) == [1, 2, 3]


@pytest.mark.parametrize(
    "rubbish", [b"\0" * 300, b"\0" * 300 + b"\n", b'{"message_id": "00", "cha}\n', b"hello\n\n"]
)
def test_rubbish_at_the_end_is_cut_off(tmp_path: Path, rubbish: bytes) -> None:
    open_channel("wecom", settings(tmp_path)).send([message(1)])
    with (tmp_path / "wecom/2026-11-23.jsonl").open("ab") as file:
        file.write(rubbish)
    open_channel("wecom", settings(tmp_path)).send([message(2)])
    assert numbers(tmp_path) == [1, 2]


def test_a_text_that_lags_behind_the_record_is_made_good(tmp_path: Path) -> None:
    open_channel("wecom", settings(tmp_path)).send([message(1), message(2)])
    text = tmp_path / "wecom/2026-11-23.txt"
    text.write_bytes(text.read_bytes()[:-5])
    open_channel("wecom", settings(tmp_path)).send([message(3)])
    assert text_numbers(tmp_path) == [1, 2, 3]
    text.unlink()
    open_channel("wecom", settings(tmp_path)).send([message(4)])
    assert text_numbers(tmp_path) == [1, 2, 3, 4]


def test_a_message_text_that_looks_like_the_end_of_an_entry_fools_nobody(tmp_path: Path) -> None:
    channel = open_channel("wecom", settings(tmp_path))
    channel.send([message(1), message(2, text=f"id {message(1).message_id}\n\n")])
    path = tmp_path / "wecom/2026-11-23.txt"
    path.write_bytes(path.read_bytes()[: -len("id ") - 34])
    open_channel("wecom", settings(tmp_path)).send([message(3)])
    assert path.read_text().count("(refill/heads_up)") == 3


def test_when_taking_back_fails_as_well_the_channel_says_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = open_channel("wecom", settings(tmp_path))
    channel.send([message(1)])
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", _no_space)
        with pytest.raises(ChannelError) as failure:
            channel.send([message(2)])
    assert failure.value.refusal is Refusal.IN_DOUBT
    channel.send([message(3)])
    assert numbers(tmp_path) == [1, 3]


def test_a_disk_that_fails_half_way_leaves_whole_lines_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = open_channel("wecom", settings(tmp_path))
    channel.send([message(1)])
    with monkeypatch.context() as patched:
        patched.setattr(
            journal, "reached", lambda name: _no_space(0) if name == "file_half_written" else None
        )
        with pytest.raises(ChannelError) as failure:
            channel.send([message(2)])
    assert (failure.value.refusal, failure.value.permanent) == (Refusal.UNAVAILABLE, False)
    assert numbers(tmp_path) == [1]
    assert channel.ask([message(2).message_id]) == {message(2).message_id: False}


def _no_space(_file: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_text_that_cannot_be_encoded_or_is_too_long_is_refused_alone(tmp_path: Path) -> None:
    channel = open_channel("sms", settings(tmp_path, sms={"max_length": 70}))
    results = channel.send(
        [message(1, text="\ud800"), message(2, text="长" * 71), message(3, text="长" * 70)]
    )
    assert [isinstance(result, Refused) for result in results] == [True, True, False]
    assert [result.permanent for result in results if isinstance(result, Refused)] == [True, True]
    assert [line["text"] for line in lines(tmp_path, "sms/2026-11-23.jsonl")] == ["长" * 70]


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", ".", "企业微信", "x" * 200, "a\nb", "a_b"])
def test_every_channel_name_stays_inside_the_folder(tmp_path: Path, name: str) -> None:
    FileChannel(name, settings(tmp_path / "out")).send([message(1)])
    (written,) = (path for path in tmp_path.rglob("*.jsonl"))
    assert written.parent.parent == tmp_path / "out"


def test_two_names_never_share_a_folder() -> None:
    assert folder_name("a/b") != folder_name("a_b")
    assert folder_name("a/b") != folder_name("a:b")
    assert folder_name("企业微信") == "企业微信"


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out/wecom").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ChannelError, match="leads out of"):
        open_channel("wecom", settings(tmp_path / "out")).send([message(1)])
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_unknown_channel_is_named_with_what_may_have_been_meant(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="did you mean 'wecom'"):
        open_channel("wecon", settings(tmp_path))


def test_an_unknown_kind_is_named_with_those_installed() -> None:
    with pytest.raises(OperatorError, match=r"nothing installed sends by 'pigeon'; known here: .*file"):
        kind_of("pigeon")
