"""What is sensitive is never named by SMS: not even when another channel failed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smr import pipeline
from smr.chat import fold
from smr.database import Database
from smr.discretion import Discretion, Search
from smr.guards import next_rungs, recheck
from smr.messages.check import check_library
from smr.messages.hushed import hushed
from smr.playbook import load_library
from smr.playbook.model import Library
from smr.settings import Settings
from smr.tables import candidates, messages, metadata
from tests.library import library, read
from tests.worlds import NOW, World, put

CATALOG = """
cycles: {default: {lasts: 30d, learn: false}, products: {P9: {name: 叶酸片, category: 保健}}}
sensitive: {category: [奶粉], product: [P9]}
"""
BOOK = """
name: thanks
status: live
trigger: {purchase: {}}
steps: [{name: one, send: on purchase, via: %s, message: %s}]
"""
POLICY = "policy: {caps: [9 per 1d]}\nchannels: {sms: {max_length: 300}}"
SHOP = Settings.model_validate(read("shop: {language: zh}\n" + POLICY))
ALL = (
    '\'{{ product.name }} {{ product.category }} {{ customer.tags | join(",") }} '
    "{% for one in purchase.products %}{{ one.name }}{% endfor %} {{ customer.attributes.last }}'"
)
NAMED = ("爱他美二段", "奶粉", "叶酸片", "保胎丸", "母婴")


def book(message: str = ALL, via: str = "[sms]") -> Library:
    return library(BOOK % (via, message), catalog=CATALOG)


def shop_with(database: Database, *bought: str, last: str = "好", tag: str = "会员") -> World:
    world = World()
    world.product("P1", category="奶粉", name="爱他美二段")
    world.product("P2", category="洁面", name="氨基酸洁面")
    world.product("P9", category="孕产", name="保胎丸")
    world.customer(
        "ana", addresses={"sms": "13800000000", "wecom": "ana"}, consent=True, attributes={"last": last}
    )
    world.tag("ana", tag)
    for number, product in enumerate(bought):
        world.purchase("ana", product, days_ago=0.1, order_id="A1", line_no=number + 1)
    put(database, world)
    return world


def sent(database: Database, shop: Library, config: Settings = SHOP) -> list[str]:
    pipeline.run(database, shop, config, now=NOW)
    with database.read() as connection:
        return list(connection.execute(sa.select(messages.c.body)).scalars())


def refused(database: Database) -> list[Any]:
    with database.read() as connection:
        asked = sa.select(candidates.c.reason).where(candidates.c.reason.is_not(None))
        return list(connection.execute(asked).scalars())


def test_by_sms_a_sensitive_product_has_another_name_and_the_others_keep_theirs(database: Database) -> None:
    shop_with(database, "P1", "P2", tag="母婴")
    (text,) = sent(database, book())
    assert "氨基酸洁面" in text
    assert "您买过的商品" in text
    assert not [name for name in NAMED if name in text]


def test_what_is_offered_and_what_is_named_beside_is_hushed_as_well() -> None:
    context = {
        "offer": {"name": "爱他美二段"},
        "bundle": [{"product": {"name": "面霜"}, "offer": {"name": "爱他美二段"}, "due": {"days": 3}}],
        "customer": {"name": "奶粉妈妈"},
        "language": "zh",
    }
    hush = hushed(context, Discretion.of(book(), SHOP), Search(["奶粉", "爱他美二段"]))
    assert hush["offer"] == {"name": "您买过的商品"}
    assert hush["bundle"] == [
        {"product": {"name": "面霜"}, "offer": {"name": "您买过的商品"}, "due": {"days": 3}}
    ]
    assert hush["customer"] == {"name": "奶粉妈妈"}


def test_on_a_channel_of_the_customer_alone_it_is_named(database: Database) -> None:
    shop_with(database, "P1", tag="母婴")
    (text,) = sent(database, book(via="[wecom, sms]"))
    assert "爱他美二段 奶粉" in text
    assert "母婴" in text


OUTRIGHT = ["奶粉到货", "'{{ customer.attributes.last }}'", "您的母 嬰专区", "保胎丸的价格"]


@pytest.mark.parametrize("said", OUTRIGHT)
def test_a_text_that_names_it_all_the_same_is_not_sent(database: Database, said: str) -> None:
    shop_with(database, "P2", last="上次买了奶-粉")
    assert sent(database, book(said)) == []
    assert refused(database) == ["sensitive"]


def test_the_shop_says_what_it_is_called_and_which_channels_are_discreet(database: Database) -> None:
    shop_with(database, "P1")
    config = Settings.model_validate(
        read("policy: {discreet_word: 您的常用品}\nchannels: {wecom: {discreet: true}}")
    )
    assert sent(database, book("'{{ product.name }}'", "[wecom]"), config) == ["您的常用品"]


def test_what_is_called_sensitive_after_it_was_queued_is_cancelled_when_it_is_to_go_out(
    database: Database,
) -> None:
    shop_with(database, "P1")
    careless = library(BOOK % ("[sms]", "'{{ product.name }}'"))
    assert sent(database, careless) == ["爱他美二段"]
    m = messages.c
    asked = sa.select(m.playbook, m.step, m.channel, m.anchor, m.customer_id, m.message_id)
    with database.read() as connection:
        (written,) = connection.execute(asked).all()
        verdicts = recheck(connection, book("'{{ product.name }}'"), SHOP, now=NOW, written=[written])
    assert verdicts[written.message_id].reason == "sensitive"


def test_what_names_it_does_not_go_on_to_sms_when_another_channel_failed(database: Database) -> None:
    shop_with(database, "P1")
    shop = book("'{{ product.name }}'", "[wecom, sms]")
    sent(database, shop)
    with database.read() as connection:
        ids = list(connection.execute(sa.select(messages.c.message_id)).scalars())
        assert next_rungs(connection, shop, SHOP, now=NOW + timedelta(minutes=1), message_ids=ids) == {}
        open_shop = library(BOOK % ("[wecom, sms]", "'{{ product.name }}'"))
        assert next_rungs(connection, open_shop, SHOP, now=NOW, message_ids=ids)


TEXTS = (
    *("你好", "奶粉", "叶酸片", "{{ product.name }}", "{{ product.category }}"),
    *("{{ customer.attributes.last }}", "{{ customer.tags | join }}", "{{ offer.name }}"),
)
FACTS = ("好", "奶粉", "奶 粉", "ENFAMIL", "爱他美二段", "孕期")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4),
    bought=st.lists(st.sampled_from(("P1", "P2", "P9")), min_size=1, max_size=3),
    last=st.sampled_from(FACTS),
    tag=st.sampled_from(("母婴", "会员")),
    via=st.sampled_from(("[sms]", "[wecom, sms]", "[sms, wecom]")),
)
def test_no_sensitive_name_is_ever_in_an_sms(
    database: Database, pieces: list[str], bought: list[str], last: str, tag: str, via: str
) -> None:
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(sa.delete(table))
    shop_with(database, *bought, last=last, tag=tag)
    pipeline.run(database, book(f"'{' '.join(pieces)}'", via), SHOP, now=NOW)
    with database.read() as connection:
        rows = connection.execute(sa.select(messages.c.channel, messages.c.body)).all()
    for channel, body in rows:
        assert channel != "sms" or not [name for name in NAMED if fold(name) in fold(body)], body


def faults(
    tmp_path: Path, message: str, via: str = "[wecom, sms]", title: str = "提醒"
) -> list[tuple[str, bool]]:
    (tmp_path / "catalog.yaml").write_text(
        "cycles: {categories: {奶粉: {lasts: 10d}}}\nsensitive: {category: 奶粉}\n", encoding="utf-8"
    )
    (tmp_path / "a.yaml").write_text(
        f"name: a\ntitle: {title}\nstatus: live\ntrigger: {{runs_out: {{category: 奶粉}}}}\n"
        f"steps: [{{name: one, send: on due, via: {via}, message: {message}}}]\n",
        encoding="utf-8",
    )
    config = Settings()
    return [(fault.code, fault.warning) for fault in check_library(load_library(tmp_path, config), config)]


def test_check_refuses_a_fixed_text_that_names_it_and_warns_of_a_name_that_changes(tmp_path: Path) -> None:
    assert faults(tmp_path, "奶粉快喝完了") == [("sensitive_named", False)]
    assert faults(tmp_path, "'{{ playbook.title }}'", title="奶粉提醒") == [("sensitive_named", False)]
    assert faults(tmp_path, "'{{ product.name }}快用完了'") == [("sensitive_named", True)]
    assert faults(tmp_path, "奶粉快喝完了", "[wecom]") == []
    assert faults(tmp_path, "快用完了") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [("ENFAMIL 2 段", "Enfamil"), ("enfamilies", None), ("ｅｎｆａｍｉｌ", "Enfamil"), ("奶，粉", None)],
)
def test_words_are_found_as_they_are_in_chat(text: str, found: str | None) -> None:
    assert Search(["奶粉", "Enfamil", "!"]).first(None, text) == found
