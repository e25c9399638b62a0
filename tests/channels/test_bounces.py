"""Bounces and complaints in a mailbox on a real IMAP server: what they tell, and what is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from smr import clock
from smr.channels import Polling, Probing, Receipt, ReceiptKind, open_channel
from smr.channels.email import mailbox
from smr.channels.email.bounces import EmailWithBounces
from smr.channels.email.channel import EmailChannel
from smr.channels.email.mail import name, token
from smr.channels.email.reports import told
from smr.database import Database
from smr.delivery import deliver
from smr.errors import ChannelError, FaultsError, Refusal
from smr.playbook import load_library
from smr.settings import Settings, load_settings
from smr.tables import addresses, channels, messages
from tests.channels.conformance import message
from tests.delivery.shop import Guards, settings_for
from tests.delivery.test_ladder import PLAYBOOK, reach
from tests.examples import many
from tests.outbox.rows import NOON, queue_for, the_message
from tests.providers import smtp
from tests.providers.imap import PASSWORD, USER
from tests.providers.start import Provider, under_tls

KEY = "a key for links of 32 characters"
NOW = clock.now()
K = ReceiptKind

BOUNCE = """\
From: Mail Delivery System <MAILER-DAEMON@mx.example>
To: post@shop.example
Subject: Undelivered Mail Returned to Sender
Date: {date}
Message-ID: <report-{number}@mx.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="=_b"

--=_b
Content-Type: text/plain

I'm sorry to have to inform you that your message could not be delivered.
--=_b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example
Arrival-Date: Mon, 23 Nov 2026 09:00:00 +0800

Final-Recipient: rfc822; member{number}@example.com
Action: {action}
Status: {status}
Remote-MTA: dns; in.example.com
Diagnostic-Code: {said}

--=_b
Content-Type: {returned}

{headers}
--=_b--
"""

COMPLAINT = """\
From: <complaints@mailbox.example>
To: post@shop.example
Date: {date}
Message-ID: <complaint-{number}@mailbox.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="=_c"

--=_c
Content-Type: text/plain

This is a report for a message received from 192.0.2.1.
--=_c
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1
Original-Rcpt-To: <member{number}@example.com>

--=_c
Content-Type: message/rfc822

