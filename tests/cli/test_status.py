"""`smr status`, `smr channels` and `smr outbox states`, as an operator types them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from smr import clock
from smr.cli.app import app
from smr.database import Database
from smr.events import Kind
from smr.outbox import put
from smr.tables import firings, messages
from smr.watch import incidents
from smr.watch.incidents import Finding
from tests.outbox.rows import row

Smr = Callable[..., Any]


@pytest.fixture
def smr(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Smr]:
    """The command line in a shop with one channel."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "config.yaml").write_text(
        f"database: {{url: '{database_url}'}}\nchannels: {{sms: {{kind: file}}}}\ndaemon: {{backup: off}}\n"
    )
    yield lambda *words: CliRunner().invoke(app, words)


def test_a_new_shop_has_nothing_wrong_and_says_what_to_do(smr: Smr) -> None:
    said = smr("status")
    assert said.exit_code == 0
    for line in ("Nothing is known to be wrong.", "No daemon runs.", "Nothing has run yet.", "Nothing waits"):
        assert line in said.stdout
    assert json.loads(smr("status", "--json").stdout)["well"] is True


@pytest.mark.parametrize(("hours", "told"), [(3, "3 h"), (49, "2 days"), (24 * 5_480, "5,480 days")])
def test_what_waits_for_long_is_told_in_hours_and_days(
    smr: Smr, database: Database, hours: int, told: str
) -> None:
    with database.write() as connection:
        put(connection, [row("ana", send_after=clock.now() - timedelta(hours=hours))])
    assert f" {told} " in smr("status").stdout


def test_status_tells_what_is_wrong_what_waits_and_what_comes_next(smr: Smr, database: Database) -> None:
    now = clock.now()
    with database.write() as connection:
        put(connection, [row("ana", send_after=now - timedelta(minutes=7)), row("ben")])
        connection.execute(sa.update(messages).where(messages.c.customer_id == "ben").values(state="unknown"))
        incidents.open_(connection, Finding(Kind.CHANNEL_DOWN, "sms", "it takes no messages"), now=now)
        failed = {"duty": "import", "slot_at": now, "state": "failed", "owner": "o", "lease_until": 0}
        connection.execute(sa.insert(firings).values(**failed, attempts=3, started_at=now, detail="no route"))
    said = smr("status").stdout
    assert "A channel does not send (sms): it takes no messages" in said
    assert "failed: no route" in said
    assert "7 min" in said
    told = json.loads(smr("status", "--json").stdout)
    assert (told["well"], told["unknown"]) == (False, 1)
    assert told["duties"]["deliver"]["next"]
    assert told["duties"]["backup"]["next"] is None


def test_status_shows_faults_of_playbooks_instead_of_failing(smr: Smr, tmp_path: Path) -> None:
    (tmp_path / "playbooks" / "cats.yaml").write_text("name: cats\nstatsu: live\n")
    said = smr("status")
    assert said.exit_code == 0
    assert "did you mean 'status'" in said.stdout


def test_channels_shows_each_with_what_waits(smr: Smr, database: Database) -> None:
    with database.write() as connection:
        put(connection, [row("ana"), row("ben")])
    rows = {one["channel"]: one for one in json.loads(smr("channels", "--json").stdout)["channels"]}
    assert set(rows) == {"sms", "wecom"}
    assert rows["sms"]["health"] == "well"
    assert rows["wecom"]["queued"] == rows["wecom"]["due"] == 2
    assert "wecom" in smr("channels").stdout


def test_a_test_message_goes_the_real_way_and_leaves_the_outbox_alone(
    smr: Smr, database: Database, tmp_path: Path
) -> None:
    said = smr("channels", "test", "sms", "--to", "13900000000")
    assert said.exit_code == 0
    [line] = [
        json.loads(one)
        for path in tmp_path.glob("outbox/sms/*.jsonl")
        for one in path.read_text().splitlines()
    ]
    assert line["address"] == "13900000000"
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(messages)).scalar_one() == 0


def test_a_channel_that_does_not_take_it_is_told_with_exit_code_1(smr: Smr, tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("a file where the folder should be")
    said = smr("channels", "test", "sms", "--to", "13900000000")
    assert "did not take it" in str(said.exception)
    assert getattr(said.exception, "exit_code", None) == 1


def test_a_channel_that_is_not_there_is_told_with_the_nearest(smr: Smr) -> None:
    said = smr("channels", "test", "smss", "--to", "13900000000")
    assert "did you mean 'sms'" in str(said.exception)


def test_states_are_counted_by_channel(smr: Smr, database: Database) -> None:
    assert "No messages." in smr("outbox", "states").stdout
    with database.write() as connection:
        put(connection, [row("ana"), row("ben"), row("cleo", channel="sms")])
    counted = json.loads(smr("outbox", "states", "--json").stdout)["states"]
    assert {(one["channel"], one["state"]): one["count"] for one in counted} == {
        ("wecom", "queued"): 2,
        ("sms", "queued"): 1,
    }
    assert smr("outbox", "states").stdout.split()[:2] == ["channel", "queued"]
