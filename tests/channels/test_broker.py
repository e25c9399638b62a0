"""The broker channel against real brokers: what is confirmed, what is not, and what is in doubt."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

from smr.channels import Accepted, Refused, UnknownPolicy, open_channel
from smr.channels.broker.channel import BrokerChannel
from smr.channels.document import document
from smr.errors import ChannelError, FaultsError, Refusal
from smr.settings import Settings, load_settings
from tests.channels.conformance import Conformance, message
from tests.providers.brokers import BROKERS, JetStream, RabbitMQ, RealBroker, Redis
from tests.providers.proxy import Proxy

pytest.importorskip("faststream", reason="smr[broker] is not installed")

DOCUMENT = b"message.send"
"""Stands in the bytes of every message, and in nothing else that goes to a broker."""

NOTICED = 0.2
"""Seconds after which a library knows that its connection was cut; before that, messages are in doubt."""


def opened(entry: dict[str, Any]) -> BrokerChannel:
    channel = open_channel("queue", Settings.model_validate({"channels": {"queue": entry}}))
    assert isinstance(channel, BrokerChannel)
    return channel


def made(broker: RealBroker) -> Iterator[Any]:
    broker.make()
    yield broker
    with suppress(Exception):
        broker.drop()


@pytest.fixture(params=list(BROKERS))
def broker(request: pytest.FixtureRequest) -> Iterator[RealBroker]:
    yield from made(BROKERS[request.param]())


@pytest.fixture
def rabbitmq() -> Iterator[RabbitMQ]:
    yield from made(RabbitMQ())


@pytest.fixture
def jetstream() -> Iterator[JetStream]:
    yield from made(JetStream())


@pytest.fixture
def redis() -> Iterator[Redis]:
    yield from made(Redis())


@pytest.fixture
def proxy(broker: RealBroker) -> Iterator[Proxy]:
    between = Proxy(broker.server)
    yield between
    between.close()


@pytest.fixture
def channel(broker: RealBroker) -> Iterator[BrokerChannel]:
    channel = opened(broker.entry())
    yield channel
    channel.close()


@pytest.fixture
def by_proxy(broker: RealBroker, proxy: Proxy) -> Iterator[BrokerChannel]:
    channel = opened(broker.entry(proxy.port))
    yield channel
    channel.close()


class BrokerStage:
    """The channel, a network that can be cut, and a broker."""

    secrets = ("guest",)

    def __init__(self, broker: RealBroker, proxy: Proxy) -> None:
        self.broker = broker
        self.proxy = proxy

    def open(self) -> BrokerChannel:
        return opened(self.broker.entry(self.proxy.port))

    def received(self) -> list[str]:
        return self.broker.ids()

    def break_before(self) -> None:
        self.proxy.refuse()

    def break_after(self) -> bool:
        self.proxy.lose_answers(DOCUMENT)
        return True


class TestConformance(Conformance):
    @pytest.fixture
    def stage(self, broker: RealBroker, proxy: Proxy) -> BrokerStage:
        return BrokerStage(broker, proxy)


def refusals(results: list[Any]) -> list[Refusal]:
    return [one.refusal for one in results if isinstance(one, Refused)]


def test_what_arrives_is_the_document_of_the_webhook_under_the_id_of_the_message(
    broker: RealBroker, channel: BrokerChannel
) -> None:
    lin = message(1, text="亲,洁面快用完了 😀")
    assert all(isinstance(one, Accepted) for one in channel.send([lin]))
    (taken,) = broker.taken()
    assert taken.message_id == lin.message_id
    assert taken.document == json.loads(document("queue", lin))


def test_what_cannot_be_routed_is_a_failure_of_the_set_up_and_no_message_is_to_blame(
    broker: RealBroker, channel: BrokerChannel
) -> None:
    broker.spoil()
    results = channel.send([message(1), message(2)])
    assert refusals(results) == [Refusal.UNAUTHORIZED] * 2
    assert not any(one.permanent for one in results if isinstance(one, Refused))


def test_a_connection_cut_after_the_messages_left_leaves_all_of_them_in_doubt_and_the_next_call_has_another(
    broker: RealBroker, proxy: Proxy, by_proxy: BrokerChannel
) -> None:
    batch = [message(number) for number in range(1, 6)]
    assert by_proxy.traits.unknown_policy is UnknownPolicy.RESEND
    proxy.lose_answers(DOCUMENT)
    assert refusals(by_proxy.send(batch)) == [Refusal.IN_DOUBT] * 5
    proxy.mend()
    assert [type(one) for one in by_proxy.send(batch)] == [Accepted] * 5
    assert sorted(broker.ids()) == [one.message_id for one in batch], "a consumer that takes each id once"
    came_twice = len(broker.taken()) > 5
    assert came_twice != isinstance(broker, JetStream), "JetStream drops by itself what comes twice"


def test_a_broker_that_falls_silent_leaves_a_message_in_doubt_within_the_time_of_a_call(
    proxy: Proxy, by_proxy: BrokerChannel
) -> None:
    proxy.lose_answers(DOCUMENT, cuts=False)
    began = time.monotonic()
    assert refusals(by_proxy.send([message(1)])) == [Refusal.IN_DOUBT]
    assert time.monotonic() - began < 5


def test_a_broker_that_went_away_between_two_calls_is_surely_not_sent_to_and_then_found_again(
    broker: RealBroker, proxy: Proxy, by_proxy: BrokerChannel
) -> None:
    assert refusals(by_proxy.send([message(1)])) == []
    proxy.refuse()
    time.sleep(NOTICED)
    with pytest.raises(ChannelError) as caught:
        by_proxy.send([message(2)])
    assert (caught.value.refusal, caught.value.permanent) == (Refusal.UNAVAILABLE, False)
    proxy.mend()
    assert refusals(by_proxy.send([message(2)])) == []
    assert broker.ids() == [message(1).message_id, message(2).message_id]


def test_a_cut_between_two_calls_is_not_noticed_by_the_messages(
    proxy: Proxy, by_proxy: BrokerChannel
) -> None:
    assert refusals(by_proxy.send([message(1)])) == []
    proxy.cut()
    time.sleep(NOTICED)
    assert refusals(by_proxy.send([message(2)])) == []


def test_eight_threads_hand_over_side_by_side(broker: RealBroker, channel: BrokerChannel) -> None:
    batches = [[message(100 * thread + number) for number in range(20)] for thread in range(8)]
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(channel.send, batches))
    assert all(isinstance(one, Accepted) for some in results for one in some)
    assert sorted(broker.ids()) == sorted(one.message_id for batch in batches for one in batch)


def test_a_probe_connects_and_looks_for_the_place(broker: RealBroker, channel: BrokerChannel) -> None:
    channel.probe()
    broker.spoil()
    with pytest.raises(ChannelError) as caught:
        channel.probe()
    assert caught.value.refusal is Refusal.UNAUTHORIZED


def test_a_probe_where_nobody_listens_says_so(proxy: Proxy, by_proxy: BrokerChannel) -> None:
    proxy.refuse()
    with pytest.raises(ChannelError, match="cannot be reached") as caught:
        by_proxy.probe()
    assert caught.value.refusal is Refusal.UNAVAILABLE


def test_after_closing_no_thread_is_left(channel: BrokerChannel) -> None:
    import threading

    channel.send([message(1)])
    channel.close()
    assert "smr-broker-queue" not in [thread.name for thread in threading.enumerate()]


def test_rabbitmq_routes_by_an_exchange_and_what_no_key_leads_to_comes_back(rabbitmq: RabbitMQ) -> None:
    exchange = f"{rabbitmq.to}-exchange"
    rabbitmq.bind(exchange, "refill")
    right = opened(rabbitmq.entry(exchange=exchange, to="refill"))
    wrong = opened(rabbitmq.entry(exchange=exchange, to="refil"))
    assert refusals(right.send([message(1)])) == []
    assert refusals(wrong.send([message(2)])) == [Refusal.UNAUTHORIZED]
    assert rabbitmq.ids() == [message(1).message_id]
    right.close()
    wrong.close()


def test_rabbitmq_without_the_exchange_takes_nothing(rabbitmq: RabbitMQ) -> None:
    channel = opened(rabbitmq.entry(exchange=f"{rabbitmq.to}-nowhere"))
    with pytest.raises(ChannelError, match="no such exchange") as caught:
        channel.send([message(1)])
    assert caught.value.refusal is Refusal.UNAUTHORIZED
    channel.close()


def test_a_queue_of_rabbitmq_that_is_full_takes_no_more_for_now() -> None:
    queue = RabbitMQ()
    queue.make(**{"x-max-length": 1, "x-overflow": "reject-publish"})
    channel = opened(queue.entry())
    channel.send([message(1)])
    assert refusals(channel.send([message(2)])) == [Refusal.UNAVAILABLE]
    channel.close()
    queue.drop()


def test_rabbitmq_refuses_a_wrong_password_and_nobody_hears_it(
    rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    entry = rabbitmq.entry()
    channel = opened(entry | {"url": entry["url"].replace("guest:guest", "guest:geheimwort")})
    with caplog.at_level(logging.DEBUG), pytest.raises(ChannelError) as caught:
        channel.send([message(1, text="秘密文本")])
    assert caught.value.refusal is Refusal.UNAUTHORIZED
    channel.close()
    said = f"{caught.value} {channel.place} {channel!r} {caplog.text} {capfd.readouterr()}"
    assert "geheimwort" not in said
    assert "秘密文本" not in said


def test_a_virtual_host_that_rabbitmq_does_not_have_is_a_failure_of_the_set_up(rabbitmq: RabbitMQ) -> None:
    channel = opened(rabbitmq.entry(url=rabbitmq.url.rstrip("/") + "/nowhere"))
    with pytest.raises(ChannelError, match="virtual host") as caught:
        channel.send([message(1)])
    assert caught.value.refusal is Refusal.UNAUTHORIZED
    channel.close()


def test_redis_refuses_a_wrong_password(redis: Redis) -> None:
    entry = redis.entry()
    channel = opened(entry | {"url": entry["url"].replace("//", "//nobody:geheimwort@")})
    with pytest.raises(ChannelError) as caught:
        channel.send([message(1)])
    assert caught.value.refusal is Refusal.UNAUTHORIZED
    assert "geheimwort" not in f"{caught.value} {channel.place}"
    channel.close()


def test_a_stream_of_nats_that_is_full_takes_no_more_for_now() -> None:
    from nats.js.api import DiscardPolicy

    stream = JetStream()
    stream.make(max_msgs=1, discard=DiscardPolicy.NEW)
    channel = opened(stream.entry())
    channel.send([message(1)])
    assert refusals(channel.send([message(2)])) == [Refusal.UNAVAILABLE]
    channel.close()
    stream.drop()


def test_a_message_too_large_for_the_stream_of_nats_is_refused_alone() -> None:
    stream = JetStream()
    stream.make(max_msg_size=2_000)
    channel = opened(stream.entry())
    small, large = channel.send([message(1), message(2, text="长" * 1_000)])
    assert isinstance(small, Accepted)
    assert isinstance(large, Refused)
    assert (large.refusal, large.permanent) == (Refusal.REJECTED, True)
    channel.close()
    stream.drop()


def test_a_subject_that_another_stream_keeps_is_a_failure_of_the_set_up(jetstream: JetStream) -> None:
    other = JetStream()
    other.make()
    channel = opened(jetstream.entry(stream=other.to))
    assert refusals(channel.send([message(1)])) == [Refusal.UNAUTHORIZED]
    channel.close()
    other.drop()


def test_kafka_where_nobody_listens_is_surely_not_sent() -> None:
    channel = opened({"kind": "broker", "url": "kafka://127.0.0.1:1", "to": "reminders"})
    with pytest.raises(ChannelError) as caught:
        channel.send([message(1)])
    assert caught.value.refusal is Refusal.UNAVAILABLE
    assert channel.place == "reminders at kafka://127.0.0.1:1"
    channel.close()


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("url: 'http://broker.example', to: a", "url_not_allowed"),
        ("url: 'amqp://', to: a", "url_not_allowed"),
        ("url: broker.example, to: a", "url_not_allowed"),
        ("url: 'amqp://smr:geheimwort@broker.example:99999', to: a", "url_not_allowed"),
        ("url: 'amqp://smr:geheimwort@one.example,two.example', to: a", "url_not_allowed"),
        ("url: 'amqp://broker.example', to: 'a b'", "bad_name"),
        ("url: 'amqp://broker.example'", "missing_key"),
        ("url: 'nats://broker.example', to: a", "missing_key"),
        ("url: 'nats://broker.example', to: 'a.>', stream: S", "bad_name"),
        ("url: 'redis://broker.example', to: a, stream: S", "unknown_key"),
        ("url: 'kafka://broker.example', to: a, exchange: E", "unknown_key"),
        ("url: 'amqp://broker.example', to: a, ca_file: ca.pem", "unknown_key"),
    ],
)
def test_what_does_not_go_together_is_a_fault_that_repeats_no_password(
    tmp_path: Path, entry: str, code: str
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"channels:\n  queue: {{kind: broker, {entry}}}\n")
    with pytest.raises(FaultsError, match=code) as caught:
        load_settings(config, {})
    assert "geheimwort" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("amqps://smr:ge%40heim@broker.example/shop", "amqps://broker.example:5671"),
        ("rediss://:ge%40heim@broker.example", "rediss://broker.example:6379"),
        ("tls://ge%40heim@broker.example", "tls://broker.example:4222"),
        ("kafkas://smr:ge%40heim@broker.example", "kafkas://broker.example:9093"),
    ],
)
def test_a_password_in_the_url_is_never_shown(url: str, place: str) -> None:
    entry = {"kind": "broker", "url": url, "to": "reminders"}
    settings = Settings.model_validate(
        {"channels": {"queue": entry | ({"stream": "S"} if "tls" in url else {})}}
    )
    channel = cast(BrokerChannel, open_channel("queue", settings))
    assert channel.place == f"reminders at {place}"
    for said in (repr(settings), settings.model_dump_json(), channel.place, repr(channel)):
        assert "heim" not in said


ALONE = """
import sys
for name in {missing}:
    sys.modules[name] = None
from smr.channels import open_channel
from smr.errors import OperatorError
from smr.settings import Settings
entry = {{"kind": "broker", "url": "amqp://broker.example", "to": "reminders"}}
settings = Settings.model_validate({{"channels": {{"queue": entry}}}})
print([name for name in ("asyncio", "faststream", "aio_pika") if sys.modules.get(name)])
try:
    open_channel("queue", settings)
except OperatorError as error:
    print(error)
"""


def alone(missing: list[str]) -> list[str]:
    """What a process of its own says, in which these packages are not installed."""
    command = [sys.executable, "-c", ALONE.format(missing=missing)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_no_library_of_a_broker_is_loaded_before_a_channel_is_opened() -> None:
    assert "faststream" not in alone([])[0]


def test_without_the_extra_it_is_said_what_to_install() -> None:
    said = alone(["faststream"])[-1]
    assert said == "channels.queue: a broker needs more than smr comes with; pip install 'smr[broker]'"
