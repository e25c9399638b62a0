"""The page behind the link in a mail: GET shows, POST acts, and at once."""

from __future__ import annotations

from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from smr.channels.email.mail import token
from smr.console.site import Site
from smr.database import Database, open_database
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import consents
from tests.console.test_app import served
from tests.outbox.rows import message_id, queue_for


@dataclass
class Answer:
    """What came back."""

    status_code: int
    text: str


@dataclass
class Client:
    """Asks a served application."""

    connection: HTTPConnection

    def get(self, path: str) -> Answer:
        return self._ask("GET", path, b"")

    def post(self, path: str, content: bytes = b"") -> Answer:
        return self._ask("POST", path, content)

    def _ask(self, method: str, path: str, content: bytes) -> Answer:
        self.connection.request(method, path, content, {"Content-Length": str(len(content))})
        answer = self.connection.getresponse()
        return Answer(answer.status, answer.read().decode())


KEY = "a key for links of 32 characters"


ENTRY = {
    "kind": "email",
    "host": "localhost",
    "sender": "post@shop.example",
    "unsubscribe_url": "https://smr.shop.example",
    "unsubscribe_key": KEY,
}


@pytest.fixture
def client(database: Database, tmp_path: Path) -> Any:
    settings = Settings.model_validate({"channels": {"email": ENTRY, "sms": {"kind": "file"}}})
    with served(Site(database, lambda: settings, lambda: Library(tmp_path))) as connection:
        yield Client(connection)


def refusals(database: Database) -> list[tuple[str, str, bool]]:
    with database.read() as connection:
        found = connection.execute(sa.select(consents))
        return [(row.customer_id, row.channel, row.granted) for row in found]


def test_looking_changes_nothing_and_the_button_does(database: Database, client: Any) -> None:
    queue_for(database, ["ana"], channel="email")
    link = f"/unsubscribe/email/{token(KEY, 'email', message_id('ana'))}"
    shown = client.get(link)
    assert shown.status_code == 200
    assert 'method="post"' in shown.text
    assert refusals(database) == []
    assert "已退订" in client.post(link).text
    assert refusals(database) == [("ana", "email", False)]


def test_one_click_of_a_mailbox_provider_is_enough_and_twice_is_once(database: Database, client: Any) -> None:
    queue_for(database, ["ana"], channel="email")
    link = f"/unsubscribe/email/{token(KEY, 'email', message_id('ana'))}"
    for _ in range(2):
        assert client.post(link, b"List-Unsubscribe=One-Click").status_code == 200
    assert refusals(database) == [("ana", "email", False)]


@pytest.mark.parametrize("path", ["email/x", "sms/x", "nothing/x", f"email/{'0' * 32}.{'0' * 40}"])
def test_a_link_that_is_not_ours_is_no_page(database: Database, client: Any, path: str) -> None:
    assert client.get(f"/unsubscribe/{path}").status_code == 404
    assert client.post(f"/unsubscribe/{path}").status_code == 404
    assert refusals(database) == []


def test_the_page_tells_nothing_about_the_customer(database: Database, client: Any) -> None:
    queue_for(database, ["ana"], channel="email")
    page = client.get(f"/unsubscribe/email/{token(KEY, 'email', message_id('ana'))}").text
    assert "ana" not in page.replace("unsubscribe", "")


def test_while_the_database_is_away_a_refusal_is_asked_for_again_and_not_lost(tmp_path: Path) -> None:
    (tmp_path / "gone.db").write_bytes(b"this is no database, and long enough to be seen as none" * 20)
    settings = Settings.model_validate({"channels": {"email": ENTRY}})
    gone = Site(open_database(f"sqlite:///{tmp_path}/gone.db"), lambda: settings, lambda: Library(tmp_path))
    with served(gone) as connection:
        connection.request("POST", f"/unsubscribe/email/{token(KEY, 'email', message_id('ana'))}", b"")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
        assert "database" in answer.read().decode()
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_receipts_are_taken_only_from_channels_that_have_them(client: Any) -> None:
    assert client.post("/receipts/sms", b"{}").status_code == 404
    assert client.post("/receipts/nothing", b"{}").status_code == 404
    assert client.get("/receipts/sms").status_code == 405
