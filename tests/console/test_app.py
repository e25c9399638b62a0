"""The web application over a real socket: health, metrics, and what holds for every request."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from smr.console import Server, Site, build, server
from smr.console.app import SECTIONS
from smr.console.site import Condition
from smr.database import Database, open_database
from smr.errors import Fault, OperatorError
from smr.outbox import put
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import messages, runs
from tests.outbox.rows import NOON, row


def site(shop: Database, **condition: Any) -> Site:
    return Site(shop, Settings, lambda: Library(Path()), lambda: Condition(**condition))


@contextmanager
def served(of: Site, *more: Any) -> Iterator[HTTPConnection]:
    """The application on a free port."""
    serving = Server(build(of, [*SECTIONS, *more]), "127.0.0.1", 0, grace=2)
    serving.start()
    host, port = serving.address.split(":")
    connection = HTTPConnection(host, int(port), timeout=20)
    try:
        yield connection
    finally:
        connection.close()
        serving.stop(5)


def ask(
    connection: HTTPConnection, path: str, method: str = "GET", body: bytes | None = None
) -> tuple[int, str]:
    connection.request(method, path, body)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_a_process_that_is_well_is_live_and_ready(database: Database) -> None:
    with served(site(database)) as connection:
        assert ask(connection, "/health/live")[0] == 200
        assert ask(connection, "/health/ready")[0] == 200


def test_without_its_database_it_lives_and_is_not_ready(sqlite_database: Database) -> None:
    with served(site(sqlite_database, database="it is away")) as connection:
        assert ask(connection, "/health/live")[0] == 200
        status, told = ask(connection, "/health/ready")
    assert status == 503
    assert json.loads(told)["database"] == "it is away"


def test_a_process_that_drains_is_not_ready(sqlite_database: Database) -> None:
    with served(site(sqlite_database, stopping=True)) as connection:
        assert ask(connection, "/health/ready")[0] == 503


def test_a_broken_file_is_shown_while_the_last_good_one_serves(sqlite_database: Database) -> None:
    fault = Fault("playbooks/cats.yaml", 3, 1, "steps", "unknown_key", "unknown key 'sned'", "did you mean")
    with served(site(sqlite_database, faults=(fault,))) as connection:
        status, told = ask(connection, "/health/ready")
    assert status == 200
    assert "playbooks/cats.yaml:3:1" in json.loads(told)["configuration"][0]


def test_metrics_tell_what_waits_and_what_is_unknown(database: Database) -> None:
    with database.write() as connection:
        put(connection, [row("ana"), row("ben"), row("cleo")])
        unknown = sa.update(messages).where(messages.c.customer_id == "cleo").values(state="unknown")
        connection.execute(unknown)
    with served(site(database)) as connection:
        status, page = ask(connection, "/metrics")
    assert status == 200
    assert 'smr_queued_messages{channel="wecom"} 2.0' in page
    assert 'smr_due_messages{channel="wecom"} 2.0' in page
    assert 'smr_unknown_messages{channel="wecom"} 1.0' in page
    assert "smr_database_up 1.0" in page
    oldest = next(line for line in page.splitlines() if line.startswith("smr_oldest_due_seconds{"))
    assert float(oldest.split()[-1]) > 0


def test_metrics_tell_of_the_last_run(database: Database) -> None:
    with database.write() as connection:
        ended = {"slot": "s", "now_at": NOON, "state": "done", "owner": "o", "lease_until": 0, "version": "v"}
        times = {"started_at": 1_000, "finished_at": 1_042}
        counts = {"queued": 7, "due": 9, "stage_seconds": {"judging": 12.5}}
        connection.execute(sa.insert(runs).values(**ended, **times, counts=counts))
    with served(site(database)) as connection:
        page = ask(connection, "/metrics")[1]
    assert "smr_last_run_seconds 42.0" in page
    assert 'smr_last_run_stage_seconds{stage="judging"} 12.5' in page
    assert "smr_last_run_queued 7.0" in page


def test_metrics_answer_while_the_database_is_away(tmp_path: Path) -> None:
    gone = open_database(f"sqlite:///{tmp_path}/gone.db")
    (tmp_path / "gone.db").write_bytes(b"this is no database, and long enough to be seen as none" * 20)
    with served(site(gone)) as connection:
        status, page = ask(connection, "/metrics")
    assert status == 200
    assert "smr_database_up 0.0" in page


def test_every_answer_keeps_a_page_in_its_frame(sqlite_database: Database) -> None:
    with served(site(sqlite_database)) as connection:
        connection.request("GET", "/nowhere")
        answer = connection.getresponse()
        answer.read()
    assert answer.status == 404
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "uvicorn" not in str(answer.headers).lower()


def _echo(_site: Site) -> list[BaseRoute]:
    async def echo(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    def broken(_request: Request) -> Response:
        raise ValueError("张三 13800138000 bought this")

    def slow(_request: Request) -> Response:
        time.sleep(0.5)
        return PlainTextResponse("slow")

    return [Route("/echo", echo, methods=["POST"]), Route("/broken", broken), Route("/slow", slow)]


def test_a_section_adds_its_routes(sqlite_database: Database) -> None:
    with served(site(sqlite_database), _echo) as connection:
        assert ask(connection, "/echo", "POST", b"hello") == (200, "5")
        assert ask(connection, "/echo")[0] == 405


def test_a_body_over_a_megabyte_is_refused(sqlite_database: Database) -> None:
    with served(site(sqlite_database), _echo) as connection:
        connection.putrequest("POST", "/echo")
        connection.putheader("Content-Length", "1000001")
        connection.endheaders()
        assert connection.getresponse().status == 413


def test_a_body_that_does_not_say_how_long_it_is_ends_at_a_megabyte(sqlite_database: Database) -> None:
    with served(site(sqlite_database), _echo) as connection:
        connection.putrequest("POST", "/echo")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        try:
            for _ in range(17):
                connection.send(piece)
            connection.send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert connection.getresponse().status == 413


@contextmanager
def raw(connection: HTTPConnection) -> Iterator[socket.socket]:
    """A bare connection to the same place."""
    with socket.create_connection((connection.host, connection.port), timeout=20) as wire:
        yield wire


@pytest.mark.parametrize(
    "path",
    [
        "/health/../../etc/passwd",
        "/health/%2e%2e/%2e%2e/etc/passwd",
        "/receipts/%00",
        "/receipts/" + "x" * 10_000,
        "/receipts/%ff%fe",
        "/unsubscribe/email/../config.yaml",
        "/unsubscribe/email/%0d%0aSet-Cookie:x",
        "//evil.example/health/live",
        "/static/../config.yaml",
        "/health/live/",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_path_that_leads_nowhere_is_not_found(sqlite_database: Database, method: str, path: str) -> None:
    with served(site(sqlite_database)) as connection:
        connection.request(method, path, b"")
        answer = connection.getresponse()
        told = answer.read().decode()
        assert answer.status in (404, 405)
        assert "Location" not in answer.headers
        assert "Set-Cookie" not in answer.headers
        assert "Traceback" not in told


@pytest.mark.parametrize(
    "asked",
    [
        "page=-1",
        "page=1e9&page=abc",
        "page=" + "9" * 20_000,
        "sort=password&order=sideways",
        "sort=name;DROP%20TABLE%20messages",
        "q=%25&q=_&q='&q=%00",
        "q=" + "%E7%8C%AB" * 3_000,
        "next=//evil.example",
        "next=https:evil&next=/%5Cevil",
        "lang=../../x&theme=%3Cscript%3E",
    ],
    ids=lambda asked: asked[:12],
)
@pytest.mark.parametrize("path", ["/health/live", "/nowhere"])
def test_what_stands_behind_the_question_mark_changes_no_answer(
    sqlite_database: Database, path: str, asked: str
) -> None:
    with served(site(sqlite_database)) as connection:
        assert ask(connection, f"{path}?{asked}") == ask(connection, path)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {
            "X-Forwarded-For": "127.0.0.1",
            "X-Forwarded-Host": "evil.example",
            "Forwarded": "host=evil.example",
        },
    ],
    ids=["host", "proxy"],
)
@pytest.mark.parametrize("path", ["/health/live", "/health/live/", "/nowhere"])
def test_no_answer_depends_on_the_host_that_a_caller_names(
    sqlite_database: Database, path: str, headers: dict[str, str]
) -> None:
    with served(site(sqlite_database)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        told = answer.read().decode()
        assert "evil" not in told + str(answer.headers)
        assert (answer.status, told) == ask(connection, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/health/live"),
        ("DELETE", "/metrics"),
        ("GET", "/receipts/webhook"),
        ("PUT", "/receipts/webhook"),
        ("TRACE", "/health/ready"),
        ("PATCH", "/unsubscribe/email/x"),
        ("BREW", "/health/live"),
    ],
)
def test_a_method_that_a_page_does_not_have_is_refused(
    sqlite_database: Database, method: str, path: str
) -> None:
    with served(site(sqlite_database)) as connection:
        connection.request(method, path, headers={"X-HTTP-Method-Override": "GET"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 405
        assert answer.headers["Allow"]


@pytest.mark.parametrize(
    "said",
    [
        b"rubbish\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /health/live HTTP/1.1\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000,
        b"POST /receipts/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /receipts/x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /receipts/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["rubbish", "TLS", "no host", "endless header", "two lengths", "minus", "no chunk"],
)
def test_what_is_no_request_is_answered_400_and_the_next_client_is_served(
    sqlite_database: Database, said: bytes
) -> None:
    with served(site(sqlite_database)) as connection:
        with raw(connection) as wire:
            with suppress(OSError):  # it may have been answered, and left, before it was through
                wire.sendall(said)
                wire.shutdown(socket.SHUT_WR)
            assert wire.recv(12) in (b"HTTP/1.1 400", b"HTTP/1.1 404")
        assert ask(connection, "/health/live")[0] == 200


def test_a_hundred_slow_clients_are_left_and_the_others_are_served(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PATIENCE", 0.5)
    with served(site(sqlite_database), _echo) as connection, ExitStack() as slow:
        wires = [slow.enter_context(raw(connection)) for _ in range(100)]
        for number, wire in enumerate(wires):
            begun = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhel"
            wire.sendall((b"", b"GET /hea", begun)[number % 3])
        for wire in wires:
            with suppress(ConnectionResetError):
                while wire.recv(1_000):
                    pass
        assert ask(connection, "/health/live")[0] == 200


def test_a_client_that_brings_one_byte_at_a_time_is_left(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PATIENCE", 0.3)
    with served(site(sqlite_database)) as connection, raw(connection) as wire, suppress(OSError):
        for _ in range(100):
            wire.sendall(b"G")
            time.sleep(0.02)
        pytest.fail("it was never left")


def test_an_answer_that_takes_long_is_waited_for(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PATIENCE", 0.1)
    with served(site(sqlite_database), _echo) as connection:
        assert ask(connection, "/slow") == (200, "slow")


def test_what_breaks_is_answered_without_details(sqlite_database: Database) -> None:
    with served(site(sqlite_database), _echo) as connection:
        status, told = ask(connection, "/broken")
    assert status == 500
    assert "张三" not in told
    assert "ValueError" not in told


def test_a_port_that_is_taken_is_told_by_its_setting(sqlite_database: Database) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OperatorError, match=r"daemon.listen: 127.0.0.1:\d+ cannot be listened on"):
            Server(build(site(sqlite_database)), "127.0.0.1", taken.getsockname()[1], grace=1)
