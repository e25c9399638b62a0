"""What customers say in chat is judged once, as it is recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from smr import clock
from smr.chat import Listener, topics_of
from smr.chat.topics import Topic
from smr.database import Database
from smr.facts.heard import Mention, record
from smr.tables import bucket_of, consents, handovers, mentions, metadata, tags
from tests.examples import many
from tests.facts.conftest import Take
from tests.facts.test_purchases import rows

DAY = timedelta(days=1)
MONDAY = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)  # 09:30 in Shanghai
HEADER = "customer_id,happened_at,kind,channel,content,interaction_id\n"


def chat(*lines: str) -> str:
    return HEADER + "".join(f"{line}\n" for line in lines)


def test_ana_speaks_of_her_skin_and_is_tagged_with_the_reason(database: Database, take: Take) -> None:
    take("interactions", chat("ana,2026-03-02T09:30,聊天,wecom,用了洁面脸 過-敏 了,m1"))

    assert rows(database, mentions, "customer_id", "topic", "word", "happened_at") == [
        ("ana", "皮肤问题", "过敏", MONDAY)
    ]
    assert rows(database, tags, "tag", "source", "set_at", "expires_at", "reason") == [
        ("敏感肌", "chat", MONDAY, MONDAY + 180 * DAY, "皮肤问题: 过敏 (m1)")
    ]


def test_the_same_message_again_tells_nothing_new(database: Database, take: Take) -> None:
    take("interactions", chat("ana,2026-03-02T09:30,chat,wecom,要投诉你们,m1"))
    take("interactions", chat("ana,2026-03-02T09:30,chat,wecom,要投诉你们,m1"))

    assert len(rows(database, mentions, "topic")) == len(rows(database, handovers, "topic")) == 1


def test_of_one_message_told_twice_in_a_file_the_first_counts(database: Database, take: Take) -> None:
    take(
        "interactions",
        chat("ana,2026-03-02T09:30,chat,wecom,你好,m1", "ana,2026-03-02T09:30,chat,wecom,投诉,m1"),
    )

    assert rows(database, mentions, "topic") == []


def test_whoever_asks_to_stop_is_refused_everything_from_that_moment(database: Database, take: Take) -> None:
    take(
        "interactions",
        chat("ana,2026-03-02T09:30,reply,sms,ＴＤ,m1", "ben,2026-03-02T09:30,chat,wecom,TD是什么,m2"),
    )

    assert rows(
        database, consents, "customer_id", "channel", "purpose", "granted", "decided_at", "source"
    ) == [("ana", "*", "*", False, MONDAY, "chat: TD")]


def test_whoever_asks_for_a_person_becomes_a_case_of_his_staff(database: Database, take: Take) -> None:
    take("customers", "customer_id,staff_id\nana,lin\n")
    take("interactions", chat("ana,2026-03-02T09:30,chat,wecom,找 人 工！,m1"))

    found = rows(
        database, handovers, "customer_id", "cause", "topic", "interaction_id", "staff_id", "closed_at"
    )
    assert found == [("ana", "chat", "找人工", "m1", "lin", None)]


def test_what_staff_say_and_what_is_only_read_is_not_listened_to(database: Database, take: Take) -> None:
    take(
        "interactions",
        chat(
            "ana,2026-03-02T09:30,answer,wecom,会过敏吗,m1",
            "ana,2026-03-02T09:31,moments_read,wecom,过敏怎么办,m2",
        ),
    )

    assert rows(database, mentions, "topic") == []


def test_an_operators_own_words_and_changes_of_built_in_topics(database: Database, take: Take) -> None:
    stated = {
        "换香型": Topic.model_validate({"any_of": ["换个味道", "别的香味"], "tag": "换香型", "for": "90d"}),
        "投诉": Topic.model_validate({"also": ["垃圾"], "for": "30d"}),
        "询价": Topic.model_validate({"off": "true"}),
    }
    words = ("想換個味道", "垃 圾", "多少钱")
    lines = [f"ana,2026-03-02T09:30,chat,wecom,{text},m{n}" for n, text in enumerate(words)]
    take("interactions", chat(*lines), listener=Listener(topics_of(stated)))

    assert rows(database, tags, "tag", "expires_at") == [
        ("投诉中", MONDAY + 30 * DAY),
        ("换香型", MONDAY + 90 * DAY),
    ]


def test_an_unknown_kind_is_refused_with_what_was_probably_meant(database: Database, take: Take) -> None:
    report = take(
        "interactions", chat("ana,2026-03-02,moment_like,wecom,,m1", "ana,2026-03-02,朋友圈点赞,wecom,,m2")
    )

    assert report.refused == {"kind": 1}


said = st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["敏感", "痘"])), min_size=1, max_size=8)


@examples(max_examples=many(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=said, order=st.randoms(use_true_random=False), cuts=st.integers(1, 4))
def test_tags_come_out_alike_in_whatever_order_messages_arrive(
    sqlite_database: Database, said: list[tuple[int, str]], order: Any, cuts: int
) -> None:
    """And as a plain reading tells: the last unbroken row, from its first word to so long after its last."""
    listener = Listener(
        {
            "敏感": Topic.model_validate({"any_of": ["敏感"], "tag": "肤质", "for": "10d"}),
            "痘": Topic.model_validate({"any_of": ["痘"], "tag": "肤质", "for": "4d"}),
        }
    )
    ana = bucket_of("ana")
    heard = [
        Mention(ana, "ana", topic, f"m{n}", clock.seconds(MONDAY + day * DAY), topic)
        for n, (day, topic) in enumerate(said)
    ]
    order.shuffle(heard)
    with sqlite_database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))
        for first in range(0, len(heard), cuts):
            record(connection, listener, heard[first : first + cuts])
    covered = sorted((day, day + (10 if topic == "敏感" else 4)) for day, topic in said)
    begun, ends = covered[0]
    for first, last in covered:
        begun, ends = (first, last) if first > ends else (begun, max(ends, last))
    assert rows(sqlite_database, tags, "tag", "set_at", "expires_at") == [
        ("肤质", MONDAY + begun * DAY, MONDAY + ends * DAY)
    ]
