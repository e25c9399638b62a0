"""The email channel against a mail server in its own process: each stage, and what it is taken for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smr.channels import Accepted, Refused, open_channel
from smr.channels.email.channel import EmailChannel
from smr.channels.email.mail import message_in, message_of, name, token
from smr.errors import ChannelError, FaultsError, Refusal
from smr.settings import Settings, load_settings
from tests.channels.conformance import Conformance, message
from tests.providers.smtp import PASSWORD, USER
from tests.providers.start import Provider, under_tls

KEY = "a key for links of 32 characters"


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    with under_tls("smtp", tmp_path / "mail") as running:
        yield running


def opened(provider: Provider, **changes: Any) -> EmailChannel:
    entry = {
        "kind": "email",
        "host": "localhost",
        "port": str(provider.port),
        "ca_file": provider.folder / "cert.pem",
        "username": USER,
        "password": PASSWORD,
        "sender": "小林的店 <post@shop.example>",
        "unsubscribe_url": "https://smr.shop.example/",
        "unsubscribe_key": KEY,
        "timeout": "2",
    } | changes
    channel = open_channel("email", Settings.model_validate({"channels": {"email": entry}}))
    assert isinstance(channel, EmailChannel)
    return channel


class MailStage:
    """The channel and its server."""

    secrets = (PASSWORD, KEY)

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def open(self) -> EmailChannel:
        return opened(self.provider)

    def received(self) -> list[str]:
        return [one["id"] for one in self.provider.log()]

    def break_before(self) -> None:
        self.provider.mode("mail 451")

    def break_after(self) -> bool:
        self.provider.mode("drop dot")
        return True


class TestConformance(Conformance):
    @pytest.fixture
    def stage(self, provider: Provider) -> MailStage:
        return MailStage(provider)


@pytest.mark.parametrize(
    ("mode", "refusal", "permanent"),
    [
        ("mail 451", Refusal.UNAVAILABLE, False),
        ("mail 550", Refusal.REJECTED, True),
        ("rcpt 450", Refusal.UNAVAILABLE, False),
        ("rcpt 550", Refusal.UNREACHABLE, True),
        ("rcpt 554", Refusal.REJECTED, True),
        ("data 451", Refusal.UNAVAILABLE, False),
        ("data 554", Refusal.REJECTED, True),
        ("dot 451", Refusal.UNAVAILABLE, False),
        ("dot 552", Refusal.REJECTED, True),
        ("mail 421", Refusal.THROTTLED, False),
        ("drop mail", Refusal.UNAVAILABLE, False),
        ("drop rcpt", Refusal.UNAVAILABLE, False),
        ("drop dot", Refusal.IN_DOUBT, False),
        ("silent", Refusal.IN_DOUBT, False),
    ],
)
def test_each_stage_is_taken_for_what_it_is(
    provider: Provider, mode: str, refusal: Refusal, permanent: bool
) -> None:
    provider.mode(mode)
    (result,) = opened(provider).send([message(1)])
    assert isinstance(result, Refused)
    assert (result.refusal, result.permanent) == (refusal, permanent)
    assert len(provider.log()) == (mode in ("drop dot", "silent"))


def test_one_refused_address_does_not_keep_the_others(provider: Provider) -> None:
    channel = opened(provider)
    odd = [message(1), message(2, address="no address"), message(3, subject="two\nlines"), message(4)]
    results = channel.send(odd)
    assert [type(result) for result in results] == [Accepted, Refused, Refused, Accepted]


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"password": "wrong"}, Refusal.UNAUTHORIZED),
        ({"ca_file": None}, Refusal.UNAVAILABLE),
        ({"port": "1"}, Refusal.UNAVAILABLE),
        ({"tls": "tls"}, Refusal.UNAVAILABLE),
    ],
    ids=["wrong password", "a certificate nobody vouches for", "nobody there", "no TLS from the start"],
)
def test_without_a_trusted_connection_nothing_is_sent(
    provider: Provider, changes: dict[str, Any], refusal: Refusal
) -> None:
    with pytest.raises(ChannelError) as caught:
        opened(provider, **changes).send([message(1)])
    assert caught.value.refusal is refusal
    assert PASSWORD not in str(caught.value)
    assert provider.log() == []


def test_a_mail_has_text_and_html_and_the_headers_of_one_click(provider: Provider) -> None:
    rich = message(
        7,
        html="<p>洁面快用完了</p>",
        attachments=[{"link": {"title": "再来一支", "url": "https://s.example/r"}}],
    )
    assert opened(provider).send([rich]) == [Accepted()]
    (mail,) = provider.log()
    headers = mail["headers"]
    assert headers["Message-ID"] == f"<{name(KEY, 'email', rich.message_id)}@shop.example>"
    assert headers["From"] == "小林的店 <post@shop.example>"
    assert headers["To"] == "member7@example.com"
    assert headers["Subject"] == "补货提醒"
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = f"https://smr.shop.example/unsubscribe/email/{token(KEY, 'email', rich.message_id)}"
    assert headers["List-Unsubscribe"] == f"<{link}>"
    assert "再来一支 https://s.example/r" in mail["parts"]["text/plain"]
    assert link in mail["parts"]["text/plain"]
    assert link in mail["parts"]["text/html"]


def test_a_line_of_one_dot_arrives_as_it_was(provider: Provider) -> None:
    opened(provider).send([message(1, text="first\n.\n..\nlast")])
    assert provider.log()[0]["parts"]["text/plain"].startswith("first\n.\n..\nlast\n")


def test_a_link_is_known_by_its_signature_only() -> None:
    made = token(KEY, "email", message(1).message_id)
    assert message_of(KEY, "email", made) == message(1).message_id
    assert message_of(KEY, "other", made) is None
    assert message_of(KEY + "x", "email", made) is None
    other = message(2).message_id
    assert message_of(KEY, "email", other + made[32:]) is None
    assert message_of(KEY, "email", re.sub(".$", "", made)) is None


def test_a_mail_of_ours_is_known_by_its_signed_message_id_or_by_its_link() -> None:
    ours, other = message(1).message_id, message(2).message_id
    named = f"<{name(KEY, 'email', ours)}@shop.example>"
    assert message_in(KEY, "email", named) == ours
    assert message_in(KEY, "email", f"<https://s.example/u/{token(KEY, 'email', ours)}>") == ours
    for strange in (named.replace(ours, other), f"<{ours}@shop.example>", named[:20], ""):
        assert message_in(KEY, "email", strange) is None
    assert message_in(KEY, "other", named) is None


def test_a_long_name_of_a_shop_keeps_its_message_id_whole(provider: Provider) -> None:
    long = f"a <post@{'shop.' * 12}example>"
    assert opened(provider, sender=long).send([message(1)]) == [Accepted()]
    assert message_in(KEY, "email", provider.log()[0]["headers"]["Message-ID"]) == message(1).message_id


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("unsubscribe_key", "short", "secret_invalid"),
        ("unsubscribe_url", "http://shop.example", "url_not_allowed"),
        ("sender", "nobody", "address_invalid"),
        ("port", "70000", "range"),
        ("unknown", "ask", None),
    ],
)
def test_faults_of_the_configuration(tmp_path: Path, key: str, value: str, code: str | None) -> None:
    entry = {
        "kind": "email",
        "host": "mail.example",
        "sender": "a <post@shop.example>",
        "unsubscribe_url": "https://smr.shop.example",
        "unsubscribe_key": "k" * 40,
        key: value,
    }
    config = tmp_path / "config.yaml"
    config.write_text("channels:\n  email:\n" + "".join(f"    {k}: '{v}'\n" for k, v in entry.items()))
    if code is None:
        from smr.errors import OperatorError

        with pytest.raises(OperatorError, match="cannot be asked"):
            open_channel("email", load_settings(config, {}))
        return
    with pytest.raises(FaultsError, match=code) as caught:
        load_settings(config, {})
    assert "kkkk" not in str(caught.value)
