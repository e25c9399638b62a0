"""`smr channels test` without an address: it connects, says who we are, and sends nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from smr.cli.app import app
from tests.providers.smtp import PASSWORD, USER
from tests.providers.start import Provider, under_tls

KEY = "a key for links of 32 characters"
Smr = Callable[..., Any]


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Provider]:
    with under_tls("smtp", tmp_path / "mail") as running:
        yield running


@pytest.fixture
def smr(post: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Smr:
    """The command line in a shop that sends mail."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "playbooks").mkdir()

    def run(*words: str, login: str = PASSWORD) -> Any:
        mail = {
            "kind": "email",
            "host": "localhost",
            "port": str(post.port),
            "ca_file": str(post.folder / "cert.pem"),
            "username": USER,
            "password": login,
            "sender": "post@shop.example",
            "unsubscribe_url": "https://smr.shop.example",
            "unsubscribe_key": KEY,
        }
        (tmp_path / "config.yaml").write_text(
            json.dumps({"channels": {"email": mail, "sms": {"kind": "file"}}}, ensure_ascii=False)
        )
        (tmp_path / "config.yaml").chmod(0o600)
        return CliRunner().invoke(app, words)

    return run


def test_a_mail_server_that_lets_us_in_is_told_and_nothing_is_sent(smr: Smr, post: Provider) -> None:
    said = smr("channels", "test", "email")
    assert said.exit_code == 0
    assert f"email: smtp://localhost:{post.port} lets us in; nothing was sent" in said.stdout
    assert post.log() == []
    told = json.loads(smr("channels", "test", "email", "--json").stdout)
    assert (told["channel"], told["let_in"], told["sent"]) == ("email", True, False)
    assert post.log() == []


def test_a_login_that_is_refused_is_told_with_exit_code_1(smr: Smr) -> None:
    said = smr("channels", "test", "email", login="wrong-one")
    assert "email does not let us in: the server refused the login" in str(said.exception)
    assert "wrong-one" not in str(said.exception)
    assert getattr(said.exception, "exit_code", None) == 1


def test_a_channel_that_can_only_send_asks_for_an_address(smr: Smr) -> None:
    said = smr("channels", "test", "sms")
    assert "give your own address on it with --to ADDRESS" in str(said.exception)
    assert getattr(said.exception, "exit_code", None) == 2


def test_with_an_address_a_message_is_sent(smr: Smr, post: Provider) -> None:
    assert smr("channels", "test", "email", "--to", "me@shop.example").exit_code == 0
    assert [mail["to"] for mail in post.log()] == [["me@shop.example"]]
