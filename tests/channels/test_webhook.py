"""The webhook channel against an endpoint in its own process: each fault, and what it is taken for."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from smr.channels import Accepted, Call, CallRefusedError, ReceiptKind, Refused, open_channel
from smr.channels.http.networks import may_connect, networks
from smr.channels.http.retry_after import retry_after
from smr.channels.webhook.channel import WebhookChannel
from smr.channels.webhook.signature import is_good, key_of, sign
from smr.clock import seconds
from smr.errors import FaultsError, Refusal
from smr.settings import Settings, load_settings
from tests.channels.conformance import Conformance, message
from tests.providers.start import Provider, started
from tests.providers.webhook import KEY, SECRET

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


def opened(port: int, **changes: Any) -> WebhookChannel:
    entry = {
        "kind": "webhook",
        "url": f"http://127.0.0.1:{port}/hook",
        "secret": SECRET,
        "allow": ["127.0.0.0/8"],
        "timeout": "1",
    } | changes
    channel = open_channel("crm", Settings.model_validate({"channels": {"crm": entry}}))
    assert isinstance(channel, WebhookChannel)
    return channel


class WebhookStage:
    """The channel and its endpoint."""

    secrets = (SECRET, SECRET[6:], KEY.decode())

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.port = provider.port

    def open(self) -> WebhookChannel:
        return opened(self.port)

    def received(self) -> list[str]:
        return [one["id"] for one in self.provider.log() if one["taken"] and not one["again"]]

    def break_before(self) -> None:
        self.provider.mode("status 503")

    def break_after(self) -> bool:
        self.provider.mode("cut")
        return True


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    with started("webhook", tmp_path / "endpoint") as running:
        yield running


class TestConformance(Conformance):
    @pytest.fixture
    def stage(self, provider: Provider) -> WebhookStage:
        return WebhookStage(provider)


@pytest.mark.parametrize(
    ("mode", "refusal", "permanent"),
    [
        ("status 500", Refusal.IN_DOUBT, False),
        ("status 502", Refusal.IN_DOUBT, False),
        ("status 504", Refusal.IN_DOUBT, False),
        ("status 503", Refusal.UNAVAILABLE, False),
        ("status 429 30", Refusal.THROTTLED, False),
        ("status 400", Refusal.REJECTED, True),
        ("status 413", Refusal.REJECTED, True),
        ("status 401", Refusal.UNAUTHORIZED, False),
        ("status 403", Refusal.UNAUTHORIZED, False),
        ("status 404", Refusal.UNAUTHORIZED, False),
        ("status 410", Refusal.UNAUTHORIZED, False),
        ("redirect http://127.0.0.1:1/", Refusal.UNAUTHORIZED, False),
        ("cut", Refusal.IN_DOUBT, False),
        ("half", Refusal.IN_DOUBT, False),
        ("silence", Refusal.IN_DOUBT, False),
        ("drip", Refusal.IN_DOUBT, False),
        ("headers", Refusal.IN_DOUBT, False),
    ],
)
def test_each_fault_is_taken_for_what_it_is(
    provider: Provider, mode: str, refusal: Refusal, permanent: bool
) -> None:
    provider.mode(mode)
    channel = opened(provider.port)
    began = time.monotonic()
    (result,) = channel.send([message(1)])
    channel.close()
    assert isinstance(result, Refused)
    assert (result.refusal, result.permanent) == (refusal, permanent)
    assert time.monotonic() - began < 5, "the whole call has a time limit, however the bytes drip"


@pytest.mark.parametrize("mode", ["ok", "html", "status 204", "huge"])
def test_any_2xx_is_taken_as_accepted_and_of_a_huge_answer_only_the_beginning_is_read(
    provider: Provider, mode: str
) -> None:
    provider.mode(mode)
    channel = opened(provider.port)
    assert channel.send([message(1)]) == [Accepted()]
    channel.close()


def test_nobody_there_is_surely_not_sent(provider: Provider) -> None:
    channel = opened(1)
    (result,) = channel.send([message(1)])
    assert isinstance(result, Refused)
    assert result.refusal is Refusal.UNAVAILABLE


def test_the_id_stays_and_the_signature_is_good(provider: Provider) -> None:
    channel = opened(provider.port)
    channel.send([message(1)])
    channel.send([message(1, attempt=2)])
    channel.close()
    first, second = provider.log()
    assert first["signed"] and second["signed"]
    assert first["id"] == second["id"] == message(1).message_id
    assert (first["again"], second["again"]) == (False, True)
    data = first["body"]["data"]
    assert data["text"] == message(1).text
    assert data["address"] == "member1@example.com"
    assert first["body"]["timestamp"] == "2026-11-23T01:00:00Z"


def test_while_a_secret_is_replaced_both_sign(provider: Provider) -> None:
    fresh = "whsec_" + base64.b64encode(b"n" * 32).decode()
    channel = opened(provider.port, secret=fresh, old_secret=SECRET)
    channel.send([message(1)])
    channel.close()
    assert provider.log()[0]["signed"]


def test_the_signature_agrees_with_the_published_example() -> None:
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signed = sign([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    at = datetime.fromtimestamp(1614265330, UTC)
    good = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330")
    assert is_good([key], *good, f"v1,AAAA {signed} v1a,x", body, now=at + timedelta(seconds=300))
    assert not is_good([key], *good, signed, body, now=at + timedelta(seconds=301))
    assert not is_good([key], *good, signed, body, now=at - timedelta(seconds=301))
    assert not is_good([key], *good, signed, body + b" ", now=at)
    assert not is_good([key], *good, signed.replace("v1,", "v1a,"), body, now=at)
    assert not is_good([key_of(SECRET)], *good, signed, body, now=at)
    assert not is_good([key], "a.b", good[1], signed, body, now=at)
    assert not is_good([key], good[0], "soon", signed, body, now=at)


@pytest.mark.parametrize(
    ("stated", "wait"),
    [
        ("30", 30),
        ("Mon, 23 Nov 2026 04:02:00 GMT", 120),
        ("Mon, 23 Nov 2020 04:02:00 GMT", 0),
        ("-5", 0),
        ("1000000000", 86_400),
        ("soon", 0),
        ("", 0),
        ("Mon, 99 Nov 2026 04:02:00 GMT", 0),
    ],
)
def test_retry_after_in_all_its_forms(stated: str, wait: float) -> None:
    assert retry_after({"retry-after": stated}, NOW) == wait


INSIDE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200", "0.0.0.0",  # noqa: S104
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.0.8", "192.88.99.1", "198.18.0.1", "::1", "::",
    "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
    "2002:7f00:1::", "2001::1", "fe80::1%eth0",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_no_address_inside_may_be_connected_to(address: str) -> None:
    assert not may_connect(address, [])


@pytest.mark.parametrize("address", ["8.8.8.8", "47.96.0.1", "2606:4700::1111"])
def test_public_addresses_may(address: str) -> None:
    assert may_connect(address, [])


def test_an_allowed_network_may_also_in_the_clothes_of_ipv6() -> None:
    assert may_connect("10.1.2.3", networks(["10.0.0.0/8"]))
    assert may_connect("::ffff:10.1.2.3", networks(["10.0.0.0/8"]))
    assert not may_connect("10.1.2.3", networks(["192.168.0.0/16"]))


NAMES = ["localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "①②⑦.⓪.⓪.①", "[::ffff:127.0.0.1]"]


@pytest.mark.parametrize("host", NAMES)
def test_a_name_that_leads_inside_is_never_connected_to(provider: Provider, host: str) -> None:
    try:
        channel = opened(provider.port, url=f"http://{host}:{provider.port}/", allow=["203.0.113.0/24"])
    except ValidationError:
        return
    (result,) = channel.send([message(1)])
    channel.close()
    assert isinstance(result, Refused)
    assert result.refusal is Refusal.UNAVAILABLE
    assert provider.log() == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "https://127.0.0.1/", "https://169.254.169.254/latest", "http://example.com/",
        "https://[::1]/", "file:///etc/passwd", "gopher://example.com/", "https://user:pw@example.com/",
        "https://a@127.0.0.1/", "https://", "https://example.com:8443/", "https://example.com:99999/", "hook",
    ],
)  # fmt: skip
def test_a_url_that_may_not_be_called_is_a_fault_of_the_configuration(tmp_path: Path, url: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"channels:\n  crm: {{kind: webhook, url: '{url}', secret: {SECRET}}}\n")
    with pytest.raises(FaultsError, match="url_not_allowed"):
        load_settings(config, {})


@pytest.mark.parametrize("secret", ["changeme", "whsec_", "whsec_c2hvcnQ=", "whsec_***"])
def test_a_weak_secret_is_a_fault_and_is_not_repeated(tmp_path: Path, secret: str) -> None:
    config = tmp_path / "config.yaml"
    entry = f"{{kind: webhook, url: 'https://example.com', secret: '{secret}'}}"
    config.write_text(f"channels:\n  crm: {entry}\n")
    with pytest.raises(FaultsError, match="secret_invalid") as caught:
        load_settings(config, {})
    assert len(secret) < 8 or secret not in str(caught.value)


def test_unknown_and_missing_keys_are_named_with_their_place(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("channels:\n  crm: {kind: webhook, uri: 'https://example.com'}\n")
    with pytest.raises(FaultsError) as caught:
        load_settings(config, {})
    assert "did you mean 'url'" in str(caught.value)
    assert "the keys url, secret are missing" in str(caught.value)


def receipt_call(
    told: Any, *, at: datetime = NOW, key: bytes = KEY, receipt_id: str = "r1", **changed: str
) -> Call:
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    stamp = seconds(at)
    headers = {
        "webhook-id": receipt_id,
        "webhook-timestamp": changed.get("stamp", str(stamp)),
        "webhook-signature": changed.get("signature", sign([key], receipt_id, stamp, body)),
    }
    return Call("POST", "", "", headers, body)


def test_the_endpoint_may_tell_what_became_of_a_message() -> None:
    told = {
        "type": "message.delivered",
        "data": {"message_id": "m1"},
        "timestamp": "2026-11-23T11:00:00+08:00",
    }
    (receipt,) = opened(1).receive(receipt_call(told), NOW)
    assert (receipt.receipt_id, receipt.kind, receipt.message_id) == ("r1", ReceiptKind.DELIVERED, "m1")
    assert receipt.at == datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def test_while_a_secret_is_replaced_one_good_signature_of_two_is_enough() -> None:
    told = {"type": "message.delivered", "data": {"message_id": "m1"}, "timestamp": "2026-11-23T03:00:00Z"}
    stamp, body = seconds(NOW), json.dumps(told).encode()
    both = f"{sign([b'x' * 32], 'r1', stamp, body)} v1a,unknown {sign([KEY], 'r1', stamp, body)}"
    assert len(opened(1).receive(receipt_call(told, signature=both), NOW)) == 1


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (receipt_call({"type": "message.delivered", "data": {}}, key=b"x" * 32), 401),
        (receipt_call({"type": "message.delivered", "data": {}}, at=NOW - timedelta(minutes=6)), 401),
        (receipt_call({"type": "message.delivered", "data": {}}, at=NOW + timedelta(minutes=6)), 401),
        *((receipt_call({}, stamp=odd), 401) for odd in ("", "soon", "-1", "9" * 40, "1e9", "١٢٣")),
        *((receipt_call({}, receipt_id=odd), 401) for odd in ("", "r.1", "r\n1", "r" * 300, "é")),
        *((receipt_call({}, signature=odd), 401) for odd in ("", "v1,", "v1a,abc", "v9,abc", "v1,é", ", ,")),
        *((receipt_call(odd), 422) for odd in (b"", b"null", b"[]", b"{", b"NaN", b"\xff", b"[" * 60_000)),
        (Call("POST", "", "", {}, b"{}"), 401),
        (receipt_call({"type": "message.exploded", "data": {}}), 422),
        (receipt_call({"type": "message.delivered"}), 422),
        (receipt_call({"type": "message.delivered", "data": [], "timestamp": "x"}), 422),
    ],
)
def test_a_call_that_is_not_signed_or_not_understood_is_refused(call: Call, status: int) -> None:
    with pytest.raises(CallRefusedError) as caught:
        opened(1).receive(call, NOW)
    assert caught.value.status == status
