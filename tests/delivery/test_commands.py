"""`smr deliver` and `smr outbox`, as an operator types them, and killed as a machine dies."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
import yaml

from smr.cli.app import main
from smr.database import open_database
from smr.database.migrate import ensure_current
from smr.outbox import put
from smr.watch import tally
from tests.delivery.shop import received
from tests.outbox.rows import NOON, customers, end_leases, message_id, row, states

PLAYBOOK = """
name: refill
status: live
trigger: {runs_out: {category: 洁面}}
steps:
  - {name: heads_up, send: on due, via: [wecom], message: 该补货啦}
"""
SMR = str(Path(sys.executable).parent / "smr")
NOW = ("--now", "2026-11-23T12:00")


class Said(NamedTuple):
    """What a command gave on stdout and on stderr."""

    out: str
    err: str


class Shop:
    """A folder with a configuration and a playbook, and the command line in it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        (folder / "playbooks").mkdir()
        (folder / "playbooks/refill.yaml").write_text(PLAYBOOK)
        config = {
            "database": {"url": url},
            "channels": {"wecom": {"consent": "opt_out", "address": "customer_id"}},
            "files": {"folder": "out"},
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        self.database = open_database(url)
        ensure_current(self.database)

    def run(self, *arguments: str, code: int = 0) -> Said:
        """Give a command in this process."""
        out, err = io.StringIO(), io.StringIO()
        given = patch.object(sys, "argv", ["smr", *arguments])
        with given, contextlib.chdir(self.folder), redirect_stdout(out), redirect_stderr(err):
            try:
                main()
                ended = 0
            except SystemExit as end:
                ended = int(end.code or 0)
        assert ended == code, (out.getvalue(), err.getvalue())
        return Said(out.getvalue(), err.getvalue())

    def start(self, *arguments: str, crash: str = "") -> subprocess.Popen[str]:
        """Give a command in a process of its own."""
        return subprocess.Popen(
            [SMR, *arguments],
            cwd=self.folder,
            env={**os.environ, "SMR_TEST_CRASH": crash} if crash else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").out)

    def queue(self, *people: str, **same: Any) -> None:
        with self.database.write() as connection:
            put(connection, [row(person, **same) for person in people])


def finished(process: subprocess.Popen[str]) -> str:
    """Wait for a command to end well; what it said."""
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return said


@pytest.fixture
def shop(tmp_path: Path, database_url: str) -> Any:
    made = Shop(tmp_path, database_url)
    yield made
    made.database.close()


@pytest.fixture
def sqlite_shop(tmp_path: Path) -> Any:
    made = Shop(tmp_path, f"sqlite:///{tmp_path}/smr.db")
    yield made
    made.database.close()


@pytest.mark.parametrize("point", ["before_send:1", "file_half_written:1"])
def test_a_killed_delivery_is_made_good_by_the_next(shop: Shop, point: str) -> None:
    people = customers(700)
    shop.queue(*people)
    killed = shop.start("deliver", *NOW, crash=point)
    _, said = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL, said
    end_leases(shop.database)
    finished(shop.start("deliver", *NOW))
    assert received(shop.folder / "out") == sorted(people)
    assert Counter(states(shop.database).values()) == {"sent": 700}


def test_delivering_tells_how_many_and_where_they_lie_and_sends_nothing_twice(sqlite_shop: Shop) -> None:
    sqlite_shop.queue("ana", "小林")
    first = sqlite_shop.run("deliver", *NOW)
    assert "sent" in first.out
    assert "wecom: out/wecom" in first.out.replace(str(sqlite_shop.folder) + "/", "")
    assert "Nothing waits to be sent" in sqlite_shop.run("deliver", *NOW).out
    assert received(sqlite_shop.folder / "out") == ["ana", "小林"]


def test_what_cron_delivers_is_counted_like_what_a_daemon_delivers(sqlite_shop: Shop) -> None:
    sqlite_shop.queue("ana", "小林")
    sqlite_shop.run("deliver", *NOW)
    with sqlite_shop.database.read() as connection:
        assert tally.lately(connection, now=NOON) == {"wecom": {"sent": 2}}


def test_delivery_as_json(sqlite_shop: Shop) -> None:
    sqlite_shop.queue("ana", "ben", "cleo")
    given = sqlite_shop.json("deliver", *NOW, "--limit", "2", "--channel", "wecom")
    assert given["sent"] == 2
    assert given["messages"] == [{"channel": "wecom", "state": "sent", "reason": None, "count": 2}]


def test_messages_of_a_playbook_that_is_gone_are_cancelled_with_the_reason(sqlite_shop: Shop) -> None:
    sqlite_shop.queue("ana", playbook="gone")
    given = sqlite_shop.json("deliver", *NOW)
    assert [(found["state"], found["reason"]) for found in given["messages"]] == [("cancelled", "deleted")]


def test_a_delivery_that_could_not_write_ends_with_code_1_and_says_why(sqlite_shop: Shop) -> None:
    sqlite_shop.queue("ana")
    (sqlite_shop.folder / "out").write_text("in the way")
    assert "cannot be used" in sqlite_shop.run("deliver", *NOW, code=1).err


def test_the_outbox_is_listed_shown_cancelled_and_sent_again(sqlite_shop: Shop) -> None:
    sqlite_shop.queue("ana", "ben", body="亲,[该]补货啦")
    ana = message_id("ana")
    listed = sqlite_shop.run("outbox", "list", "--state", "queued").out
    assert ana in listed
    assert "亲,[该]补货啦" in listed
    assert sqlite_shop.json("outbox", "list", "--customer", "ben")["total"] == 1
    assert "1 cancelled" in sqlite_shop.run("outbox", "cancel", ana, *NOW).out
    assert "cancelled: stopped by an operator" in sqlite_shop.run("outbox", "show", ana).out
    assert "1 queued again" in sqlite_shop.run("outbox", "retry", ana, *NOW).out
    sqlite_shop.run("deliver", *NOW)
    shown = sqlite_shop.json("outbox", "show", ana)
    assert (shown["state"], [one["result"] for one in shown["tries"]]) == ("sent", ["sent"])
    assert "亲,[该]补货啦" in sqlite_shop.run("outbox", "show", ana).out


def test_what_has_gone_out_cannot_be_called_back(sqlite_shop: Shop) -> None:
    sqlite_shop.queue("ana")
    sqlite_shop.run("deliver", *NOW)
    for verb in ("cancel", "retry"):
        said = sqlite_shop.run("outbox", verb, message_id("ana"), *NOW, code=1).err
        assert "cannot be called back or sent again" in said
    assert received(sqlite_shop.folder / "out") == ["ana"]


def test_a_whole_playbook_is_cancelled_only_with_a_yes(sqlite_shop: Shop) -> None:
    sqlite_shop.queue("ana", "ben")
    assert "say --yes" in sqlite_shop.run("outbox", "cancel", "--playbook", "refill", code=2).err
    assert sqlite_shop.json("outbox", "cancel", "-p", "refill", "--yes")["count"] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("outbox", "show", "0" * 32), "there is no message"),
        (("outbox", "show", "xyz"), "is not a message id"),
        (("outbox", "cancel", "0" * 32), "there is no message"),
        (("outbox", "cancel"), "say which"),
        (("outbox", "retry", "--state", "sent"), "cannot be sent again as a whole"),
        (("outbox", "list", "--state", "quued"), "did you mean 'queued'"),
        (("deliver", "--channel", "wecon"), "did you mean 'wecom'"),
        (("deliver", "--now", "yesterday"), "--now"),
        (("deliver", "--limit", "0"), "limit"),
    ],
)
def test_wrong_usage_is_said_plainly_with_code_2(
    sqlite_shop: Shop, arguments: tuple[str, ...], said: str
) -> None:
    assert said in sqlite_shop.run(*arguments, code=2).err


def test_a_term_signal_ends_the_batch_in_hand_and_leaves_the_rest_waiting(sqlite_shop: Shop) -> None:
    people = customers(5000)
    sqlite_shop.queue(*people)
    process = sqlite_shop.start("deliver", *NOW)
    while not list((sqlite_shop.folder).glob("out/*/*.jsonl")) and process.poll() is None:
        pass
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    found = Counter(states(sqlite_shop.database).values())
    assert set(found) <= {"sent", "queued"}
    assert found["sent"] == len(received(sqlite_shop.folder / "out"))
    assert found["sent"] > 0