{headers}
Hello
--=_c--
"""


def ours(number: int, channel: str = "email") -> str:
    """The headers by which a mail of ours is known."""
    named = name(KEY, channel, message(number).message_id)
    return f"From: post@shop.example\nMessage-ID: <{named}@shop.example>\n"


def date(minutes: float = 0) -> str:
    return f"{NOW - timedelta(minutes=minutes):%a, %d %b %Y %H:%M:%S} +0000"


def bounce(number: int, **changes: Any) -> str:
    given: dict[str, Any] = {
        "action": "failed",
        "status": "5.1.1",
        "said": "smtp; 550 5.1.1 <someone@example.com>: Recipient address rejected",
        "returned": "text/rfc822-headers",
        "headers": ours(number),
        "date": date(),
    } | changes
    return BOUNCE.format(number=number, **given)


def complaint(number: int, kind: str = "abuse", headers: str = "") -> str:
    return COMPLAINT.format(number=number, kind=kind, headers=headers or ours(number), date=date())


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Provider]:
    (tmp_path / "mailbox" / "mails").mkdir(parents=True)
    with under_tls("imap", tmp_path / "mailbox") as running:
        yield running


def put(inbox: Provider, uid: int, mail: str | bytes) -> None:
    content = mail.encode() if isinstance(mail, str) else mail
    (inbox.folder / "mails" / f"{uid:06}.eml").write_bytes(content.replace(b"\n", b"\r\n"))


def entry(inbox: Provider, **changes: Any) -> dict[str, Any]:
    bounces = {
        "host": "localhost",
        "port": str(inbox.port),
        "username": USER,
        "password": PASSWORD,
    } | changes
    return {
        "kind": "email",
        "host": "localhost",
        "ca_file": bounces.pop("ca_file", inbox.folder / "cert.pem"),
        "sender": "小林的店 <post@shop.example>",
        "unsubscribe_url": "https://smr.shop.example/",
        "unsubscribe_key": KEY,
        "bounces": bounces,
    }


def opened(inbox: Provider, **changes: Any) -> EmailWithBounces:
    channel = open_channel("email", Settings.model_validate({"channels": {"email": entry(inbox, **changes)}}))
    assert isinstance(channel, EmailWithBounces)
    return channel


def read(mail: str | bytes) -> Receipt | None:
    return told(mail.encode() if isinstance(mail, str) else mail, key=KEY, channel="email", now=NOW)


def commands(inbox: Provider) -> list[str]:
    return [line["command"] for line in inbox.log()]


def test_a_channel_with_a_mailbox_is_asked_and_one_without_is_not(inbox: Provider) -> None:
    channel = opened(inbox, every="90s")
    assert isinstance(channel, Polling)
    assert channel.poll_seconds == 90
    without = {**entry(inbox), "bounces": None}
    plain = open_channel("email", Settings.model_validate({"channels": {"email": without}}))
    assert isinstance(plain, EmailChannel)
    assert not isinstance(plain, Polling)


def test_anas_bounce_and_bens_complaint_become_receipts_and_a_letter_is_left_alone(inbox: Provider) -> None:
    put(inbox, 3, bounce(1))
    put(inbox, 4, "From: cleo@example.com\nSubject: thank you\n\nHello, this is no report.\n")
    put(inbox, 7, complaint(2))
    polled = opened(inbox).poll("", NOW)
    ana, ben = polled.receipts
    assert (ana.kind, ana.message_id, ana.dead_address) == (K.UNDELIVERED, message(1).message_id, True)
    assert (ben.kind, ben.message_id, ben.dead_address) == (K.COMPLAINED, message(2).message_id, False)
    assert polled.cursor == "1:7"
    assert "@example.com" not in f"{ana} {ben}"


def test_anas_mail_comes_back_and_she_gets_a_text_message_instead(
    inbox: Provider, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "refill.yaml").write_text(
        PLAYBOOK.replace("[wecom, sms, email]", "[email, sms]")
    )
    queue_for(database, ["ana"], channel="email")
    reach(database, "ana", "email", address="ana@example.com")
    reach(database, "ana", "sms")
    with database.write() as connection:
        connection.execute(sa.update(messages).values(address="ana@example.com"))
    with under_tls("smtp", tmp_path / "mail") as post:
        login = {"port": str(post.port), "username": smtp.USER, "password": smtp.PASSWORD}
        mail = {**entry(inbox), "ca_file": post.folder / "cert.pem", **login}
        settings = settings_for(tmp_path / "out", channels={"email": mail, "sms": {}})
        library = load_library(tmp_path / "playbooks", settings)

        def a_round() -> Any:
            with database.write() as connection:
                connection.execute(sa.update(channels).values(poll_after=0))
            deliver(database, library, settings, now=NOON, owner="w", recheck=Guards())
            return the_message(database, "ana")

        assert a_round().state == "sent"
        (sent,) = post.log()
        headers = "".join(f"{name}: {sent['headers'][name]}\n" for name in ("Message-ID", "From"))
        put(inbox, 1, bounce(1, headers=headers))
        assert (a_round().state, a_round().channel) == ("sent", "sms")
    with database.read() as connection:
        dead = sa.select(addresses.c.channel).where(addresses.c.undeliverable_since.is_not(None))
        assert list(connection.scalars(dead)) == ["email"]


def test_a_try_looks_whether_the_mailbox_can_be_opened_too(inbox: Provider, tmp_path: Path) -> None:
    with under_tls("smtp", tmp_path / "mail") as post:
        login = {"port": str(post.port), "username": smtp.USER, "password": smtp.PASSWORD}

        def tried(**changes: Any) -> None:
            mail = {**entry(inbox, **changes), **login}
            channel = open_channel("email", Settings.model_validate({"channels": {"email": mail}}))
            assert isinstance(channel, Probing)
            channel.probe()

        tried()
        with pytest.raises(ChannelError, match="the mailbox for bounces refused the login"):
            tried(password="-".join(("not", "this")))
        assert post.log() == []


def test_nothing_is_marked_and_only_reports_are_fetched(inbox: Provider) -> None:
    put(inbox, 3, "From: cleo@example.com\nSubject: thank you\n\nHello.\n")
    put(inbox, 4, bounce(1))
    opened(inbox).poll("", NOW)
    words = [command.upper() for command in commands(inbox)]
    assert words[1:3] == ["LOGIN", "EXAMINE INBOX"]
    assert words[-1] == "LOGOUT"
    assert [word for word in words if "BODY" in word and "PEEK" not in word] == []
    assert [word.split()[2] for word in words if "BODY.PEEK[]" in word] == ["4"]


def test_the_next_look_begins_where_the_last_one_ended(inbox: Provider) -> None:
    put(inbox, 5, bounce(1))
    channel = opened(inbox)
    first = channel.poll("", NOW)
    again = channel.poll(first.cursor, NOW)
    assert (again.receipts, again.cursor) == ([], first.cursor)
    put(inbox, 6, bounce(2))
    assert [one.message_id for one in channel.poll(first.cursor, NOW).receipts] == [message(2).message_id]


def test_a_mailbox_that_was_numbered_anew_is_read_again_and_tells_the_same(inbox: Provider) -> None:
    put(inbox, 50, bounce(1))
    channel = opened(inbox)
    before = channel.poll("", NOW)
    (inbox.folder / "mails" / "000050.eml").rename(inbox.folder / "mails" / "000002.eml")
    (inbox.folder / "validity").write_text("77")
    after = channel.poll(before.cursor, NOW)
    assert after.cursor == "77:2"
    assert after.receipts == before.receipts


def test_many_reports_are_read_some_at_a_time(inbox: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "MOST_REPORTS", 4)
    monkeypatch.setattr(mailbox, "MOST_SEEN", 7)
    monkeypatch.setattr(mailbox, "READ", 2)
    for number in range(1, 11):
        put(inbox, number, bounce(number))
    channel, cursor, found = opened(inbox), "", []
    for _ in range(4):
        polled = channel.poll(cursor, NOW)
        assert len(polled.receipts) <= 4
        found += [one.message_id for one in polled.receipts]
        cursor = polled.cursor
    assert found == [message(number).message_id for number in range(1, 11)]


def test_a_mail_that_the_server_cannot_read_does_not_keep_the_others(inbox: Provider) -> None:
    for number in (1, 2, 3):
        put(inbox, number, bounce(number))
    inbox.mode("poison 2")
    polled = opened(inbox).poll("", NOW)
    assert [one.message_id for one in polled.receipts] == [message(1).message_id, message(3).message_id]
    assert polled.cursor == "1:3"


def test_of_a_huge_report_the_beginning_is_read(inbox: Provider) -> None:
    put(inbox, 1, bounce(1, returned="message/rfc822", headers=ours(1) + "\n" + "x" * 70 + "\n" * 400_000))
    assert [one.kind for one in opened(inbox).poll("", NOW).receipts] == [K.UNDELIVERED]


@pytest.mark.parametrize(
    ("changes", "refusal", "words"),
    [
        ({"password": "wrong"}, Refusal.UNAUTHORIZED, "refused the login"),
        ({"folder": "Bounces here"}, Refusal.UNAVAILABLE, "no folder 'Bounces here'"),
        ({"ca_file": None}, Refusal.UNAVAILABLE, "certificate"),
        ({"port": "1"}, Refusal.UNAVAILABLE, "cannot be reached"),
    ],
    ids=["wrong password", "no such folder", "a certificate nobody vouches for", "nobody there"],
)
def test_a_mailbox_that_cannot_be_opened_is_told_without_its_password(
    inbox: Provider, changes: dict[str, Any], refusal: Refusal, words: str
) -> None:
    with pytest.raises(ChannelError, match=words) as caught:
        opened(inbox, **changes).poll("", NOW)
    assert caught.value.refusal is refusal
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "mode", ["drop capability", "drop login", "drop examine", "drop search", "drop fetch", "huge"]
)
def test_a_server_that_goes_away_is_told_and_asked_again_later(inbox: Provider, mode: str) -> None:
    put(inbox, 1, bounce(1))
    channel = opened(inbox)
    inbox.mode(mode)
    with pytest.raises(ChannelError) as caught:
        channel.poll("", NOW)
    assert caught.value.refusal is Refusal.UNAVAILABLE
    assert not caught.value.permanent
    inbox.mode("ok")
    assert len(channel.poll("", NOW).receipts) == 1


def test_a_server_that_answers_byte_by_byte_is_left_when_the_time_is_over(
    inbox: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "SECONDS", 1)
    inbox.mode("drip")
    began = clock.monotonic()
    with pytest.raises(ChannelError):
        opened(inbox).poll("", NOW)
    assert clock.monotonic() - began < 5


@pytest.mark.parametrize(
    ("action", "status", "said", "kind", "dead"),
    [
        ("failed", "5.1.1", "smtp; 550 5.1.1 user unknown", K.UNDELIVERED, True),
        ("failed", "5.1.10", "smtp; 556 5.1.10 null MX", K.UNDELIVERED, True),
        ("Failed (no such user)", "5.1.2", "", K.UNDELIVERED, True),
        ("failed", "5.0.0", "smtp; 550 no such user here", K.UNDELIVERED, True),
        ("failed", "5.0.0", "smtp; 550-5.1.1 The account does not exist", K.UNDELIVERED, True),
        ("failed", "5.0.0", "smtp; 550 5.7.1 blocked as spam", K.UNDELIVERED, False),
        ("failed", "5.0.0", "smtp; 554 refused", K.UNDELIVERED, False),
        ("failed", "5.0.0", "", K.UNDELIVERED, False),
        ("failed", "5.1.8", "smtp; 550 5.1.8 sender rejected", K.UNDELIVERED, False),
        ("failed", "5.2.2", "smtp; 552 5.2.2 mailbox full", K.UNDELIVERED, False),
        ("failed", "5.7.1", "smtp; 550 5.7.1 policy", K.UNDELIVERED, False),
        ("failed", "4.4.1", "smtp; connection timed out", K.UNDELIVERED, False),
        ("failed", "nonsense", "", K.UNDELIVERED, False),
        ("delivered", "2.0.0", "smtp; 250 ok", K.DELIVERED, False),
        ("delayed", "4.4.1", "", None, False),
        ("relayed", "2.0.0", "", None, False),
        ("expanded", "2.0.0", "", None, False),
        ("whatever", "5.1.1", "", None, False),
    ],
)
def test_a_delivery_status_is_taken_for_what_it_is(
    action: str, status: str, said: str, kind: ReceiptKind | None, dead: bool
) -> None:
    found = read(bounce(1, action=action, status=status, said=said))
    assert (None if found is None else (found.kind, found.dead_address)) == (kind and (kind, dead))


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        ("abuse", K.COMPLAINED),
        ("fraud", K.COMPLAINED),
        ("opt-out", K.OPTED_OUT),
        ("not-spam", None),
        ("auth-failure", None),
    ],
)
def test_a_complaint_is_one_only_where_the_reader_complains(kind: str, taken: ReceiptKind | None) -> None:
    found = read(complaint(1, kind))
    assert (None if found is None else found.kind) == taken


@pytest.mark.parametrize(
    "headers",
    [
        "Message-ID:\n <{name}@shop.example>\n",
        "message-id: <{name}@shop.example>\nSubject: =?utf-8?b?8J+YgA==?=\n",
        "Message-ID: <0100018c@eu-west-1.provider.example>\n"
        "List-Unsubscribe: <https://smr.shop.example/unsubscribe/email/{token}>\n",
        "Message-ID: <0100018c@provider.example>\nX-Original-Message-ID: <{name}@shop.example>\n",
    ],
    ids=["folded", "in lower case", "replaced, with our link", "replaced, with the original beside it"],
)
@pytest.mark.parametrize("returned", ["text/rfc822-headers", "message/rfc822"])
def test_our_message_is_found_however_its_headers_come_back(headers: str, returned: str) -> None:
    mine = message(1).message_id
    given = headers.format(name=name(KEY, "email", mine), token=token(KEY, "email", mine))
    found = read(bounce(1, headers=given, returned=returned))
    assert found is not None
    assert found.message_id == mine


@pytest.mark.parametrize(
    "headers",
    [
        f"Message-ID: <{message(1).message_id}@shop.example>\n",
        f"Message-ID: <{message(1).message_id}.{'0' * 16}@shop.example>\n",
        ours(1, channel="newsletter"),
        "Subject: nothing else\n",
    ],
    ids=["without a signature", "with a wrong one", "of another channel", "without a name"],
)
def test_nobody_can_make_up_a_bounce(headers: str) -> None:
    assert read(bounce(1, headers=headers)) is None
    assert read(complaint(1, headers=headers)) is None


def test_the_same_report_is_told_alike_and_another_one_is_another(inbox: Provider) -> None:
    first, same, other = read(bounce(1)), read(bounce(1)), read(bounce(1).replace("report-1", "report-9"))
    assert first == same
    assert first is not None
    assert other is not None
    assert first.receipt_id != other.receipt_id


def test_a_time_that_cannot_be_is_not_believed() -> None:
    timely = read(bounce(1, date=date(minutes=90)))
    assert timely is not None
    assert timely.at == NOW - timedelta(minutes=90)
    for odd in (date(minutes=-90), "Mon, 1 Jan 1990 00:00:00 +0000", "Thu, 99 Xyz 0000", ""):
        found = read(bounce(1, date=odd))
        assert found is not None
        assert found.at == NOW


@given(st.binary(max_size=2_000))
@tried(max_examples=many(300), deadline=None)
def test_rubbish_tells_nothing(rubbish: bytes) -> None:
    assert read(rubbish) is None
    assert read(b"Content-Type: multipart/report; boundary=b\n\n--b\n" + rubbish) is None


@given(st.data())
@tried(max_examples=many(400), deadline=None)
def test_a_broken_report_tells_what_it_told_or_nothing(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([bounce(1), complaint(1)])).encode()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    broken = whole[:start] + data.draw(st.binary(max_size=30)) + whole[end:]
    found = read(broken)
    assert found is None or found.message_id == message(1).message_id


def test_a_report_of_many_parts_in_parts_is_not_taken_apart() -> None:
    deep = b"".join(b"Content-Type: multipart/report; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3_000))
    began = clock.monotonic()
    assert read(deep) is None
    assert clock.monotonic() - began < 1


def test_rubbish_in_the_mailbox_does_not_keep_what_lies_beside_it(inbox: Provider) -> None:
    rubbish = (
        b"",
        b"\x00\xff",
        b"Content-Type: multipart/report",
        b"Content-Type: multipart/report\n\n\x80)\r\n",
    )
    for uid, mail in enumerate(rubbish, 1):
        put(inbox, uid, mail)
    put(inbox, 9, bounce(1))
    assert [one.message_id for one in opened(inbox).poll("rubbish", NOW).receipts] == [message(1).message_id]


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("port", "0", "range"),
        ("tls", "none", "unknown_value"),
        ("folder", "退信", "bad_text"),
        ("password", "密码", "bad_text"),
        ("every", "5 minutes", "duration_invalid"),
        ("every", "1s", "range"),
        ("mailbox", "x", "unknown_key"),
    ],
)
def test_faults_of_the_configuration(tmp_path: Path, key: str, value: str, code: str) -> None:
    bounces = {"host": "imap.example", "username": "post", "password": "secret-one", key: value}
    lines = "".join(f"      {one}: '{said}'\n" for one, said in bounces.items())
    config = tmp_path / "config.yaml"
    config.write_text(
        "channels:\n  email:\n    kind: email\n    host: mail.example\n    sender: a <post@shop.example>\n"
        "    unsubscribe_url: https://smr.shop.example\n    unsubscribe_key: " + "k" * 40 + "\n"
        "    bounces:\n" + lines
    )
    with pytest.raises(FaultsError, match=code) as caught:
        load_settings(config, {})
    assert "secret-one" not in str(caught.value)
    assert "密码" not in str(caught.value)
